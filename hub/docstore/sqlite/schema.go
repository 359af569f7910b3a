package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/twinpanel/twinpanel/hub/registry"
)

// The header of the database file says whose it is and which format it has.
const (
	applicationID = 0x54776e50 // "TwnP"; PRAGMA application_id
	format        = 3          // PRAGMA user_version
)

// schema is format 3 of hub.db, a SQLite database in WAL mode.
//
//	documents  one row per document of a twin
//	  twin     the twin's id: a UUID in lower case with dashes
//	  name     the document's name
//	  version  1 to 4294967295
//	  data     the JSON as it was written, digit by digit
//	devices    one row per device
//	  id       the same as its twin's id; documents need no device
//	  read_only        names of documents, with a space between
//	  certificate      DER; fingerprint is its SHA-256. NULL = none of its own
//	  secret           SHA-256 of the MQTT password, which itself is nowhere; NULL = none
//	  message_filters  the vendor's JSON; NULL = its default
//	tokens     one row per token of the REST API
//	  hash     SHA-256 of the secret, which itself is nowhere
//	  device   id of the one device whose twin it opens; empty = every twin
//	hub        one row: what the hub knows about itself
//	authorities  who vouches for the hub and for devices, oldest first
//	  kind         server or device
//	  certificate  DER
//	  private_key  PKCS #8 in DER, a secret; NULL = somebody else has it
//	  cross_signed DER; NULL = none
//
// Times are microseconds since 1970, UTC; 0 = never. Everything here is to be kept and
// trusted; nothing can be computed again.
// Text is compared byte by byte (BINARY, SQLite's default).
//
// Format 1 had no read_only and device of tokens; what it has is all open to all. Format 2
// had no tables hub and authorities, no last_used of tokens, and of devices nothing below
// allow_multiple_connections but created. A database of an older format is upgraded when it is opened.
const schema = `
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
	created                    INTEGER NOT NULL,
	updated                    INTEGER NOT NULL DEFAULT 0,
	last_activity              INTEGER NOT NULL DEFAULT 0,
	description                TEXT    NOT NULL DEFAULT '',
	disabled                   INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
	read_only                  TEXT    NOT NULL DEFAULT '',
	certificate                BLOB,
	fingerprint                BLOB CHECK (length(fingerprint) = 32),
	custom_certificate         INTEGER NOT NULL DEFAULT 0 CHECK (custom_certificate IN (0, 1)),
	secret                     BLOB CHECK (length(secret) = 32),
	message_filters            TEXT
) STRICT;
CREATE UNIQUE INDEX devices_by_fingerprint ON devices (fingerprint);
CREATE TABLE tokens (
	name      TEXT    NOT NULL PRIMARY KEY,
	hash      BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
	created   INTEGER NOT NULL,
	read_only INTEGER NOT NULL DEFAULT 0 CHECK (read_only IN (0, 1)),
	device    TEXT    NOT NULL DEFAULT '',
	last_used INTEGER NOT NULL DEFAULT 0
) STRICT;
` + schemaHub + schemaAuthorities

const schemaHub = `
CREATE TABLE hub (
	only                INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
	id                  TEXT    NOT NULL,
	name                TEXT    NOT NULL,
	graphite            TEXT    NOT NULL,
	auto_provisioning   INTEGER NOT NULL CHECK (auto_provisioning IN (0, 1)),
	project_id          TEXT    NOT NULL,
	organization_id     TEXT    NOT NULL,
	disable_events      INTEGER NOT NULL CHECK (disable_events IN (0, 1)),
	events_topic_prefix TEXT    NOT NULL,
	created             INTEGER NOT NULL,
	updated             INTEGER NOT NULL
) STRICT;
`

const schemaAuthorities = `
CREATE TABLE authorities (
	position     INTEGER NOT NULL PRIMARY KEY,
	kind         TEXT    NOT NULL CHECK (kind IN ('server', 'device')),
	certificate  BLOB    NOT NULL UNIQUE,
	private_key  BLOB,
	cross_signed BLOB,
	created      INTEGER NOT NULL
) STRICT;
`

// maxChecked is the largest database, in bytes, of which every page is checked when a hub
// starts: about a second on a small computer. In a larger one a broken page shows when
// it is read.
const maxChecked = 64 << 20

// prepareDatabase makes sure that there is a database file. A new one gets its
// name when it is complete, so that an empty file is never one of ours, and
// loses against a process that was faster.
func prepareDatabase(path string, o Options) (err error) {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.Size() == 0:
		return &Error{
			Err:  fmt.Errorf("%s is empty: what it held is lost", path),
			hint: "put a backup in its place with hub restore --replace, or remove it to start with an empty hub",
		}
	case errors.Is(err, fs.ErrPermission):
		return notWritable(filepath.Dir(path), err)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	case o.MustExist:
		return noData(filepath.Dir(path))
	}
	hub, mark := registry.NewHub(), path+markSuffix
	if o.Unfinished {
		if err := errors.Join(os.WriteFile(mark, nil, 0o600), syncFolder(filepath.Dir(path))); err != nil {
			return notWritable(filepath.Dir(path), err)
		}
	}
	if _, err := os.Lstat(mark); err == nil { // also one of a copy that was cut off before
		hub.ID = ""
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), databaseFile+newInfix+"*") // mode 0600, which -wal and -shm take over
	if err != nil {
		return notWritable(filepath.Dir(path), err)
	}
	defer func() { err = errors.Join(err, os.Remove(tmp.Name())) }()
	if err := errors.Join(tmp.Close(), giveAway(tmp.Name())); err != nil {
		return err
	}
	if err := create(tmp.Name(), hub); err != nil {
		return fmt.Errorf("creating %s: %w", path, err)
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return &Error{
			Err:  fmt.Errorf("creating %s: %w", path, err),
			hint: "the file system must have hard links, as ext4, APFS and NTFS do, but FAT and some shares do not: choose another folder",
		}
	}
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return err
	}
	if err := os.Remove(mark); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// create fills an empty file.
func create(path string, hub registry.Hub) (err error) {
	db, err := connect(path, 1, "synchronous(FULL)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for _, query := range []string{
		"PRAGMA journal_mode = WAL",
		fmt.Sprintf("BEGIN; PRAGMA application_id = %d; PRAGMA user_version = %d; %s COMMIT", applicationID, format, schema),
	} {
		if _, err := db.Exec(query); err != nil {
			return err
		}
	}
	t, err := newTx(db)
	if err != nil {
		return err
	}
	return errors.Join(makeHub(t, hub), t.close())
}

// checkFormat refuses what is not a database of this format or an older one. It returns its
// format, also when that is a newer one.
func checkFormat(t *tx) (found int64, err error) {
	var id int64
	t.row("PRAGMA application_id", nil, &id)
	found = readFormat(t)
	switch {
	case t.err != nil:
		return 0, t.err
	case id != applicationID:
		return 0, &Error{
			Err:  errors.New("it is a SQLite database, but not a hub's"),
			hint: "choose another folder; nothing was changed in this one",
		}
	case found > format:
		return found, &Error{
			Err:  fmt.Errorf("it was written by a newer hub (format %d, this hub knows %d)", found, format),
			hint: "run the newer hub again, or put a backup that this version made in its place",
		}
	case found < 1:
		return 0, fmt.Errorf("it has format %d, which no hub ever wrote", found)
	}
	return found, nil
}

// checkPages looks for broken pages in a database of up to maxChecked bytes.
func checkPages(t *tx) error {
	var pages, size int64
	t.row("PRAGMA page_count", nil, &pages)
	t.row("PRAGMA page_size", nil, &size)
	if t.err != nil || pages*size > maxChecked {
		return t.err
	}
	var result string
	t.row("PRAGMA quick_check(1)", nil, &result)
	if t.err == nil && result != "ok" {
		return corrupt(errors.New(result))
	}
	return t.err
}

// explain adds to why a data folder's database can't be used, where it is known, what to do.
func explain(path string, err error) error {
	const makeRoom = "make room on the disk that has the data folder; nothing was changed in it"
	if damaged(err) {
		return corrupt(err)
	}
	if lacksShared(err) {
		return &Error{Err: fmt.Errorf("no room for what hub and commands share: %w", err), hint: makeRoom}
	}
	switch resultCode(err) {
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		return notWritable(filepath.Dir(path), err)
	case sqlite3.SQLITE_FULL:
		return &Error{Err: err, hint: makeRoom}
	case sqlite3.SQLITE_BUSY:
		return &Error{Err: err, hint: "another program has locked the database: end it and try again"}
	}
	return err
}

// lacksShared says whether the disk has no room for the file with what SQLite shares between processes.
func lacksShared(err error) bool {
	return extendedCode(err) == sqlite3.SQLITE_IOERR_SHMSIZE
}

// damaged says whether SQLite can't make sense of a file.
func damaged(err error) bool {
	code := resultCode(err)
	return code == sqlite3.SQLITE_NOTADB || code == sqlite3.SQLITE_CORRUPT
}

func corrupt(err error) error {
	return &Error{
		Err:  fmt.Errorf("it is damaged: %w", err),
		hint: "put a backup in its place with hub restore --replace; nothing was changed in this one",
	}
}
