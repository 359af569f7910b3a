package statemachine_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/statemachine/transcript"
)

var update = flag.Bool("update", false, "rewrite the transcripts in testdata")

// TestStories plays every transcript in testdata and compares it, answers included. A
// line that begins with a time is what happens to the panel; the indented lines below are
// what the panel makes of it. See testdata/README.md.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := transcript.Play(string(want))
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Errorf("%s: the panel does otherwise; got:\n%s\nIf that is right: go test ./statemachine -update, and review the difference.", file, got)
			}
		})
	}
}
