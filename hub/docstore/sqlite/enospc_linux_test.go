package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/twinpanel/twinpanel/hub/docstore"
)

func init() {
	children["write to a full disk"] = withSmallDisk(writeToFullDisk)
	children["start on a full disk"] = withSmallDisk(startOnFullDisk)
	children["upgrade on a full disk"] = withSmallDisk(upgradeOnFullDisk)
	children["back up to a full disk"] = withSmallDisk(backUpToFullDisk)
	children["restore to a full disk"] = withSmallDisk(restoreToFullDisk)
}

// TestDiskWithoutSpace fills real file systems, which processes of their own mount for themselves.
func TestDiskWithoutSpace(t *testing.T) {
	for _, name := range []string{"write to a full disk", "start on a full disk", "upgrade on a full disk", "back up to a full disk", "restore to a full disk"} {
		t.Run(name, func(t *testing.T) {
			cmd := child(t, name, t.TempDir())
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
				UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
				GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
			}
			out, err := cmd.Output()
			if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || string(out) == "no mount\n" {
				if os.Getenv("CI") != "" {
					t.Fatal("CI has to allow user namespaces: a full disk is not tried")
				}
				t.Skip("this system lets nobody mount a file system of his own; a full disk is then not tried")
			}
			if err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// withSmallDisk mounts a file system of 1 MiB.
func withSmallDisk(do func(dir string) error) func(dir string) error {
	return func(dir string) error {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
			fmt.Println("no mount")
			os.Exit(1)
		}
		return do(dir)
	}
}

// writeToFullDisk: a commit that the full disk refuses has written nothing, neither now nor after a
// restart, and writes go on when there is space.
func writeToFullDisk(dir string) error {
	ctx := context.Background()
	db, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	ballast := filepath.Join(dir, "ballast")
	put := func() (uint32, error) { return db.Put(ctx, desired, docstore.Any, make([]byte, 50_000)) }
	acknowledged, err := put()
	if err != nil {
		return err
	}
	_ = os.WriteFile(ballast, make([]byte, 600<<10), 0o600)
	for err == nil {
		var version uint32
		if version, err = put(); err == nil {
			acknowledged = version
		}
	}
	if _, unknown := errors.AsType[*docstore.OutcomeError](err); unknown || hintOf(err) == "" {
		return fmt.Errorf("the write that met the full disk: %w, want nothing written and a hint", err)
	}
	if doc, err := db.Get(ctx, desired); err != nil || doc.Version != acknowledged {
		return fmt.Errorf("on the full disk: version %d, %w; acknowledged was %d", doc.Version, err, acknowledged)
	}
	// What is in the files now is what a killed hub would leave.
	killed := filepath.Join(filepath.Dir(dir), "killed")
	if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
		return err
	}
	again, err := Open(killed, Options{})
	if err != nil {
		return err
	}
	if doc, err := again.Get(ctx, desired); err != nil || doc.Version != acknowledged {
		return fmt.Errorf("after a kill: version %d, %w; acknowledged was %d", doc.Version, err, acknowledged)
	}
	if err := errors.Join(again.Close(), os.Remove(ballast)); err != nil {
		return err
	}
	if version, err := put(); err != nil || version != acknowledged+1 {
		return fmt.Errorf("with space again: version %d, %w; want %d", version, err, acknowledged+1)
	}
	return db.Close()
}

// startOnFullDisk: a hub starts where not a byte is left for the memory that it shares with commands, and starts again
// as often as nobody else takes the room.
func startOnFullDisk(dir string) error {
	ctx := context.Background()
	db, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	if _, err := db.Put(ctx, desired, docstore.Any, []byte("{}")); err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	fillDisk := func(ballast string) { _ = os.WriteFile(filepath.Join(dir, ballast), make([]byte, 1<<20), 0o600) }
	fillDisk("ballast")

	// A command takes nothing from the hub.
	if _, err := OpenRegistry(dir, Options{}); err == nil || hintOf(err) != "make room on the disk that has the data folder; nothing was changed in it" {
		return fmt.Errorf("a command: %w, hint %q", err, hintOf(err))
	}
	for range 2 {
		if db, err = Open(dir, Options{}); err != nil {
			return fmt.Errorf("%w, hint %q", err, hintOf(err))
		}
		if doc, err := db.Get(ctx, desired); err != nil || doc.Version != 1 {
			return fmt.Errorf("version %d, %w; want 1", doc.Version, err)
		}
		if err := db.Close(); err != nil {
			return err
		}
	}

	fillDisk("more ballast")
	if _, err := Open(dir, Options{}); err == nil || hintOf(err) != "make room on the disk that has the data folder; nothing was changed in it" {
		return fmt.Errorf("when the reserve is gone: %w, hint %q", err, hintOf(err))
	}
	if err := os.Remove(filepath.Join(dir, "ballast")); err != nil {
		return err
	}
	for range 2 {
		if db, err = Open(dir, Options{}); err != nil {
			return err
		}
		if err := db.Close(); err != nil {
			return err
		}
		fillDisk("ballast") // and the second time, the hub has its reserve again
	}
	return nil
}

// upgradeOnFullDisk: without room for the copy, the folder stays as it is, and the next
// step is to make room.
func upgradeOnFullDisk(dir string) error {
	if err := createOld(dir, format-1); err != nil {
		return err
	}
	ballast := filepath.Join(dir, "ballast")
	_ = os.WriteFile(ballast, make([]byte, 700<<10), 0o600)
	for name, open := range openers {
		if _, _, err := open(dir); err == nil || hintOf(err) != "make room on the disk that has the data folder; nothing was changed in it" {
			return fmt.Errorf("%s on a full disk: %w, hint %q", name, err, hintOf(err))
		}
	}
	left, err := fs.Glob(os.DirFS(dir), databaseFile+".*")
	if err != nil || len(left) > 0 {
		return fmt.Errorf("left behind: %q, %w", left, err)
	}
	if err := os.Remove(ballast); err != nil {
		return err
	}
	r, closed, err := openers["command"](dir)
	if err != nil {
		return err
	}
	return errors.Join(checkOld(r, format-1), closed())
}

// createBeside makes a hub's data on another disk than dir.
func createBeside(dir string) (other string, err error) {
	other = filepath.Join(filepath.Dir(dir), "other")
	if err := os.Mkdir(other, 0o700); err != nil {
		return "", err
	}
	return other, createOld(other, format-1)
}

// backUpToFullDisk: a backup that doesn't fit leaves nothing behind; with space it goes to another disk.
func backUpToFullDisk(dir string) error {
	ctx, ballast, file := context.Background(), filepath.Join(dir, "ballast"), filepath.Join(dir, "backup.db")
	data, err := createBeside(dir)
	if err != nil {
		return err
	}
	_ = os.WriteFile(ballast, make([]byte, 900<<10), 0o600)
	if _, err := Backup(ctx, data, file); err == nil || hintOf(err) != "make room on the disk that it is on, or name a file on another one" {
		return fmt.Errorf("to a full disk: %w, hint %q", err, hintOf(err))
	}
	if left := names(dir); len(left) != 1 {
		return fmt.Errorf("left behind: %q", left)
	}
	if err := os.Remove(ballast); err != nil {
		return err
	}
	if c, err := Backup(ctx, data, file); err != nil || c.Documents != 2 {
		return fmt.Errorf("with space again: %+v, %w", c, err)
	}
	return nil
}

// restoreToFullDisk: a backup that doesn't fit leaves the folder as it was; with space it comes from another disk.
func restoreToFullDisk(dir string) error {
	ctx, ballast := context.Background(), filepath.Join(dir, "ballast")
	data, err := createBeside(dir)
	if err != nil {
		return err
	}
	file := filepath.Join(data, "backup.db")
	if _, err := Backup(ctx, data, file); err != nil {
		return err
	}
	db, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	if _, err := db.Put(ctx, desired, docstore.Any, []byte("{}")); err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	before := names(dir)
	_ = os.WriteFile(ballast, make([]byte, 850<<10), 0o600)
	if _, _, err := Restore(ctx, file, dir, true); err == nil || hintOf(err) != "make room on the disk that has the data folder; its data is as it was" {
		return fmt.Errorf("to a full disk: %w, hint %q", err, hintOf(err))
	}
	if err := os.Remove(ballast); err != nil {
		return err
	}
	if after := names(dir); !slices.Equal(after, before) {
		return fmt.Errorf("the folder has %q, and had %q", after, before)
	}
	if db, err = Open(dir, Options{}); err != nil {
		return err
	}
	if doc, err := db.Get(ctx, desired); err != nil || doc.Version != 1 {
		return fmt.Errorf("on the full disk: version %d, %w; want 1", doc.Version, err)
	}
	if err := db.Close(); err != nil {
		return err
	}
	if _, _, err := Restore(ctx, file, dir, true); err != nil {
		return fmt.Errorf("with space again: %w", err)
	}
	if db, err = Open(dir, Options{}); err != nil {
		return err
	}
	return errors.Join(checkOld(db.Registry, format-1), db.Close())
}
