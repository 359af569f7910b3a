package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/docstore/storetest"
	"github.com/twinpanel/twinpanel/hub/registry"
)

// oldSchemas are what hubs of older formats made, to the letter.
var oldSchemas = map[int64]string{
	1: `
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
`,
	2: `
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
	name      TEXT    NOT NULL PRIMARY KEY,
	hash      BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
	created   INTEGER NOT NULL,
	read_only INTEGER NOT NULL DEFAULT 0 CHECK (read_only IN (0, 1)),
	device    TEXT    NOT NULL DEFAULT ''
) STRICT;
`,
}

// createOld makes a database file of an older format: two devices, a token or two, two documents.
func createOld(dir string, old int64) error {
	path := filepath.Join(dir, databaseFile)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	db, err := connect(path, 1, "synchronous(FULL)")
	if err != nil {
		return err
	}
	type query struct {
		query string
		args  []any
	}
	hash := registry.HashSecret("secret")
	queries := []query{
		{"PRAGMA journal_mode = WAL", nil},
		{fmt.Sprintf("BEGIN; PRAGMA application_id = %d; PRAGMA user_version = %d; %s COMMIT", applicationID, old, oldSchemas[old]), nil},
		{"INSERT INTO documents (twin, name, version, data) VALUES (?, 'desired', 7, ?)", []any{string(storetest.Panel), []byte(`{"n":1.10}`)}},
		{"INSERT INTO documents (twin, name, version, data) VALUES (?, 'large', 4294967295, ?)", []any{string(storetest.Panel), oldLarge}},
		{"INSERT INTO devices VALUES (?, 'panel', 1, 0, 1698669296789012)", []any{string(storetest.Panel)}},
		{"INSERT INTO devices VALUES (?, 'other', 0, 1, 1)", []any{string(storetest.Other)}},
		{"INSERT INTO tokens (name, hash, created) VALUES ('app', ?, 2)", []any{hash[:]}},
	}
	if old >= 2 {
		reader := registry.HashSecret("reader")
		queries = append(queries, query{"INSERT INTO tokens VALUES ('reader', ?, 3, 1, ?)", []any{reader[:], string(storetest.Panel)}})
	}
	for _, q := range queries {
		if _, err := db.Exec(q.query, q.args...); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", q.query, err), db.Close())
		}
	}
	return db.Close()
}

var oldLarge = bytes.Repeat([]byte("x"), 200_000)

func mustCreateOld(t *testing.T, old int64) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := createOld(dir, old); err != nil {
		t.Fatal(err)
	}
	return dir
}

// forOldFormats runs a test for each older format, with a folder of that format.
func forOldFormats(t *testing.T, test func(t *testing.T, old int64, dir string)) {
	for old := int64(1); old < format; old++ {
		t.Run(fmt.Sprint("format ", old), func(t *testing.T) { test(t, old, mustCreateOld(t, old)) })
	}
}

// checkOld says what is missing of what createOld made.
func checkOld(r *Registry, old int64) error {
	ctx := context.Background()
	db := &DB{Registry: r}
	small, err := db.Get(ctx, desired)
	if err != nil || small.Version != 7 || string(small.Data) != `{"n":1.10}` {
		return fmt.Errorf("desired: version %d, %s, %w", small.Version, small.Data, err)
	}
	large, err := db.Get(ctx, docstore.Key{Twin: storetest.Panel, Name: "large"})
	if err != nil || large.Version != 1<<32-1 || !bytes.Equal(large.Data, oldLarge) {
		return fmt.Errorf("large: version %d, %d bytes, %w", large.Version, len(large.Data), err)
	}
	devices, err := r.Devices(ctx)
	wantDevices := []registry.Device{
		{ID: storetest.Other, Name: "other", AllowMultipleConnections: true, Created: time.UnixMicro(1).UTC()},
		{ID: storetest.Panel, Name: "panel", AllowInsecure: true, Created: time.UnixMicro(1698669296789012).UTC()},
	}
	if err != nil || !reflect.DeepEqual(devices, wantDevices) {
		return fmt.Errorf("devices %+v, %w; want %+v", devices, err, wantDevices)
	}
	tokens, err := r.Tokens(ctx)
	wantTokens := []registry.Token{{Name: "app", Hash: registry.HashSecret("secret"), Created: time.UnixMicro(2).UTC()}}
	if old >= 2 {
		wantTokens = append(wantTokens, registry.Token{
			Name: "reader", Hash: registry.HashSecret("reader"), Created: time.UnixMicro(3).UTC(), ReadOnly: true, Device: storetest.Panel,
		})
	}
	if err != nil || !slices.Equal(tokens, wantTokens) {
		return fmt.Errorf("tokens %+v, %w; want %+v", tokens, err, wantTokens)
	}
	if hub, err := r.Hub(ctx); err != nil || hub.ID == "" || hub.Created.IsZero() {
		return fmt.Errorf("hub %+v, %w; want one with an id", hub, err)
	}
	if all, err := r.Authorities(ctx); err != nil || len(all) > 0 {
		return fmt.Errorf("authorities %+v, %w; want none", all, err)
	}
	return nil
}
