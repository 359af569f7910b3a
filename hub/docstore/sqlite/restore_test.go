package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/docstore/storetest"
	"github.com/twinpanel/twinpanel/hub/registry"
)

// mustBackup makes a hub's data, and a backup of it, in which desired has a version.
func mustBackup(t *testing.T, version uint32) (file string) {
	t.Helper()
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "backup.db")
	db := mustOpen(t, dir)
	err := db.Set(t.Context(), desired, docstore.Document{Version: version, Data: []byte("{}")})
	if err == nil {
		_, err = Backup(t.Context(), dir, file)
	}
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return file
}

// mustHold opens a folder and looks at the version of desired.
func mustHold(t *testing.T, dir string, version uint32) {
	t.Helper()
	db := mustOpen(t, dir)
	if doc := get(t, db, "desired"); doc.Version != version {
		t.Errorf("%s has version %d, want %d", dir, doc.Version, version)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// mustHoldKept looks at a database that was put aside.
func mustHoldKept(t *testing.T, path string, version uint32) {
	t.Helper()
	dir := t.TempDir()
	if _, _, err := Restore(t.Context(), path, dir, false); err != nil {
		t.Fatalf("what was kept: %v", err)
	}
	mustHold(t, dir, version)
}

func TestRestoreRefusesFiles(t *testing.T) {
	const hint = "name a file that hub backup has written"
	edit := func(edit func([]byte) []byte) func(*testing.T, string) {
		return func(t *testing.T, file string) {
			b, err := os.ReadFile(file)
			if err == nil {
				err = os.WriteFile(file, edit(b), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	database := func(queries ...string) func(*testing.T, string) {
		return func(t *testing.T, file string) {
			db, err := connect(file, 1)
			for _, query := range queries {
				if err == nil {
					_, err = db.Exec(query)
				}
			}
			if err := errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, test := range []struct {
		name       string
		prepare    func(t *testing.T, file string)
		text, hint string
	}{
		{"that isn't there", func(t *testing.T, file string) {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}, "no such file", hint},
		{"that is a folder", func(t *testing.T, file string) {
			if err := errors.Join(os.Remove(file), os.Mkdir(file, 0o700)); err != nil {
				t.Fatal(err)
			}
		}, "not a file", hint},
		{"that is empty", edit(func([]byte) []byte { return nil }), "it is empty", hint},
		{"with a text", edit(func([]byte) []byte { return []byte("dear diary") }), "damaged", hint},
		{"with a long text", edit(func([]byte) []byte { return bytes.Repeat([]byte("dear diary, "), 10_000) }), "damaged", hint},
		{"cut off in a page", edit(func(b []byte) []byte { return b[:len(b)-100] }), "damaged", hint},
		{"cut off after a page", edit(func(b []byte) []byte { return b[:len(b)-4096] }), "damaged", hint},
		{"cut off after the first page", edit(func(b []byte) []byte { return b[:4096] }), "damaged", hint},
		{"cut off in the header", edit(func(b []byte) []byte { return b[:50] }), "not a hub's", hint},
		{"with a broken page", edit(func(b []byte) []byte {
			copy(b[len(b)-4096:], bytes.Repeat([]byte{0xff}, 4096))
			return b
		}), "damaged", hint},
		{"of another program", database("PRAGMA application_id = 1"), "a SQLite database, but not a hub's", hint},
		{"of no format", database("PRAGMA user_version = 0"), "format 0, which no hub ever wrote", hint},
		{"of a newer format", database("PRAGMA user_version = 4"), "newer hub (format 4, this hub knows 3)", "a newer one"},
		{"without a table", database("DROP TABLE tokens"), "no such table: tokens", hint},
		{"from a folder in use", func(t *testing.T, file string) {
			if err := os.WriteFile(file+"-wal", []byte("the last writes"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "a part of it is in ", "hub backup"},
		{"from a folder in use, with a journal", func(t *testing.T, file string) {
			if err := os.WriteFile(file+"-journal", []byte("the last writes"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "a part of it is in ", "hub backup"},
	} {
		t.Run(test.name, func(t *testing.T) {
			file, dir, missing := mustBackup(t, 3), t.TempDir(), filepath.Join(t.TempDir(), "data")
			test.prepare(t, file)
			fill(t, dir)
			before, beside := content(t, dir), content(t, filepath.Dir(file))
			for _, replace := range []bool{false, true} {
				for _, folder := range []string{dir, missing} {
					_, _, err := Restore(t.Context(), file, folder, replace)
					wantRefused(t, err, file+" cannot be restored: ", test.hint)
					wantRefused(t, err, test.text, test.hint)
				}
			}
			if after := content(t, dir); !maps.Equal(after, before) {
				t.Errorf("the folder was changed: %d files, then %d", len(before), len(after))
			}
			if after := content(t, filepath.Dir(file)); !maps.Equal(after, beside) {
				t.Errorf("the backup was changed: %d files, then %d", len(beside), len(after))
			}
			if _, err := os.Stat(missing); err == nil {
				t.Error("a folder was made for nothing")
			}
		})
	}
}

func TestRestoreRefusesFolders(t *testing.T) {
	for _, test := range []struct {
		name       string
		prepare    func(t *testing.T, dir string)
		replace    bool
		text, hint string
	}{
		{"with data", fill, false, "has a hub's data already", "--replace"},
		{"with an empty database", func(t *testing.T, dir string) {
			fill(t, dir)
			change(t, dir, func([]byte) []byte { return nil })
		}, false, "has a hub's data already", "--replace"},
		{"with the last writes alone", func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, databaseFile+"-wal"), []byte("the last writes"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, false, "has a hub's data already", "--replace"},
		{"that a hub works on", func(t *testing.T, dir string) { mustOpen(t, dir) }, false, "in use by another hub", "stop that hub"},
		{"to replace while a hub works on it", func(t *testing.T, dir string) { mustOpen(t, dir) }, true, "in use by another hub", "stop that hub"},
		{"to replace, which is a file", func(t *testing.T, dir string) {
			if err := errors.Join(os.Remove(dir), os.WriteFile(dir, nil, 0o600)); err != nil {
				t.Fatal(err)
			}
		}, true, "is not a folder", "name a folder"},
		{"that isn't named", nil, true, "no data folder is named", "name the folder"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel() // some wait for a lock
			file, dir := mustBackup(t, 3), t.TempDir()
			if test.prepare != nil {
				test.prepare(t, dir)
			}
			before := content(t, dir)
			if test.prepare == nil {
				dir = ""
			}
			_, _, err := Restore(t.Context(), file, dir, test.replace)
			wantRefused(t, err, test.text, test.hint)
			if dir == "" {
				return
			}
			if after := content(t, dir); !maps.Equal(after, before) {
				t.Errorf("the folder was changed: %q, then %q", slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after)))
			}
		})
	}
}

// A command, or another program, that is at work must not have the database taken from under it.
func TestRestoreRefusesADatabaseInUse(t *testing.T) {
	file, dir := mustBackup(t, 3), t.TempDir()
	fill(t, dir)
	path := filepath.Join(dir, databaseFile)
	command, err := OpenRegistry(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer command.Close()
	_, _, err = Restore(t.Context(), file, dir, true)
	wantRefused(t, err, dir+" is in use by another program", "when that program has ended")
	d := registry.Device{ID: storetest.Panel, Name: "late"}
	if err := errors.Join(command.AddDevice(t.Context(), d), command.Close()); err != nil {
		t.Errorf("the command: %v", err)
	}

	other, err := connect(path, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	rows, err := other.Query("SELECT name FROM devices")
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = Restore(t.Context(), file, dir, true)
	wantRefused(t, err, path+" is in use by another program", "when that program has ended")
	if err := errors.Join(rows.Close(), other.Close()); err != nil {
		t.Error(err)
	}
	if got := names(dir); !slices.Equal(got, []string{databaseFile, lockFile}) {
		t.Errorf("the folder has %q", got)
	}

	_, replaced, err := Restore(t.Context(), file, dir, true)
	if err != nil {
		t.Fatal(err)
	}
	mustHold(t, dir, 3)
	before := t.TempDir()
	if _, _, err := Restore(t.Context(), replaced, before, false); err != nil {
		t.Fatal(err)
	}
	if _, err := mustOpen(t, before).DeviceByName(t.Context(), "late"); err != nil {
		t.Errorf("what the command has added: %v", err)
	}
}

func TestRestoreEndsWithItsContext(t *testing.T) {
	file, dir := mustBackup(t, 3), t.TempDir()
	fill(t, dir)
	before := content(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Restore(ctx, file, dir, true); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
	if after := content(t, dir); !maps.Equal(after, before) {
		t.Errorf("the folder was changed: %d files, then %d", len(before), len(after))
	}
}

func TestRestoreKeepsWhatItReplaces(t *testing.T) {
	dir := t.TempDir()
	if _, replaced, err := Restore(t.Context(), mustBackup(t, 1), dir, true); err != nil || replaced != "" {
		t.Fatalf("into an empty folder: kept %q, %v", replaced, err)
	}
	for n := uint32(1); n <= 3; n++ {
		_, replaced, err := Restore(t.Context(), mustBackup(t, n+1), dir, true)
		if want := filepath.Join(dir, fmt.Sprint("hub.db.replaced-", n)); err != nil || replaced != want {
			t.Fatalf("kept %q, %v; want %q", replaced, err, want)
		}
		if info, err := os.Stat(replaced); err != nil || info.Mode() != 0o600 {
			t.Errorf("what was kept: %v, %v; want mode 0600", info, err)
		}
		mustHoldKept(t, replaced, n)
		mustHold(t, dir, n+1)
	}
	if got := names(dir); !slices.Equal(got, []string{"hub.db", "hub.db.replaced-1", "hub.db.replaced-2", "hub.db.replaced-3", "lock"}) {
		t.Errorf("the folder has %q", got)
	}
}

func TestRestoreThatCannotRename(t *testing.T) {
	for _, filled := range []bool{false, true} {
		dir := t.TempDir()
		if filled {
			fill(t, dir)
		}
		path := filepath.Join(dir, databaseFile)
		_, err := putInPlace(filepath.Join(dir, "nosuch"), path)
		if err == nil || strings.Contains(err.Error(), "the database from before") != filled || strings.Contains(err.Error(), "whole in "+path+".replaced-1") != filled {
			t.Errorf("with a database before %t: got %v", filled, err)
		}
	}
}

// killedHub makes a folder with a database and writes in its WAL, as a killed hub leaves them.
func killedHub(t *testing.T) (dir string) {
	t.Helper()
	running := t.TempDir()
	db := mustOpen(t, running)
	if _, err := db.Put(t.Context(), desired, docstore.Any, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(t.TempDir(), "killed")
	if err := errors.Join(os.CopyFS(dir, os.DirFS(running)), db.Close()); err != nil {
		t.Fatal(err)
	}
	if unfinished(filepath.Join(dir, databaseFile)) == "" {
		t.Fatal("there is nothing in the WAL")
	}
	return dir
}

func TestRestoreAfterAKill(t *testing.T) {
	dir := killedHub(t)
	_, replaced, err := Restore(t.Context(), mustBackup(t, 7), dir, true)
	if err != nil {
		t.Fatal(err)
	}
	if got := names(dir); !slices.Equal(got, []string{"hub.db", "hub.db.replaced-1", "lock"}) {
		t.Errorf("the folder has %q", got)
	}
	mustHold(t, dir, 7)
	mustHoldKept(t, replaced, 1)
}

// The database of a hub that has ended is a backup as well, and stays what it is.
func TestRestoreOfADatabase(t *testing.T) {
	source, dir := t.TempDir(), t.TempDir()
	fill(t, source)
	before := content(t, source)
	if c, _, err := Restore(t.Context(), filepath.Join(source, databaseFile), dir, false); err != nil || c.Documents != 3 || c.Devices != 1 {
		t.Errorf("Restore = %+v, %v; want 3 documents and a device", c, err)
	}
	mustHold(t, dir, 1)
	if after := content(t, source); !maps.Equal(after, before) {
		t.Errorf("its folder was changed: %d files, then %d", len(before), len(after))
	}
}

// What is damaged is kept as it is, with what was beside it, and the backup is as good as in a new folder.
func TestRestoreReplacesWhatIsDamaged(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"empty":      func([]byte) []byte { return nil },
		"text":       func([]byte) []byte { return []byte("dear diary") },
		"half":       func(b []byte) []byte { return b[:len(b)/2+100] },
		"first page": func(b []byte) []byte { clear(b[20:4096]); return b },
	} {
		t.Run(name, func(t *testing.T) {
			dir := killedHub(t)
			path := filepath.Join(dir, databaseFile)
			change(t, dir, damage)
			before := content(t, dir)
			_, replaced, err := Restore(t.Context(), mustBackup(t, 7), dir, true)
			if err != nil || replaced != path+".replaced-1" {
				t.Fatalf("kept %q, %v", replaced, err)
			}
			after := content(t, dir)
			wal, walKept := after[path+"-wal"]
			if walKept || after[path+"-shm"] != "" {
				t.Errorf("a WAL of %d bytes of the old database is beside the new one", len(wal))
			}
			// SQLite may have made sense of it, and made one file of it.
			if whole := unfinished(replaced) == ""; !whole && (after[replaced] != before[path] || after[replaced+"-wal"] != before[path+"-wal"]) {
				t.Error("what was damaged is not kept as it was")
			}
			mustHold(t, dir, 7)
		})
	}
}

// Commands add devices while backups take the database's place again and again. Each device
// that was added is in the database of that time, which is kept.
func TestRestoreBesideCommands(t *testing.T) {
	const rounds, commands = 10, 20
	dir, file := t.TempDir(), mustBackup(t, 3)
	if _, _, err := Restore(t.Context(), file, dir, false); err != nil {
		t.Fatal(err)
	}
	add := func(name string) error {
		r, err := OpenRegistry(dir, Options{MustExist: true})
		for err != nil && strings.Contains(err.Error(), "in use by") { // by a restore on a slow computer
			r, err = OpenRegistry(dir, Options{MustExist: true})
		}
		if err != nil {
			return err
		}
		d, err := registry.NewDevice(name)
		return errors.Join(err, r.AddDevice(t.Context(), d), r.Close())
	}
	want := make(map[string]bool)
	for round := range rounds {
		var running sync.WaitGroup
		for n := range commands {
			name := fmt.Sprint("device ", round, " ", n)
			want[name] = true
			running.Go(func() {
				if err := add(name); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		_, _, err := Restore(t.Context(), file, dir, true)
		for err != nil && strings.Contains(err.Error(), "in use by another program") { // on a slow computer
			_, _, err = Restore(t.Context(), file, dir, true)
		}
		if err != nil {
			t.Error(err)
		}
		running.Wait()
	}
	databases, err := filepath.Glob(filepath.Join(dir, databaseFile+"*"))
	if err != nil || len(databases) != rounds+1 {
		t.Fatalf("the folder has %q, %v", databases, err)
	}
	got := make(map[string]bool)
	for _, path := range databases {
		folder := t.TempDir()
		if _, _, err := Restore(t.Context(), path, folder, false); err != nil {
			t.Fatal(err)
		}
		devices, err := mustOpen(t, folder).Devices(t.Context())
		if err != nil {
			t.Error(err)
		}
		for _, d := range devices {
			got[d.Name] = true
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("%d devices are there, want %d", len(got), len(want))
	}
}
