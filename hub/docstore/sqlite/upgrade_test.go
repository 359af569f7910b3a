package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore/storetest"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// formatOf reads a database file's format with nothing of this package's checks.
func formatOf(t *testing.T, path string) (n int) {
	t.Helper()
	db, err := connect(path, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow("PRAGMA user_version").Scan(&n); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return n
}

// openers are the two ways to open a folder.
var openers = map[string]func(dir string) (*Registry, func() error, error){
	"hub": func(dir string) (*Registry, func() error, error) {
		db, err := Open(dir, Options{})
		if err != nil {
			return nil, nil, err
		}
		return db.Registry, db.Close, nil
	},
	"command": func(dir string) (*Registry, func() error, error) {
		r, err := OpenRegistry(dir, Options{MustExist: true})
		if err != nil {
			return nil, nil, err
		}
		return r, r.Close, nil
	},
}

func TestOpenUpgradesAndKeepsACopy(t *testing.T) {
	for name, open := range openers {
		t.Run(name, func(t *testing.T) {
			forOldFormats(t, func(t *testing.T, old int64, dir string) { testUpgrade(t, open, old, dir) })
		})
	}
}

func testUpgrade(t *testing.T, open func(dir string) (*Registry, func() error, error), old int64, dir string) {
	r, closed, err := open(dir)
	if err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(dir, fmt.Sprint("hub.db.format", old))
	if r.Kept != kept {
		t.Errorf("kept %q, want %q", r.Kept, kept)
	}
	if err := checkOld(r, old); err != nil {
		t.Errorf("after the upgrade: %v", err)
	}
	id, err := r.Hub(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// What only the new format can hold.
	secret := registry.HashSecret("secret")
	if d, err := r.UpdateDevice(t.Context(), storetest.Panel, func(d *registry.Device) error {
		d.Secret, d.ReadOnly = secret, []twin.Name{"desired"}
		return nil
	}); err != nil || d.Secret != secret || !d.AllowInsecure {
		t.Errorf("a device of the new format: %+v, %v", d, err)
	}
	if err := closed(); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(kept); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the copy: %v, %v; want mode 0600", info, err)
	}
	if n := formatOf(t, kept); n != int(old) {
		t.Errorf("the copy has format %d, want %d", n, old)
	}
	if n := formatOf(t, filepath.Join(dir, databaseFile)); n != format {
		t.Errorf("the database has format %d, want %d", n, format)
	}

	again, closed, err := open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if again.Kept != "" {
		t.Errorf("the second time it was upgraded again")
	}
	if h, err := again.Hub(t.Context()); err != nil || h != id {
		t.Errorf("the second time the hub is %+v, %v; want %+v", h, err, id)
	}
	if err := closed(); err != nil {
		t.Error(err)
	}

	// The copy is complete: it opens, too, in the database's place.
	restored := t.TempDir()
	if err := os.Rename(kept, filepath.Join(restored, databaseFile)); err != nil {
		t.Fatal(err)
	}
	back, closed, err := open(restored)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(checkOld(back, old), closed()); err != nil {
		t.Errorf("the copy: %v", err)
	}
}

// schemaOf is all that decides what a database may hold, without what SQLite makes of it by
// itself and without white space, which ALTER TABLE sets in its own way.
func schemaOf(t *testing.T, dir string) []string {
	t.Helper()
	db, err := connect(filepath.Join(dir, databaseFile), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query("SELECT sql FROM sqlite_schema WHERE sql NOT NULL ORDER BY name")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			t.Fatal(err)
		}
		all = append(all, strings.Join(strings.Fields(one), ""))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestUpgradedDatabaseIsLikeANewOne(t *testing.T) {
	fresh := t.TempDir()
	mustOpen(t, fresh).Close()
	want := schemaOf(t, fresh)
	forOldFormats(t, func(t *testing.T, _ int64, dir string) {
		mustOpen(t, dir).Close()
		if got := schemaOf(t, dir); !slices.Equal(got, want) {
			t.Errorf("the upgraded database has\n%s\na new one\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
	// What no hub writes stays out of both, since they have the same schema.
	for what, query := range map[string]string{
		"a flag that is neither 0 nor 1":   "UPDATE devices SET disabled = 2",
		"a secret that is no hash":         "UPDATE devices SET secret = x'00'",
		"a fingerprint that is no hash":    "UPDATE devices SET fingerprint = zeroblob(31)",
		"two hubs":                         "INSERT INTO hub SELECT 2, id, name, '', 0, '', '', 0, '', 0, 0 FROM hub",
		"an authority of no kind":          "INSERT INTO authorities VALUES (0, 'app', x'00', NULL, NULL, 0)",
		"a device of a token that is NULL": "INSERT INTO tokens (name, hash, created, device) VALUES ('x', zeroblob(32), 0, NULL)",
	} {
		db := mustOpen(t, fresh)
		db.tx.exec("INSERT INTO devices (id, name, allow_insecure, allow_multiple_connections, created) VALUES ('x', 'x', 0, 0, 0) ON CONFLICT DO NOTHING")
		if db.tx.err != nil {
			t.Fatal(db.tx.err)
		}
		db.tx.exec(query)
		if db.tx.err == nil {
			t.Errorf("%s: the schema lets it in", what)
		}
		db.Close()
	}
}

// A command of the old version that began before the upgrade may end after it.
func TestUpgradeBesideAnOldCommand(t *testing.T) {
	forOldFormats(t, func(t *testing.T, _ int64, dir string) {
		old, err := connect(filepath.Join(dir, databaseFile), 1)
		if err != nil {
			t.Fatal(err)
		}
		defer old.Close()
		addToken, err := old.Prepare("INSERT INTO tokens (name, hash, created) VALUES (?, ?, ?)")
		if err != nil {
			t.Fatal(err)
		}
		defer addToken.Close()
		addDevice, err := old.Prepare("INSERT INTO devices (id, name, allow_insecure, allow_multiple_connections, created) VALUES ('late', 'late', 1, 0, 5)")
		if err != nil {
			t.Fatal(err)
		}
		defer addDevice.Close()
		db := mustOpen(t, dir)
		hash := registry.HashSecret("late")
		if _, err := addToken.Exec("late", hash[:], 0); err != nil {
			t.Error(err)
		}
		if _, err := addDevice.Exec(); err != nil {
			t.Error(err)
		}
		if got, err := db.TokenByHash(t.Context(), hash); err != nil || got.Name != "late" || got.ReadOnly || got.Device != "" {
			t.Errorf("its token: %+v, %v; want one that opens everything", got, err)
		}
		want := registry.Device{ID: "late", Name: "late", AllowInsecure: true, Created: time.UnixMicro(5).UTC()}
		if got, err := db.DeviceByName(t.Context(), "late"); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("its device: %+v, %v; want %+v", got, err, want)
		}
	})
}

// A hub of the old version would not heed what the new format says.
func TestCommandDoesNotUpgradeUnderAnOldHub(t *testing.T) {
	dir := mustCreateOld(t, format-1)
	lock, err := openLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	before := content(t, dir)
	path := filepath.Join(dir, databaseFile)
	db, err := connect(path, 1)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := newTx(db)
	if err != nil {
		t.Fatal(err)
	}
	tx.patience = 10 * time.Millisecond // the test need not wait for real
	_, err = upgrade(tx, path, false)
	wantRefused(t, err, "the hub that runs on it is older", "stop that hub")
	if err := errors.Join(tx.close(), db.Close()); err != nil {
		t.Error(err)
	}
	if after := content(t, dir); len(after) != len(before) || after[path] != before[path] {
		t.Errorf("the folder was changed: %d files, then %d", len(before), len(after))
	}
}

// A new version's hub and many of its commands start on an old folder at the same time.
func TestUpgradeOnceWhenManyOpen(t *testing.T) {
	dir := mustCreateOld(t, format-1)
	var wg sync.WaitGroup
	kept := make(chan string, 9)
	for i := range cap(kept) {
		open := openers["command"]
		if i == 4 {
			open = openers["hub"]
		}
		wg.Go(func() {
			r, closed, err := open(dir)
			for err != nil && strings.Contains(err.Error(), "in use by another hub") { // a command still upgrades, on a slow computer
				r, closed, err = open(dir)
			}
			if err != nil {
				t.Error(err)
				return
			}
			kept <- r.Kept
			if err := errors.Join(checkOld(r, format-1), closed()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	close(kept)
	copies := 0
	for path := range kept {
		if path != "" {
			copies++
		}
	}
	if copies != 1 {
		t.Errorf("the folder was upgraded %d times", copies)
	}
}

// What a killed hub left in the WAL is in the copy and in the upgraded database.
func TestUpgradeAfterAKill(t *testing.T) {
	forOldFormats(t, func(t *testing.T, _ int64, dir string) {
		killed := filepath.Join(t.TempDir(), "killed")
		old, err := connect(filepath.Join(dir, databaseFile), 1, "wal_autocheckpoint(0)")
		if err != nil {
			t.Fatal(err)
		}
		defer old.Close()
		if _, err := old.Exec("UPDATE documents SET version = 8 WHERE name = 'desired'"); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		db := mustOpen(t, killed)
		if doc := get(t, db, "desired"); doc.Version != 8 {
			t.Errorf("version %d, want 8", doc.Version)
		}
		restored := t.TempDir()
		if err := os.Rename(db.Kept, filepath.Join(restored, databaseFile)); err != nil {
			t.Fatal(err)
		}
		if doc := get(t, mustOpen(t, restored), "desired"); doc.Version != 8 {
			t.Errorf("version %d in the copy, want 8", doc.Version)
		}
	})
}

func TestUpgradeLeavesWhatIsDamaged(t *testing.T) {
	for name, open := range openers {
		t.Run(name, func(t *testing.T) {
			dir := mustCreateOld(t, format-1)
			change(t, dir, func(b []byte) []byte {
				copy(b[4096:], bytes.Repeat([]byte{0xff}, 4096))
				return b
			})
			before := content(t, dir)
			_, _, err := open(dir)
			wantRefused(t, err, "damaged", "put a backup in its place")
			after := content(t, dir)
			path := filepath.Join(dir, databaseFile)
			if len(after) != len(before) || after[path] != before[path] {
				t.Errorf("the folder was changed: %d files, then %d", len(before), len(after))
			}
		})
	}
}
