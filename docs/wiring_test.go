package docs_test

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	flagName   = regexp.MustCompile("--[a-z][a-z-]*")
	spokenWord = regexp.MustCompile("(?:fault|state) `([a-z_]+)`")
	picture    = regexp.MustCompile(`!\[[^\]]+\]\(([^)]+)\)`)
)

// TestWiringTables: every row about a failure names the rule or the test that shows it, and that exists.
func TestWiringTables(t *testing.T) {
	p := readPage(t, "wiring.md")
	for _, heading := range []string{"### Contact", "### Siren", "### Key switch and buzzer", "### The computer and what it talks to"} {
		checkShown(t, p, heading, nil)
	}
}

// TestWiringWords: every flag is one of the panel's, also in the pictures, and every word for a state or a fault is in its code.
func TestWiringWords(t *testing.T) {
	help := read(t, "../cmd/panel/testdata/help.txtar")
	code := read(t, "../internal/panel/config.go") + read(t, "../statemachine/state.go")
	for _, file := range append(pictures(t), "wiring.md") {
		text := read(t, file)
		for _, name := range flagName.FindAllString(text, -1) {
			if !regexp.MustCompile(regexp.QuoteMeta(name) + `[ =]`).MatchString(help) {
				t.Errorf("%s: the panel has no flag %s", file, name)
			}
		}
		for _, m := range spokenWord.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(code, `"`+m[1]+`"`) {
				t.Errorf("%s: no state and no fault is called %s", file, m[1])
			}
		}
	}
}

// TestWiringPictures: every picture is shown on the page, is well-formed, says in words what it shows, and needs no other file.
func TestWiringPictures(t *testing.T) {
	page := read(t, "wiring.md")
	var shown []string
	for _, m := range picture.FindAllStringSubmatch(page, -1) {
		shown = append(shown, filepath.FromSlash(m[1]))
	}
	files := pictures(t)
	if len(shown) != len(files) {
		t.Errorf("the page shows %v, the folder has %v", shown, files)
	}
	for _, file := range shown {
		text := read(t, file)
		said := map[string]bool{}
		for d := xml.NewDecoder(strings.NewReader(text)); ; {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if start, ok := token.(xml.StartElement); ok {
				said[start.Name.Local] = true
			}
		}
		for _, name := range []string{"title", "desc"} {
			if !said[name] {
				t.Errorf("%s has no %s", file, name)
			}
		}
		for _, outside := range []string{"<image", "<use", "@import", "url(", "href"} {
			if strings.Contains(text, outside) {
				t.Errorf("%s has %s", file, outside)
			}
		}
	}
}

func pictures(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("wiring", "*.svg"))
	if err != nil || len(files) == 0 {
		t.Fatalf("got %v and error %v", files, err)
	}
	return files
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
