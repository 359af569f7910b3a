package main

import (
	"strings"
	"syscall"
	"testing"

	"github.com/twinpanel/twinpanel/internal/cli"
)

// TestPipeThatNobodyWritesTo is refused: opening it would wait for a writer, and no signal but SIGKILL would end that.
func TestPipeThatNobodyWritesTo(t *testing.T) {
	t.Chdir(newFolder(t))
	if err := syscall.Mkfifo("pipe", 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"explain --file pipe", "replay pipe"} {
		const want = "panel: read pipe: not a regular file\nhint: save what it would tell to a file first, and name that file\n"
		if code, stdout, stderr := run(t.Context(), strings.Fields(command)...); code != cli.ExitFailed || stdout != "" || stderr != want {
			t.Errorf("%s: got code %d, stdout %q, stderr:\n%swant code 1 and:\n%s", command, code, stdout, stderr, want)
		}
	}
}
