package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/docstore/storetest"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

var desired = docstore.Key{Twin: storetest.Panel, Name: "desired"}

// fill puts a database with a few documents and a device into a folder and closes it.
func fill(t *testing.T, dir string) {
	t.Helper()
	db := mustOpen(t, dir)
	for _, name := range []twin.Name{"desired", "current", "_config"} {
		if _, err := db.Put(t.Context(), docstore.Key{Twin: storetest.Panel, Name: name}, docstore.Any, bytes.Repeat([]byte("x"), 10_000)); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.AddDevice(t.Context(), registry.Device{ID: storetest.Other, Name: "panel"}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// execute runs a statement on the database file of a folder.
func execute(t *testing.T, dir, query string) {
	t.Helper()
	path := filepath.Join(dir, databaseFile)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	db, err := connect(path, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// change rewrites the database file of a folder.
func change(t *testing.T, dir string, edit func([]byte) []byte) {
	t.Helper()
	path := filepath.Join(dir, databaseFile)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, edit(b), 0o600); err != nil {
		t.Fatal(err)
	}
}

// content is every file of a folder but the lock.
func content(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == lockFile {
			return err
		}
		b, err := os.ReadFile(path)
		files[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// wantRefused checks an error of Open: what it says and its next step.
func wantRefused(t *testing.T, err error, text, hint string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("got error %v, want one with %q", err, text)
		return
	}
	e, ok := errors.AsType[*Error](err)
	if !ok || !strings.Contains(e.Hint(), hint) {
		t.Errorf("error %v has hint %+v, want one with %q", err, e, hint)
	}
}

func TestOpenRefuses(t *testing.T) {
	const backup = "put a backup in its place"
	for _, test := range []struct {
		name       string
		prepare    func(t *testing.T, dir string)
		text, hint string
	}{
		{"an empty file", func(t *testing.T, dir string) {
			fill(t, dir)
			change(t, dir, func([]byte) []byte { return nil })
		}, "is empty", backup},
		{"a text", func(t *testing.T, dir string) {
			fill(t, dir)
			change(t, dir, func([]byte) []byte { return []byte("dear diary") })
		}, "damaged", backup},
		{"a long text", func(t *testing.T, dir string) {
			fill(t, dir)
			change(t, dir, func([]byte) []byte { return bytes.Repeat([]byte("dear diary, "), 10_000) })
		}, "damaged", backup},
		{"half a database", func(t *testing.T, dir string) {
			fill(t, dir)
			change(t, dir, func(b []byte) []byte { return b[:len(b)/2] })
		}, "damaged", backup},
		{"a broken page", func(t *testing.T, dir string) {
			fill(t, dir)
			change(t, dir, func(b []byte) []byte {
				copy(b[4096:], bytes.Repeat([]byte{0xff}, 4096))
				return b
			})
		}, "damaged", backup},
		{"a database of something else", func(t *testing.T, dir string) {
			execute(t, dir, "CREATE TABLE diary (entry TEXT)")
		}, "not a hub's", "choose another folder"},
		{"a newer format", func(t *testing.T, dir string) {
			fill(t, dir)
			execute(t, dir, "PRAGMA user_version = 4")
		}, "newer hub (format 4, this hub knows 3)", "run the newer hub"},
		{"a file in the place of the folder", func(t *testing.T, dir string) {
			if err := errors.Join(os.Remove(dir), os.WriteFile(dir, nil, 0o600)); err != nil {
				t.Fatal(err)
			}
		}, "is not a folder", "name a folder"},
		{"a folder in the place of the file", func(t *testing.T, dir string) {
			if err := os.MkdirAll(filepath.Join(dir, databaseFile), 0o700); err != nil {
				t.Fatal(err)
			}
		}, "cannot be written", "choose another one"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			test.prepare(t, dir)
			before := content(t, dir)
			_, err := Open(dir, Options{})
			wantRefused(t, err, test.text, test.hint)
			if err != nil && !strings.Contains(err.Error(), dir) {
				t.Errorf("%q doesn't name %s", err, dir)
			}
			if test.name != "a broken page" { // commands don't read every page
				_, err = OpenRegistry(dir, Options{})
				wantRefused(t, err, test.text, test.hint)
			}
			after := content(t, dir)
			for path := range before {
				if after[path] != before[path] {
					t.Errorf("%s was changed", path)
				}
			}
			if len(after) != len(before) {
				t.Errorf("%d files became %d", len(before), len(after))
			}
		})
	}
}

func TestOpenRefusesNoFolder(t *testing.T) {
	_, err := Open("", Options{})
	wantRefused(t, err, "no data folder", "name the folder")
	_, err = OpenRegistry("", Options{})
	wantRefused(t, err, "no data folder", "name the folder")

	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Open(filepath.Join(file, "data"), Options{})
	wantRefused(t, err, "cannot be written", "choose another one")
}

func TestOpenMustExist(t *testing.T) {
	empty := t.TempDir()
	missing := filepath.Join(empty, "data")
	for _, dir := range []string{missing, empty} {
		_, err := OpenRegistry(dir, Options{MustExist: true})
		wantRefused(t, err, "no hub's data in "+dir, "check the folder's name")
	}
	if files := content(t, empty); len(files) != 0 {
		t.Errorf("looking for data left %v behind", files)
	}
}

func TestOpenUnchanged(t *testing.T) {
	empty := t.TempDir()
	for _, dir := range []string{empty, filepath.Join(empty, "data")} {
		_, err := Open(dir, Options{Unchanged: true})
		wantRefused(t, err, "no hub's data in "+dir, "check the folder's name")
		if !errors.Is(err, docstore.ErrNoData) {
			t.Errorf("%s: got %v, want ErrNoData", dir, err)
		}
	}
	if files := content(t, empty); len(files) != 0 {
		t.Errorf("looking for data left %v behind", files)
	}

	old := mustCreateOld(t, 2)
	before := content(t, old)
	_, err := Open(old, Options{Unchanged: true})
	wantRefused(t, err, "it is of an older hub", "start this version")
	if after := content(t, old); !maps.Equal(after, before) {
		t.Errorf("looking at a folder of an older hub changed it: %v, before %v", slices.Sorted(maps.Keys(after)), slices.Sorted(maps.Keys(before)))
	}

	dir := t.TempDir()
	if err := mustOpen(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	before = content(t, dir)
	db, err := Open(dir, Options{Unchanged: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Devices(t.Context()); err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if after := content(t, dir); !maps.Equal(after, before) {
		t.Errorf("looking at a folder changed it: %v, before %v", slices.Sorted(maps.Keys(after)), slices.Sorted(maps.Keys(before)))
	}
}

// A copy is killed when its database has just got its name: nobody takes that for an empty hub.
func TestOpenMarksAnUnfinishedCopyFromTheFirst(t *testing.T) {
	killed := t.TempDir()
	if err := prepareDatabase(filepath.Join(killed, databaseFile), Options{Unfinished: true}); err != nil {
		t.Fatal(err)
	}
	db := mustOpen(t, killed)
	if h, err := db.Hub(t.Context()); err != nil || h.ID != "" || h.Created.IsZero() {
		t.Errorf("a new folder has the hub %+v, %v; want one without an id", h, err)
	}
	if _, err := os.Lstat(filepath.Join(killed, databaseFile+markSuffix)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the mark of its beginning: %v, want it gone", err)
	}

	there := t.TempDir()
	fill(t, there)
	db, err := Open(there, Options{Unfinished: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if h, err := db.Hub(t.Context()); err != nil || h.ID == "" {
		t.Errorf("a folder that was there has the hub %+v, %v; want its id", h, err)
	}
}

func TestSecondHubIsRefused(t *testing.T) {
	dir := t.TempDir()
	first := mustOpen(t, dir)
	_, err := Open(dir, Options{})
	wantRefused(t, err, "data folder "+dir+" is in use by another hub", "stop that hub")
	if _, err := first.Put(t.Context(), desired, docstore.Any, []byte("{}")); err != nil {
		t.Errorf("the first hub cannot write any more: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := mustOpen(t, dir)
	if _, err := second.Get(t.Context(), desired); err != nil {
		t.Errorf("after the first hub has closed: %v", err)
	}
}

func TestOpenIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "var", "hub")
	db := mustOpen(t, dir)
	if _, err := db.Put(t.Context(), desired, docstore.Any, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{
		"..": fs.ModeDir | 0o700, ".": fs.ModeDir | 0o700,
		"hub.db": 0o600, "hub.db-wal": 0o600, "hub.db-shm": 0o600, "lock": 0o600,
	} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v; want mode %v", name, info, err, want)
		}
	}
}

func TestCloseLeavesOneFile(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir)
	if files := slices.Collect(maps.Keys(content(t, dir))); !slices.Equal(files, []string{filepath.Join(dir, databaseFile)}) {
		t.Errorf("after Close the folder has %q, want the database alone", files)
	}
}

func TestOpenKeepsData(t *testing.T) {
	// Characters that mean something in a SQLite URI.
	dir := filepath.Join(t.TempDir(), "a folder?mode=memory&x=%41#1")
	fill(t, dir)
	db := mustOpen(t, dir)
	if doc, err := db.Get(t.Context(), desired); err != nil || doc.Version != 1 {
		t.Errorf("after reopening: version %d, %v; want 1", doc.Version, err)
	}
	if d, err := db.Device(t.Context(), storetest.Other); err != nil || d.Name != "panel" {
		t.Errorf("after reopening: device %+v, %v", d, err)
	}
	if _, err := os.Stat(filepath.Join(dir, databaseFile)); err != nil {
		t.Error(err)
	}
}

// A copy that SQLite made opens like the original, although it is not in WAL mode.
func TestOpenBackup(t *testing.T) {
	dir, restored := t.TempDir(), t.TempDir()
	fill(t, dir)
	execute(t, dir, "VACUUM INTO '"+filepath.Join(restored, databaseFile)+"'")
	db := mustOpen(t, restored)
	if doc, err := db.Get(t.Context(), desired); err != nil || doc.Version != 1 {
		t.Errorf("version %d, %v; want 1", doc.Version, err)
	}
	var mode string
	if err := db.reads.QueryRow("PRAGMA journal_mode").Scan(&mode); err != nil || mode != "wal" {
		t.Errorf("journal mode %q, %v; want wal", mode, err)
	}
}

func TestDurabilitySettings(t *testing.T) {
	db := mustOpen(t, t.TempDir())
	var version string
	db.tx.row("SELECT sqlite_version()", nil, &version)
	if !atLeast(version, 3, 51, 3) {
		t.Errorf("SQLite %q, want 3.51.3 or later: earlier ones can damage a database when the WAL starts over", version)
	}
	for pragma, want := range map[string]int{"synchronous": 2, "wal_autocheckpoint": 0} {
		var got int
		if db.tx.row("PRAGMA "+pragma, nil, &got); got != want {
			t.Errorf("PRAGMA %s = %d, want %d", pragma, got, want)
		}
	}
	if db.tx.err != nil {
		t.Error(db.tx.err)
	}
	if _, err := db.reads.Exec("DELETE FROM documents"); err == nil {
		t.Error("a connection for lists can write")
	}
	if _, err := db.readers.row(t.Context(), "DELETE FROM documents", nil); err == nil {
		t.Error("a reader can write")
	}
}

// atLeast says whether a version like 3.51.3 is not older than the one given.
func atLeast(version string, want ...int) bool {
	got := make([]int, 3)
	n, err := fmt.Sscanf(version, "%d.%d.%d", &got[0], &got[1], &got[2])
	return err == nil && n == 3 && slices.Compare(got, want) >= 0
}

func TestOpenRemovesLeftovers(t *testing.T) {
	dir := t.TempDir()
	for name, age := range map[string]time.Duration{"hub.db.new-1": 2 * time.Minute, "hub.db.new-2": 0, "hub.db.backup": time.Hour} {
		path, then := filepath.Join(dir, name), time.Now().Add(-age)
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chtimes(path, then, then)); err != nil {
			t.Fatal(err)
		}
	}
	command, err := OpenRegistry(dir, Options{}) // has no lock
	if err != nil {
		t.Fatal(err)
	}
	command.Close()
	if files := content(t, dir); len(files) != 4 {
		t.Errorf("after a command the folder has %q, want nothing removed", slices.Collect(maps.Keys(files)))
	}
	fill(t, dir)
	var got []string
	for _, path := range slices.Sorted(maps.Keys(content(t, dir))) {
		got = append(got, filepath.Base(path))
	}
	if want := []string{"hub.db", "hub.db.backup", "hub.db.new-2"}; !slices.Equal(got, want) {
		t.Errorf("the folder has %q, want %q", got, want)
	}
}

func TestOpenHasAllReaders(t *testing.T) {
	db := mustOpen(t, t.TempDir())
	if n := len(db.readers); n != readConnections {
		t.Errorf("%d readers are open and idle, want %d", n, readConnections)
	}
	if s := db.reads.Stats(); s.OpenConnections != listConnections || s.Idle != listConnections {
		t.Errorf("%d connections for lists are open and %d of them idle, want %d", s.OpenConnections, s.Idle, listConnections)
	}
}

// What opens something, a device's password or a token, is kept as a hash: neither is in
// any file of the folder, also not in the log of what was written.
func TestDataFolderHoldsNoSecret(t *testing.T) {
	dir := t.TempDir()
	db, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	token, opens, err := registry.NewToken("app")
	if err != nil {
		t.Fatal(err)
	}
	d, err := registry.NewDevice("panel")
	if err != nil {
		t.Fatal(err)
	}
	password := registry.NewSecret()
	d.Secret = registry.HashSecret(password)
	if err := errors.Join(db.AddToken(t.Context(), token), db.AddDevice(t.Context(), d)); err != nil {
		t.Fatal(err)
	}
	check := func(when string) {
		for path, data := range content(t, dir) {
			for _, secret := range []string{opens, strings.ReplaceAll(opens, "-", ""), password} {
				if strings.Contains(data, secret) {
					t.Errorf("%s, %s holds the secret %s", when, filepath.Base(path), secret)
				}
			}
		}
	}
	check("open")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	check("closed")
}
