//go:build linux || darwin

package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/twinpanel/twinpanel/internal/durable/durabletest"
)

// Some tests need a process of their own: to be killed, to have fewer rights, to
// meet a limit. For these the test binary runs itself, with the name of the
// process in the environment.
const childVariable = "SQLITE_TEST_CHILD"

// children are these processes. Each gets the data folder; an error ends it with 1.
var children = map[string]func(dir string) error{
	"hub":     openAsHub,
	"command": openAsCommand,
	"backup":  backUpBeside,
	"closed":  backUpToClosed,
	"restore": restoreAndReplace,
	"read":    restoreToo,
	"write":   writeUntilKilled,
	"full":    writeUntilFull,
	"copy":    writeUntilNotCopied,
	"begin":   beginCopyOnFullDisk,
}

func TestMain(m *testing.M) {
	if child, ok := children[os.Getenv(childVariable)]; ok {
		if err := child(os.Args[1]); err != nil {
			fmt.Println(err)
			if e, ok := errors.AsType[*Error](err); ok {
				fmt.Println("hint:", e.Hint())
			}
			os.Exit(1)
		}
		os.Exit(0)
	}
	durabletest.Main(m)
}

// child prepares a process, which ends with the test at the latest.
func child(t *testing.T, name, dir string) *exec.Cmd {
	t.Helper()
	self := "/proc/self/exe" // works for a user who cannot reach the file by its name
	if _, err := os.Stat(self); err != nil {
		if self, err = os.Executable(); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), self, dir)
	cmd.Env = append(os.Environ(), childVariable+"="+name)
	cmd.Stderr = os.Stderr
	return cmd
}

// backUpBeside backs up the folder "source" in dir to a file in dir.
func backUpBeside(dir string) error {
	_, err := Backup(context.Background(), filepath.Join(dir, "source"), filepath.Join(dir, "backup.db"))
	return err
}

// backUpToClosed backs up the folder "source" in dir to a file in the folder "closed" there.
func backUpToClosed(dir string) error {
	_, err := Backup(context.Background(), filepath.Join(dir, "source"), filepath.Join(dir, "closed", "backup.db"))
	return err
}

// restoreAndReplace restores the file "backup.db" in dir to the folder "data" there.
func restoreAndReplace(dir string) error {
	_, _, err := Restore(context.Background(), filepath.Join(dir, "backup.db"), filepath.Join(dir, "data"), true)
	return err
}

// restoreToo restores the file "backup.db" in dir to a folder of its own.
func restoreToo(dir string) error {
	_, _, err := Restore(context.Background(), filepath.Join(dir, "backup.db"), filepath.Join(dir, "mine"), false)
	return err
}

func openAsHub(dir string) error {
	db, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	return db.Close()
}

func openAsCommand(dir string) error {
	r, err := OpenRegistry(dir, Options{})
	if err != nil {
		return err
	}
	return r.Close()
}
