//go:build linux || darwin

package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// TestFullDisk runs writeUntilFull in a process of its own, because its limit
// holds for a whole process.
func TestFullDisk(t *testing.T) {
	out, err := child(t, "full", t.TempDir()).Output()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// writeUntilFull lets files grow no further while documents are written: a
// commit fails halfway, as it does on a full disk.
func writeUntilFull(dir string) error {
	ctx := context.Background()
	db, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	put := func() (uint32, error) { return db.Put(ctx, desired, docstore.Any, make([]byte, 10_000)) }
	if _, err := put(); err != nil {
		return err
	}
	wal, err := os.Stat(filepath.Join(dir, databaseFile+"-wal"))
	if err != nil {
		return err
	}
	enough, err := limitFileSize(uint64(wal.Size() + 100_000))
	if err != nil {
		return err
	}

	var acknowledged uint32
	for version := uint32(1); err == nil; version, err = put() {
		acknowledged = version
	}
	if _, ok := errors.AsType[*docstore.OutcomeError](err); !ok {
		return fmt.Errorf("the write that met the full disk: %w, want an unknown outcome", err)
	}
	if acknowledged < 2 {
		return errors.New("the disk was full too early")
	}
	for _, state := range []string{"full", "free again"} {
		if _, err := put(); err == nil || !strings.Contains(err.Error(), "restart the hub") {
			return fmt.Errorf("a later write with the disk %s: %w, want to be told to restart", state, err)
		}
		if err := db.AddDevice(ctx, registry.Device{Name: "panel"}); err == nil || !strings.Contains(err.Error(), "restart the hub") {
			return fmt.Errorf("a new device with the disk %s: %w, want to be told to restart", state, err)
		}
		if doc, err := db.Get(ctx, desired); err != nil || doc.Version != acknowledged {
			return fmt.Errorf("reading with the disk %s: version %d, %w; acknowledged was %d", state, doc.Version, err, acknowledged)
		}
		if _, err := limitFileSize(enough); err != nil {
			return err
		}
	}
	if err := db.Close(); err != nil {
		return err
	}

	if db, err = Open(dir, Options{}); err != nil {
		return err
	}
	doc, err := db.Get(ctx, desired)
	if err != nil || doc.Version < acknowledged || doc.Version > acknowledged+1 {
		return fmt.Errorf("after the restart: version %d, %w; acknowledged was %d", doc.Version, err, acknowledged)
	}
	if version, err := put(); err != nil || version != doc.Version+1 {
		return fmt.Errorf("writing after the restart: version %d, %w; want %d", version, err, doc.Version+1)
	}
	return db.Close()
}

// TestDatabaseThatCannotBeCopiedTo runs writeUntilNotCopied in a process of its own, as above, and opens what it leaves.
func TestDatabaseThatCannotBeCopiedTo(t *testing.T) {
	dir := t.TempDir()
	out, err := child(t, "copy", dir).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	db := mustOpen(t, dir)
	for line := range strings.FieldsSeq(string(out)) {
		name, version, _ := strings.Cut(line, "=")
		doc, err := db.Get(t.Context(), docstore.Key{Twin: desired.Twin, Name: twin.Name(name)})
		if err != nil || fmt.Sprint(doc.Version) != version {
			t.Errorf("%s: version %d, %v; acknowledged was %s", name, doc.Version, err, version)
		}
	}
	if _, err := db.Put(t.Context(), desired, docstore.Any, []byte("{}")); err != nil {
		t.Errorf("writing after the restart: %v", err)
	}
}

// writeUntilNotCopied lets files grow no further than the WAL ever gets, so that it cannot be copied into the
// growing database. It prints what was acknowledged.
func writeUntilNotCopied(dir string) error {
	ctx := context.Background()
	db, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	db.tx.maxPages = 20
	enough, err := limitFileSize(1 << 20)
	if err != nil {
		return err
	}
	n := 0
	put := func() (docstore.Key, error) {
		n++
		key := docstore.Key{Twin: desired.Twin, Name: twin.Name(fmt.Sprint("document-", n))}
		_, err := db.Put(ctx, key, docstore.Absent, make([]byte, 50_000))
		return key, err
	}
	key, err := put()
	for ; err == nil; key, err = put() {
		fmt.Printf("%s=1\n", key.Name)
	}
	if _, unknown := errors.AsType[*docstore.OutcomeError](err); unknown || !strings.Contains(err.Error(), "restart the hub") || n < 20 {
		return fmt.Errorf("write %d: %w, want a later one, of known outcome, and to be told to restart", n, err)
	}
	if _, err := limitFileSize(enough); err != nil {
		return err
	}
	if _, err := put(); err == nil || !strings.Contains(err.Error(), "restart the hub") {
		return fmt.Errorf("a write when the database may grow again: %w, want to be told to restart", err)
	}
	if list, err := db.List(ctx, desired.Twin); err != nil || len(list) != n-2 {
		return fmt.Errorf("reading: %d documents, %w; acknowledged were %d", len(list), err, n-2)
	}
	// Nor is it copied at the end.
	if err := db.Close(); err != nil {
		return err
	}
	if wal, err := os.Stat(filepath.Join(dir, databaseFile+"-wal")); err != nil || wal.Size() == 0 {
		return fmt.Errorf("the WAL is gone: %w", err)
	}
	return nil
}

// TestCopyCutOffAtItsBeginning runs beginCopyOnFullDisk in a process of its own.
func TestCopyCutOffAtItsBeginning(t *testing.T) {
	out, err := child(t, "begin", t.TempDir()).Output()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// beginCopyOnFullDisk lets no file grow while a folder is opened for a copy: there is no database then. Whoever opens
// it next, a hub or a command, does not take it for a new one.
func beginCopyOnFullDisk(dir string) error {
	for name, open := range map[string]func(dir string) (*Registry, error){
		"hub": func(dir string) (*Registry, error) {
			db, err := Open(dir, Options{})
			if err != nil {
				return nil, err
			}
			return db.Registry, nil
		},
		"command": func(dir string) (*Registry, error) { return OpenRegistry(dir, Options{}) },
	} {
		dir := filepath.Join(dir, name)
		before, err := limitFileSize(0)
		if err != nil {
			return err
		}
		if _, err := Open(dir, Options{Unfinished: true}); err == nil {
			return errors.New("the copy has begun without a byte on the disk")
		}
		if _, err := limitFileSize(before); err != nil {
			return err
		}
		if _, err := os.Lstat(filepath.Join(dir, databaseFile)); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("there is a database: %v", err)
		}
		r, err := open(dir)
		if err != nil {
			return err
		}
		h, err := r.Hub(context.Background())
		if err != nil || h.ID != "" {
			return fmt.Errorf("a %s takes it for the hub %q, error %v", name, h.ID, err)
		}
		if err := r.Close(); err != nil {
			return err
		}
	}
	return nil
}

// limitFileSize sets how far this process can let a file grow and returns the limit before.
func limitFileSize(n uint64) (before uint64, err error) {
	signal.Ignore(syscall.SIGXFSZ) // an error of write then says it
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return 0, err
	}
	before, limit.Cur = limit.Cur, n
	return before, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)
}
