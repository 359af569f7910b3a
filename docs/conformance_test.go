package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/hub/conformance"
)

// What stands between code marks in the last column.
var (
	reference = regexp.MustCompile("`([^`]+)`")
	goTest    = regexp.MustCompile(`^([\w/-]+)\.((?:Test|Fuzz|Example)\w*)$`)
)

// TestConformancePage: every test that the page names exists, every statement has one, and
// every rule of the specification that is checked is named.
func TestConformancePage(t *testing.T) {
	p := readPage(t, "conformance.md")
	checks := rules()
	for _, heading := range []string{"## The reference", "## The tutorial", "## The vendor's API beside twins", "### Questions that a run answers"} {
		checkShown(t, p, heading, checks)
	}
	for _, r := range conformance.Rules() {
		if !r.Ours && !checks[r.Name] {
			t.Errorf("%s doesn't name the check %q, a rule of the specification", p.file, r.Name)
		}
	}
}

// rules are the checks of hub/conformance by name, none of them marked yet.
func rules() map[string]bool {
	checks := map[string]bool{}
	for _, r := range conformance.Rules() {
		checks[r.Name] = false
	}
	return checks
}

// checkShown wants each row of a table to name in its last column what shows it, and that this
// exists. It marks the checks of hub/conformance that are named.
func checkShown(t *testing.T, p page, heading string, checks map[string]bool) {
	t.Helper()
	for _, r := range p.table(t, heading) {
		shown := reference.FindAllStringSubmatch(p.lines[r.line][strings.LastIndex(p.lines[r.line], " | "):], -1)
		if len(shown) == 0 {
			t.Errorf("%s: nothing shows it", p.at(r.line))
		}
		for _, s := range shown {
			if name, ok := strings.CutPrefix(s[1], "check "); !ok {
				checkTestExists(t, p.at(r.line), s[1])
			} else if _, known := checks[name]; known {
				checks[name] = true
			} else {
				t.Errorf("%s: hub/conformance has no check %q", p.at(r.line), name)
			}
		}
	}
}

// checkTestExists looks for FOLDER.TestNAME, or a file, and for a part of it in quotes or as a name.
func checkTestExists(t *testing.T, at, name string) {
	t.Helper()
	name, part, _ := strings.Cut(name, ": ")
	file := name
	if m := goTest.FindStringSubmatch(name); m != nil {
		if file = findFunc(t, m[1], m[2]); file == "" {
			t.Errorf("%s: there is no %s in %s", at, m[2], m[1])
			return
		}
	}
	text, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(file)))
	switch {
	case err != nil:
		t.Errorf("%s: %v", at, err)
	case !strings.Contains(string(text), part):
		t.Errorf("%s: %s has no %q", at, file, part)
	}
}

// findFunc returns the test file of a folder that has a function; empty if there is none.
func findFunc(t *testing.T, folder, name string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", filepath.FromSlash(folder), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\nfunc "+name+"(") {
			return strings.TrimPrefix(filepath.ToSlash(file), "../")
		}
	}
	return ""
}
