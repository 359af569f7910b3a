//go:build linux || darwin

package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestUnwritableFolder opens folders as a user who may not write there. For
// root, who may do everything, a process of another user does it.
func TestUnwritableFolder(t *testing.T) {
	const nobody = 65534
	for _, process := range []string{"hub", "command"} {
		for _, filled := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s filled=%v", process, filled), func(t *testing.T) {
				dir := t.TempDir()
				if filled {
					fill(t, dir)
				}
				if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o555)); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { os.Chmod(dir, 0o755) })
				if os.Geteuid() != 0 && filled {
					if err := os.Chmod(filepath.Join(dir, databaseFile), 0o400); err != nil {
						t.Fatal(err)
					}
				}
				cmd := child(t, process, dir)
				if os.Geteuid() == 0 {
					cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
				}
				out, err := cmd.Output()
				if err == nil || !strings.Contains(string(out), "data folder "+dir+" cannot be written") ||
					!strings.Contains(string(out), "hint: give the folder to the user") {
					t.Errorf("%v: %s", err, out)
				}
			})
		}
	}
}
