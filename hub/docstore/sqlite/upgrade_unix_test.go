//go:build linux || darwin

package sqlite

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

func init() { children["upgrade until killed"] = upgradeUntilKilled }

// upgradeUntilKilled does all of an upgrade but the commit, and kills its process.
func upgradeUntilKilled(dir string) error {
	lock, err := lockFolder(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	path := filepath.Join(dir, databaseFile)
	db, err := connect(path, 1, "synchronous(FULL)")
	if err != nil {
		return err
	}
	t, err := newTx(db)
	if err != nil {
		return err
	}
	t.begin()
	from := readFormat(t)
	if err := keepCopy(path, fmt.Sprint(path, copyInfix, from)); err != nil {
		return err
	}
	for ; from < format; from++ {
		t.exec(upgrades[from])
		t.exec(fmt.Sprintf("PRAGMA user_version = %d", from+1))
	}
	if t.err != nil {
		return t.err
	}
	return syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

func TestUpgradeKilledBeforeItsCommit(t *testing.T) {
	forOldFormats(t, func(t *testing.T, old int64, dir string) {
		out, err := child(t, "upgrade until killed", dir).Output()
		if e, ok := errors.AsType[*exec.ExitError](err); !ok || e.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("%v: %s; want it killed", err, out)
		}
		if n := formatOf(t, filepath.Join(dir, databaseFile)); n != int(old) {
			t.Errorf("after the kill: format %d, want %d", n, old)
		}
		db := mustOpen(t, dir)
		if err := checkOld(db.Registry, old); err != nil {
			t.Error(err)
		}
		if db.Kept == "" || formatOf(t, db.Kept) != int(old) {
			t.Errorf("kept %q, want a copy of format %d", db.Kept, old)
		}
	})
}
