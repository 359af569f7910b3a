package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	linkForm   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	notInLinks = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// Every link of the pages to a file or a heading of this repository leads somewhere.
func TestLinksLeadSomewhere(t *testing.T) {
	pages, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	top, err := filepath.Glob("../*.md")
	if err != nil || len(pages) == 0 || len(top) == 0 {
		t.Fatalf("got %d pages here, %d above, %v", len(pages), len(top), err)
	}
	for _, page := range append(pages, top...) {
		for _, m := range linkForm.FindAllStringSubmatch(pageText(t, page), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			path, heading, _ := strings.Cut(m[1], "#")
			target := page
			if path != "" {
				target = filepath.Join(filepath.Dir(page), path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", page, m[1], err)
				continue
			}
			if heading != "" && strings.HasSuffix(target, ".md") && !slices.Contains(headings(pageText(t, target)), heading) {
				t.Errorf("%s links to %s, where no such heading is", page, m[1])
			}
		}
	}
}

func pageText(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// headings are those of a page as links name them.
func headings(page string) (names []string) {
	inCode := false
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "```") {
			inCode = !inCode
		}
		if text := strings.TrimLeft(line, "#"); !inCode && text != line {
			name := notInLinks.ReplaceAllString(strings.ToLower(strings.TrimSpace(text)), "")
			names = append(names, strings.ReplaceAll(name, " ", "-"))
		}
	}
	return names
}
