//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/twinpanel/twinpanel/internal/panel"
)

// TestNobodyReadsTheLog has an alarm while the other end of stderr doesn't read any more, or isn't there any more.
func TestNobodyReadsTheLog(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		gone bool     // the other end is
		as   []string // what the panel is started by
	}{
		{"stuck", false, []string{"panel"}},
		{"gone", true, []string{"panel"}},
		{"gone, and SIGPIPE ignored from the start", true, []string{"sh", "-c", `trap "" PIPE && exec panel "$@"`, "sh"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := newFolder(t)
			stateDir := filepath.Join(dir, "state")
			reader, stderr, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
			if tt.gone {
				reader.Close()
			} else {
				clog(t, stderr)
			}
			command := exec.Command(tt.as[0], append(tt.as[1:], usualFlags()...)...)
			command.Stderr = stderr
			p, err := launch(dir, command)
			stderr.Close()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if p.ProcessState == nil {
					_, _ = p.Stop(os.Kill)
				}
			})

			eventually(t, "closed", func() (string, error) {
				s, err := panel.Control(stateDir).Status(t.Context())
				return s.Doors["door"], err
			})
			tell(t, stateDir, "arm")
			p.move(t, `{"open":true}`)
			eventually(t, `"siren_on":true`, p.look)
			tell(t, stateDir, "disarm")
			eventually(t, `"siren_on":false`, p.look)
			if _, err := p.Stop(syscall.SIGTERM); err != nil {
				t.Errorf("the panel ended with %v", err)
			}
		})
	}
}

// tell tells the panel on a state folder to arm or disarm.
func tell(t *testing.T, stateDir, name string) {
	t.Helper()
	if out, err := exec.Command("panel", name, "--state-dir", stateDir).CombinedOutput(); err != nil {
		t.Fatalf("panel %s: %v\n%s", name, err, out)
	}
}

// clog writes to a pipe until there is no room for another byte.
func clog(t *testing.T, w *os.File) {
	t.Helper()
	raw, err := w.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var full error
	if err := raw.Write(func(fd uintptr) bool {
		for full == nil {
			_, full = syscall.Write(int(fd), []byte{'\n'})
		}
		return true
	}); err != nil || full != syscall.EAGAIN {
		t.Fatalf("filling the pipe: %v, %v", err, full)
	}
}
