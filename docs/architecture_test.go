package docs_test

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/twinpanel/twinpanel/"

// A row of the table of packages in architecture.md: | `package` | what it is | `import` `import` |
var packageRow = regexp.MustCompile("(?m)^\\| `([a-z/-]+)` \\|[^|]*\\| ([^|]*) \\|$")

// TestImportArrows holds what the packages import against the table.
func TestImportArrows(t *testing.T) {
	page, err := os.ReadFile("architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string][]string{}
	for _, row := range packageRow.FindAllStringSubmatch(string(page), -1) {
		allowed[row[1]] = strings.Fields(strings.ReplaceAll(row[2], "`", ""))
	}
	for _, line := range goList(t, "-f", "{{.ImportPath}}|{{join .GoFiles \" \"}}|{{join .Imports \" \"}}", module+"...") {
		field := strings.Split(line, "|")
		name, ours := strings.CutPrefix(field[0], module)
		if !ours || field[1] == "" { // tests only
			continue
		}
		may, known := allowed[name]
		if !known {
			t.Errorf("package %s is not in the table of docs/architecture.md: add what it is and what it may import", name)
		}
		delete(allowed, name)
		for path := range strings.FieldsSeq(field[2]) {
			if imported, ours := strings.CutPrefix(path, module); ours && !slices.Contains(may, imported) {
				t.Errorf("%s imports %s, which docs/architecture.md does not allow: it may import %v", name, imported, may)
			}
			if strings.HasPrefix(path, "github.com/eclipse/paho") && name != "twinclient" {
				t.Errorf("%s imports %s: only twinclient speaks to the MQTT library", name, path)
			}
			if strings.HasPrefix(path, "periph.io/x/host") && name != "internal/board" {
				t.Errorf("%s imports %s: only internal/board speaks to the GPIO drivers", name, path)
			}
			if (name == "twin" || name == "statemachine") && strings.Contains(path, ".") {
				t.Errorf("%s imports %s: it may import the standard library only", name, path)
			}
		}
	}
	for name := range allowed {
		t.Errorf("the table of docs/architecture.md has a package %s, which doesn't exist", name)
	}
}

// TestThePanelDoesNotContainTheHub looks at everything that is linked into the panel.
func TestThePanelDoesNotContainTheHub(t *testing.T) {
	for _, path := range goList(t, "-deps", module+"cmd/panel") {
		if path == module+"hub" || strings.HasPrefix(path, module+"hub/") || strings.Contains(path, "sqlite") {
			t.Errorf("cmd/panel contains %s: a Pi Zero has to carry it, and a device has no use for it", path)
		}
	}
}

func goList(t *testing.T, args ...string) []string {
	t.Helper()
	command := exec.Command("go", append([]string{"list"}, args...)...)
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}
