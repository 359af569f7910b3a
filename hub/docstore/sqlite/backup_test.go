package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/docstore/storetest"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

func TestBackupRefuses(t *testing.T) {
	const existing = "does not exist yet"
	for _, test := range []struct {
		name       string
		prepare    func(t *testing.T, dir, file string)
		text, hint string
	}{
		{"a folder that isn't there", func(t *testing.T, dir, _ string) {
			if err := os.Remove(dir); err != nil {
				t.Fatal(err)
			}
		}, "no hub's data in", "check the folder's name"},
		{"a folder without data", func(*testing.T, string, string) {}, "no hub's data in", "check the folder's name"},
		{"an empty database", func(t *testing.T, dir, _ string) {
			fill(t, dir)
			change(t, dir, func([]byte) []byte { return nil })
		}, "is empty", "hub restore"},
		{"a text", func(t *testing.T, dir, _ string) {
			fill(t, dir)
			change(t, dir, func([]byte) []byte { return []byte("dear diary") })
		}, "damaged", "hub restore"},
		{"half a database", func(t *testing.T, dir, _ string) {
			fill(t, dir)
			change(t, dir, func(b []byte) []byte { return b[:len(b)/2] })
		}, "damaged", "hub restore"},
		{"a broken page", func(t *testing.T, dir, _ string) {
			fill(t, dir)
			change(t, dir, func(b []byte) []byte {
				copy(b[4096:], bytes.Repeat([]byte{0xff}, 4096))
				return b
			})
		}, "damaged", "hub restore"},
		{"a database of something else", func(t *testing.T, dir, _ string) {
			execute(t, dir, "CREATE TABLE diary (entry TEXT)")
		}, "not a hub's", "choose another folder"},
		{"a newer format", func(t *testing.T, dir, _ string) {
			fill(t, dir)
			execute(t, dir, "PRAGMA user_version = 4")
		}, "newer hub (format 4, this hub knows 3)", "run the newer hub"},
		{"an existing file", func(t *testing.T, dir, file string) {
			fill(t, dir)
			if err := os.WriteFile(file, []byte("an earlier backup"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "file already exists", existing},
		{"a folder in the place of the file", func(t *testing.T, dir, file string) {
			fill(t, dir)
			if err := os.Mkdir(file, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "file already exists", existing},
		{"a file in a folder that isn't there", func(t *testing.T, dir, file string) {
			fill(t, dir)
			if err := os.Remove(filepath.Dir(file)); err != nil {
				t.Fatal(err)
			}
		}, "no such file", "folder that exists"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir, file := t.TempDir(), filepath.Join(t.TempDir(), "backup.db")
			test.prepare(t, dir, file)
			before, beside := content(t, filepath.Dir(dir)), names(filepath.Dir(file))
			_, err := Backup(t.Context(), dir, file)
			wantRefused(t, err, test.text, test.hint)
			if after := content(t, filepath.Dir(dir)); !maps.Equal(after, before) {
				t.Errorf("the folders were changed: %d files, then %d", len(before), len(after))
			}
			if after := names(filepath.Dir(file)); !slices.Equal(after, beside) {
				t.Errorf("beside the file there were %q, then %q", beside, after)
			}
		})
	}
}

// names are those in a folder, none if it isn't there.
func names(dir string) (all []string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestBackupEndsWithItsContext(t *testing.T) {
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "backup.db")
	fill(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Backup(ctx, dir, file); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
	if left := names(filepath.Dir(file)); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// fillAll puts something of everything into a database.
func fillAll(t *testing.T, db *DB) {
	t.Helper()
	panel := registry.Device{
		ID: storetest.Panel, Name: "panel", Description: "in the hall", ReadOnly: []twin.Name{"desired"}, Certificate: []byte("certificate"),
		Secret: registry.HashSecret("secret"), MessageFilters: []byte("{}"), Created: time.UnixMicro(1), LastActivity: time.UnixMicro(2),
	}
	app := registry.Token{Name: "app", Hash: registry.HashSecret("token"), Device: storetest.Panel, ReadOnly: true, Created: time.UnixMicro(3)}
	_, hubErr := db.UpdateHub(t.Context(), func(h *registry.Hub) error {
		h.Graphite = "https://1:secret@graphs.example/metrics"
		return nil
	})
	_, authoritiesErr := db.UpdateAuthorities(t.Context(), func([]registry.Authority) ([]registry.Authority, error) {
		return []registry.Authority{
			{Kind: registry.ServerAuthority, Certificate: []byte("server"), Key: []byte("server's key"), Created: time.UnixMicro(4)},
			{Kind: registry.DeviceAuthority, Certificate: []byte("device"), Key: []byte("device's key"), Created: time.UnixMicro(5)},
		}, nil
	})
	for _, err := range []error{
		db.AddDevice(t.Context(), panel), db.AddToken(t.Context(), app), hubErr, authoritiesErr,
		db.Set(t.Context(), desired, docstore.Document{Version: 7, Data: []byte(`{"n":1.10}`)}),
		db.Set(t.Context(), docstore.Key{Twin: storetest.Panel, Name: "current"}, docstore.Document{Version: 9, Data: oldLarge}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// all is everything in a database.
func all(t *testing.T, db *DB) (everything []any) {
	t.Helper()
	devices, devicesErr := db.Devices(t.Context())
	tokens, tokensErr := db.Tokens(t.Context())
	hub, hubErr := db.Hub(t.Context())
	authorities, authoritiesErr := db.Authorities(t.Context())
	documents, listErr := db.List(t.Context(), storetest.Panel)
	if err := errors.Join(devicesErr, tokensErr, hubErr, authoritiesErr, listErr); err != nil {
		t.Fatal(err)
	}
	everything = []any{devices, tokens, hub, authorities}
	for _, name := range documents {
		everything = append(everything, name, get(t, db, name))
	}
	return everything
}

// All of a hub moves to another folder by a backup, made while the hub runs.
func TestBackupAndRestore(t *testing.T) {
	dir, file, moved := t.TempDir(), filepath.Join(t.TempDir(), "a backup?mode=memory&x=%41#1"), filepath.Join(t.TempDir(), "var", "hub")
	db := mustOpen(t, dir)
	fillAll(t, db)
	want := all(t, db)
	made, err := Backup(t.Context(), dir, file)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Content{Format: format, Documents: 2, Devices: 1, Tokens: 1, Authorities: 2, Bytes: made.Bytes}); made != want {
		t.Errorf("Backup = %+v, want %+v", made, want)
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 || info.Size() != made.Bytes || made.Bytes < int64(len(oldLarge)) {
		t.Errorf("the file: %v, %v; want mode 0600 and %d bytes", info, err, made.Bytes)
	}
	if left := names(filepath.Dir(file)); len(left) != 1 {
		t.Errorf("beside the backup there is %q", left)
	}
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if version, err := db.Put(t.Context(), desired, 7, []byte("{}")); err != nil || version != 8 {
		t.Errorf("the hub after its backup: version %d, %v; want 8", version, err)
	}

	restored, replaced, err := Restore(t.Context(), file, moved, false)
	if err != nil || restored != made || replaced != "" {
		t.Fatalf("Restore = %+v, %q, %v; want %+v", restored, replaced, err, made)
	}
	if got := names(moved); !slices.Equal(got, []string{databaseFile, lockFile}) {
		t.Errorf("the restored folder has %q", got)
	}
	for _, path := range []string{moved, filepath.Join(moved, databaseFile)} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v; want that nobody else can read it", path, info, err)
		}
	}
	again := mustOpen(t, moved)
	if got := all(t, again); !reflect.DeepEqual(got, want) {
		t.Errorf("restored\n%v\nwant\n%v", got, want)
	}
	if version, err := again.Put(t.Context(), desired, 7, []byte("{}")); err != nil || version != 8 {
		t.Errorf("the restored hub: version %d, %v; want 8", version, err)
	}
	if after, err := os.ReadFile(file); err != nil || !bytes.Equal(after, before) || len(names(filepath.Dir(file))) != 1 {
		t.Errorf("the backup is not as it was: %d bytes, then %d, %v", len(before), len(after), err)
	}
}

// Who is about to run a newer hub makes a backup first, with whichever of the two.
func TestBackupOfAnOlderFormat(t *testing.T) {
	forOldFormats(t, func(t *testing.T, old int64, dir string) {
		file, moved := filepath.Join(t.TempDir(), "backup.db"), t.TempDir()
		before := content(t, dir)
		made, err := Backup(t.Context(), dir, file)
		want := Content{Format: old, Documents: 2, Devices: 2, Tokens: old, Bytes: made.Bytes}
		if err != nil || made != want {
			t.Fatalf("Backup = %+v, %v; want %+v", made, err, want)
		}
		if after := content(t, dir); !maps.Equal(after, before) {
			t.Errorf("the folder was changed: %d files, then %d", len(before), len(after))
		}
		if restored, _, err := Restore(t.Context(), file, moved, false); err != nil || restored != made {
			t.Fatalf("Restore = %+v, %v; want %+v", restored, err, made)
		}
		if n := formatOf(t, filepath.Join(moved, databaseFile)); n != int(old) {
			t.Errorf("restored in format %d, want %d", n, old)
		}
		db := mustOpen(t, moved)
		if err := checkOld(db.Registry, old); err != nil || db.Kept == "" {
			t.Errorf("opened, with the copy %q: %v", db.Kept, err)
		}
	})
}

// A backup of a hub that writes without pause is one moment of it: all that was answered
// before it began, nothing that was not asked for before it ended, and nothing torn.
func TestBackupUnderLoad(t *testing.T) {
	const backups = 5
	dir, files := t.TempDir(), t.TempDir()
	db := mustOpen(t, dir)
	var asked, answered [8]atomic.Uint32
	key := func(writer int) docstore.Key {
		return docstore.Key{Twin: storetest.Panel, Name: twin.Name(fmt.Sprint("n", writer))}
	}
	data := func(writer int, version uint32) []byte {
		return fmt.Appendf(nil, "%d %d %0*d", writer, version, version%5*800, 0)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var writers, begun sync.WaitGroup
	for w := range asked {
		begun.Add(1)
		writers.Go(func() {
			for version := uint32(1); ctx.Err() == nil; version++ {
				asked[w].Store(version)
				if got, err := db.Put(t.Context(), key(w), docstore.Any, data(w, version)); err != nil || got != version {
					t.Errorf("writer %d: version %d, %v; want %d", w, got, err, version)
					stop()
				}
				answered[w].Store(version)
				if version == 1 {
					begun.Done()
				}
			}
		})
	}
	begun.Wait()
	var least, most [backups][len(asked)]uint32
	for n := range backups {
		for w := range answered {
			least[n][w] = answered[w].Load()
		}
		if _, err := Backup(t.Context(), dir, filepath.Join(files, fmt.Sprint(n))); err != nil {
			t.Fatal(err)
		}
		for w := range asked {
			most[n][w] = asked[w].Load()
		}
	}
	stop()
	writers.Wait()
	moved := 0
	for n := range backups {
		folder := t.TempDir()
		if _, _, err := Restore(t.Context(), filepath.Join(files, fmt.Sprint(n)), folder, false); err != nil {
			t.Fatal(err)
		}
		restored := mustOpen(t, folder)
		for w := range asked {
			doc, err := restored.Get(t.Context(), key(w))
			if err != nil || doc.Version < least[n][w] || doc.Version > most[n][w] || !bytes.Equal(doc.Data, data(w, doc.Version)) {
				t.Errorf("backup %d, document %d: version %d with %.20q, %v; want one from %d to %d", n, w, doc.Version, doc.Data, err, least[n][w], most[n][w])
			}
			if most[n][w] > least[n][w] {
				moved++
			}
		}
	}
	if moved == 0 {
		t.Error("nothing was written while backups were made")
	}
}
