//go:build linux || darwin

package sqlite

import (
	"errors"
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
	if err := keepCopy(path, path+copyInfix+"1"); err != nil {
		return err
	}
	t.exec(upgrades[1])
	t.exec("PRAGMA user_version = 2")
	if t.err != nil {
		return t.err
	}
	return syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

func TestUpgradeKilledBeforeItsCommit(t *testing.T) {
	dir := mustCreate1(t)
	out, err := child(t, "upgrade until killed", dir).Output()
	if e, ok := errors.AsType[*exec.ExitError](err); !ok || e.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("%v: %s; want it killed", err, out)
	}
	if n := formatOf(t, filepath.Join(dir, databaseFile)); n != 1 {
		t.Errorf("after the kill: format %d, want 1", n)
	}
	db := mustOpen(t, dir)
	if err := check1(db.Registry); err != nil {
		t.Error(err)
	}
	if db.Kept == "" || formatOf(t, db.Kept) != 1 {
		t.Errorf("kept %q, want a copy of format 1", db.Kept)
	}
}
