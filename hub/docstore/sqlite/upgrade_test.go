package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/docstore/storetest"
	"github.com/twinpanel/twinpanel/hub/registry"
)

// schema1 is what a hub of format 1 made, to the letter.
const schema1 = `
CREATE TABLE documents (
	twin    TEXT    NOT NULL,
	name    TEXT    NOT NULL,
	version INTEGER NOT NULL CHECK (version BETWEEN 1 AND 4294967295),
	data    BLOB    NOT NULL,
	UNIQUE (twin, name)
) STRICT;
CREATE TABLE devices (
	id                         TEXT    NOT NULL PRIMARY KEY,
	name                       TEXT    NOT NULL UNIQUE,
	allow_insecure             INTEGER NOT NULL CHECK (allow_insecure IN (0, 1)),
	allow_multiple_connections INTEGER NOT NULL CHECK (allow_multiple_connections IN (0, 1)),
	created                    INTEGER NOT NULL
) STRICT;
CREATE TABLE tokens (
	name    TEXT    NOT NULL PRIMARY KEY,
	hash    BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
	created INTEGER NOT NULL
) STRICT;
`

// create1 makes a database file of format 1: two devices, a token, two documents.
func create1(dir string) error {
	path := filepath.Join(dir, databaseFile)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	db, err := connect(path, 1, "synchronous(FULL)")
	if err != nil {
		return err
	}
	hash := registry.HashSecret("secret")
	for _, q := range []struct {
		query string
		args  []any
	}{
		{"PRAGMA journal_mode = WAL", nil},
		{fmt.Sprintf("BEGIN; PRAGMA application_id = %d; PRAGMA user_version = 1; %s COMMIT", applicationID, schema1), nil},
		{"INSERT INTO documents (twin, name, version, data) VALUES (?, 'desired', 7, ?)", []any{string(storetest.Panel), []byte(`{"n":1.10}`)}},
		{"INSERT INTO documents (twin, name, version, data) VALUES (?, 'large', 4294967295, ?)", []any{string(storetest.Panel), large1}},
		{"INSERT INTO devices VALUES (?, 'panel', 1, 0, 1698669296789012)", []any{string(storetest.Panel)}},
		{"INSERT INTO devices VALUES (?, 'other', 0, 1, 1)", []any{string(storetest.Other)}},
		{"INSERT INTO tokens (name, hash, created) VALUES ('app', ?, 2)", []any{hash[:]}},
	} {
		if _, err := db.Exec(q.query, q.args...); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", q.query, err), db.Close())
		}
	}
	return db.Close()
}

var large1 = bytes.Repeat([]byte("x"), 200_000)

func mustCreate1(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := create1(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// check1 says what is missing of what create1 made.
func check1(r *Registry) error {
	ctx := context.Background()
	db := &DB{Registry: r}
	small, err := db.Get(ctx, desired)
	if err != nil || small.Version != 7 || string(small.Data) != `{"n":1.10}` {
		return fmt.Errorf("desired: version %d, %s, %w", small.Version, small.Data, err)
	}
	large, err := db.Get(ctx, docstore.Key{Twin: storetest.Panel, Name: "large"})
	if err != nil || large.Version != 1<<32-1 || !bytes.Equal(large.Data, large1) {
		return fmt.Errorf("large: version %d, %d bytes, %w", large.Version, len(large.Data), err)
	}
	devices, err := r.Devices(ctx)
	want := []registry.Device{
		{ID: storetest.Other, Name: "other", AllowMultipleConnections: true, Created: time.UnixMicro(1).UTC()},
		{ID: storetest.Panel, Name: "panel", AllowInsecure: true, Created: time.UnixMicro(1698669296789012).UTC()},
	}
	if err != nil || len(devices) != 2 || !reflect.DeepEqual(devices[0], want[0]) || !reflect.DeepEqual(devices[1], want[1]) {
		return fmt.Errorf("devices %+v, %w; want %+v", devices, err, want)
	}
	tokens, err := r.Tokens(ctx)
	app := registry.Token{Name: "app", Hash: registry.HashSecret("secret"), Created: time.UnixMicro(2).UTC()}
	if err != nil || len(tokens) != 1 || tokens[0] != app {
		return fmt.Errorf("tokens %+v, %w; want %+v", tokens, err, app)
	}
	return nil
}

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
			dir := mustCreate1(t)
			r, closed, err := open(dir)
			if err != nil {
				t.Fatal(err)
			}
			kept := filepath.Join(dir, "hub.db.format1")
			if r.Kept != kept {
				t.Errorf("kept %q, want %q", r.Kept, kept)
			}
			if err := check1(r); err != nil {
				t.Errorf("after the upgrade: %v", err)
			}
			reader := registry.Token{Name: "reader", Hash: registry.HashSecret("reader"), ReadOnly: true, Device: storetest.Panel}
			if err := r.AddToken(t.Context(), reader); err != nil {
				t.Error(err)
			}
			if got, err := r.TokenByHash(t.Context(), reader.Hash); err != nil || !got.ReadOnly || got.Device != storetest.Panel {
				t.Errorf("a token of the new format: %+v, %v", got, err)
			}
			if err := closed(); err != nil {
				t.Error(err)
			}
			if info, err := os.Stat(kept); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the copy: %v, %v; want mode 0600", info, err)
			}
			if n := formatOf(t, kept); n != 1 {
				t.Errorf("the copy has format %d, want 1", n)
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
			if err := errors.Join(check1(back), closed()); err != nil {
				t.Errorf("the copy: %v", err)
			}
		})
	}
}

// columns lists all that decides what a row may hold.
func columns(t *testing.T, dir string) string {
	t.Helper()
	db, err := connect(filepath.Join(dir, databaseFile), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query("SELECT m.name, c.name, c.type, c.\"notnull\", c.dflt_value, c.pk FROM sqlite_schema m, pragma_table_xinfo(m.name) c WHERE m.type = 'table' ORDER BY m.name, c.cid")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var b strings.Builder
	for rows.Next() {
		var table, column, kind string
		var notNull, key int
		var value sql.NullString
		if err := rows.Scan(&table, &column, &kind, &notNull, &value, &key); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&b, table, column, kind, notNull, value, key)
	}
	return b.String()
}

func TestUpgradedDatabaseIsLikeANewOne(t *testing.T) {
	upgraded, fresh := mustCreate1(t), t.TempDir()
	mustOpen(t, upgraded).Close()
	mustOpen(t, fresh).Close()
	if got, want := columns(t, upgraded), columns(t, fresh); got != want || !strings.Contains(want, "tokens read_only INTEGER 1") {
		t.Errorf("an upgraded database has\n%s\na new one\n%s", got, want)
	}
	for what, query := range map[string]string{
		"read_only of neither 0 nor 1": "INSERT INTO tokens (name, hash, created, read_only) VALUES ('x', zeroblob(32), 0, 2)",
		"no device":                    "INSERT INTO tokens (name, hash, created, device) VALUES ('x', zeroblob(32), 0, NULL)",
	} {
		for _, dir := range []string{upgraded, fresh} {
			db := mustOpen(t, dir)
			db.tx.exec(query)
			if db.tx.err == nil {
				t.Errorf("%s: the schema lets it in", what)
			}
			db.Close()
		}
	}
}

// A command of the old version that began before the upgrade may end after it.
func TestUpgradeBesideAnOldCommand(t *testing.T) {
	dir := mustCreate1(t)
	old, err := connect(filepath.Join(dir, databaseFile), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	add, err := old.Prepare("INSERT INTO tokens (name, hash, created) VALUES (?, ?, ?)")
	if err != nil {
		t.Fatal(err)
	}
	defer add.Close()
	db := mustOpen(t, dir)
	hash := registry.HashSecret("late")
	if _, err := add.Exec("late", hash[:], 0); err != nil {
		t.Error(err)
	}
	if got, err := db.TokenByHash(t.Context(), hash); err != nil || got.Name != "late" || got.ReadOnly || got.Device != "" {
		t.Errorf("its token: %+v, %v; want one that opens everything", got, err)
	}
}

// A hub of the old version would not heed what the new format says.
func TestCommandDoesNotUpgradeUnderAnOldHub(t *testing.T) {
	dir := mustCreate1(t)
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
	dir := mustCreate1(t)
	var wg sync.WaitGroup
	kept := make(chan string, 9)
	for i := range cap(kept) {
		open := openers["command"]
		if i == 4 {
			open = openers["hub"]
		}
		wg.Go(func() {
			r, closed, err := open(dir)
			if err != nil {
				t.Error(err)
				return
			}
			kept <- r.Kept
			if err := errors.Join(check1(r), closed()); err != nil {
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
	dir, killed := mustCreate1(t), filepath.Join(t.TempDir(), "killed")
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
}

func TestUpgradeLeavesWhatIsDamaged(t *testing.T) {
	for name, open := range openers {
		t.Run(name, func(t *testing.T) {
			dir := mustCreate1(t)
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
