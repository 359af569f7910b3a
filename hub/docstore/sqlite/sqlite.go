// Package sqlite keeps documents, devices, tokens and authorities of one hub in one SQLite
// database, without cgo.
//
// What it promises: a write that was answered is on the disk (WAL with
// synchronous=FULL), versions never skip, and a condition is checked in the
// very transaction that writes. Writes are committed in groups, so that a slow
// disk limits the groups and not the writes.
//
// Caveats: the data folder must be on a local file system with hard links (WAL
// shares memory between processes). A write of a few bytes puts several
// kilobytes on the disk, which wears out SD cards. Nothing else in the process
// may open the database file, not even to read it: closing it would drop the
// locks that SQLite holds.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/docstore/internal/groupcommit"
	"github.com/twinpanel/twinpanel/hub/registry"
)

// Names and limits of a data folder.
const (
	databaseFile = "hub.db" // beside it hub.db-wal and hub.db-shm while it is open, copies of older formats, and what backups replaced
	walSuffix    = "-wal"   // after hub.db: SQLite's log
	newInfix     = ".new-"  // between hub.db and a number: a database that is not complete
	markSuffix   = ".copy"  // after hub.db: a file that says that a copy has begun, while there is no hub.db yet to say it
	lockFile     = "lock"

	readConnections = 4        // reads of one row at the same time
	listConnections = 2        // and of many
	busyTimeout     = 4_000    // ms that a write waits for the write of another process; see below
	checkpointPages = 8000     // of 4 KiB in the WAL before they are copied into the database
	walSizeLimit    = 64 << 20 // bytes that the WAL's file keeps after that

	// A hub that starts needs room for what it shares with commands, hub.db-shm: SQLite cuts that file off and makes it
	// anew, 8 bytes for each page in the WAL. On a full disk anybody may have taken that room, and then nobody could
	// as much as read. So the hub keeps twice as many bytes for such a start.
	reserveSize = 2 * 8 * walSizeLimit / 4096

	lockPatience = time.Second // that a hub waits for the folder's lock
)

// busyTimeout is well below the time that the hub gives a request (10 s). A write that could
// not begin then ends as just that, with nothing written, and so does the one behind it; if
// the request ended first, nobody could tell its outcome.

// Options of [Open] and [OpenRegistry]. The zero value suits a hub.
type Options struct {
	// MustExist refuses a folder that holds no hub's data, instead of starting an
	// empty database there: for commands that look at what is there.
	MustExist bool
	// Unchanged refuses a folder that opening would change: one without a hub's data, which
	// is [docstore.ErrNoData], or of an older hub, which would be upgraded.
	Unchanged bool
	// Unfinished marks what is new as a copy that is not finished: its hub has no id, until the copy gives it one.
	Unfinished bool
}

// DB is a hub's data folder, opened by the hub: a [docstore.Store] and a
// [registry.Registry] on one database.
//
// After a commit that failed for anything but want of space, or a failed copy of the WAL into the
// database, nobody can know what the disk holds. All writes are then refused until another
// process opens the folder; reads go on.
type DB struct {
	*Registry
	lock *os.File
}

var (
	_ docstore.Store    = (*DB)(nil)
	_ registry.Registry = (*DB)(nil)
)

// Open opens the data folder for a hub and creates it if need be. Only one hub
// at a time can have it. A folder of an older hub is upgraded; Kept says where the copy
// is. On Linux, where a full disk has no room for what SQLite needs to open a database, that comes from a reserve in
// the folder, of 256 KiB. Errors that a person can do something about have a method Hint() string.
func Open(dir string, o Options) (*DB, error) {
	if err := prepareFolder(dir, o); err != nil {
		return nil, err
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	if !o.Unchanged {
		err = removeLeftovers(dir)
	}
	var r *Registry
	if err == nil {
		reserve(lock)
		r, err = open(dir, o, true)
	}
	if lacksShared(err) && release(lock) == nil {
		r, err = open(dir, o, true)
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return &DB{r, lock}, nil
}

// Close waits for the writes under way, then lets the next hub have the folder.
func (db *DB) Close() error {
	err := db.Registry.Close()
	if e := db.lock.Close(); !errors.Is(e, os.ErrClosed) { // closing twice is no error
		err = errors.Join(err, e)
	}
	return err
}

// Registry is the part of a data folder that commands change while a hub runs
// on it: all but the documents. Removing a device removes its documents in the
// same transaction.
type Registry struct {
	// Kept is the path of the copy that was kept of the database before it was
	// upgraded from an older format, when that has just happened.
	Kept string

	use     io.Closer // keeps [Restore] out
	readers readers
	reads   *sql.DB // listConnections, query_only
	writes  *sql.DB // one connection, which tx holds
	tx      *tx
	writer  *groupcommit.Writer[*write]
	closed  atomic.Bool
}

var _ registry.Registry = (*Registry)(nil)

// OpenRegistry opens the data folder beside a hub that may be running on it, which must not
// be one of an older version with another format. Its errors are those of [Open].
func OpenRegistry(dir string, o Options) (*Registry, error) {
	if err := prepareFolder(dir, o); err != nil {
		return nil, err
	}
	return open(dir, o, false)
}

// open opens the database of an existing folder, whose lock the caller has or not, or creates it there.
func open(dir string, o Options, locked bool) (*Registry, error) {
	path, err := filepath.Abs(filepath.Join(dir, databaseFile))
	if err != nil {
		return nil, fmt.Errorf("opening data folder: %w", err)
	}
	use, err := shareFolder(dir)
	if err != nil {
		return nil, err
	}
	if err := prepareDatabase(path, o); err != nil {
		return nil, errors.Join(err, use.Close())
	}
	forgetCache(path, path+walSuffix)
	r := &Registry{use: use}
	if err := r.open(path, o, locked); err != nil {
		return nil, errors.Join(fmt.Errorf("opening %s: %w", path, explain(path, err)), r.Close())
	}
	return r, nil
}

func (r *Registry) open(path string, o Options, locked bool) error {
	var err error
	if r.writes, err = connect(path, 1,
		"synchronous(FULL)",
		"wal_autocheckpoint(0)", // see tx.checkpoint
		fmt.Sprintf("journal_size_limit(%d)", walSizeLimit)); err != nil {
		return err
	}
	if r.tx, err = newTx(r.writes); err != nil {
		return err
	}
	found, err := checkFormat(r.tx)
	if err != nil {
		return err
	}
	r.tx.exec("PRAGMA journal_mode = WAL") // a restored backup may have another
	if r.tx.err != nil {
		return r.tx.err
	}
	if locked || found < format { // commands are quick: they don't look at what they don't change
		if err := checkPages(r.tx); err != nil {
			return err
		}
	}
	if found < format && o.Unchanged {
		return &Error{
			Err:  errors.New("it is of an older hub"),
			hint: "start this version of the hub on it once, which upgrades it",
		}
	}
	if found < format {
		if r.Kept, err = upgrade(r.tx, path, locked); err != nil {
			return err
		}
	}
	if err := makeHub(r.tx, registry.NewHub()); err != nil { // one of an older format may have none
		return err
	}
	if r.reads, err = connect(path, listConnections, "query_only(1)"); err != nil {
		return err
	}
	if err := openAll(r.reads); err != nil {
		return err
	}
	if r.readers, err = openReaders(path, readConnections); err != nil {
		return err
	}
	if r.tx.exec("PRAGMA busy_timeout = 0"); r.tx.err != nil { // from here on tx.begin waits
		return r.tx.err
	}
	r.writer = groupcommit.New(r.tx.commitBatch, nil)
	return nil
}

// makeHub gives a database the hub's row if it has none yet.
func makeHub(t *tx, h registry.Hub) error {
	if t.exists("SELECT 1 FROM hub") || t.err != nil {
		return t.err
	}
	t.begin()
	if !t.exists("SELECT 1 FROM hub") {
		t.setHub(h)
	}
	t.exec("COMMIT")
	if err := t.err; err != nil {
		t.rollback()
		return err
	}
	return nil
}

// openAll opens all connections of a pool now: when a flood of clients has taken every
// file that the process may open, requests have to wait for a reader, and not to fail.
func openAll(db *sql.DB) error {
	for range db.Stats().MaxOpenConnections {
		conn, err := db.Conn(context.Background())
		if err != nil {
			return err
		}
		defer conn.Close() // back into the pool
	}
	return nil
}

// connect makes a pool of n connections to an existing database file. They
// are opened when they are needed and then kept.
func connect(path string, n int, pragmas ...string) (*sql.DB, error) {
	return connectTo(path, n, url.Values{
		"mode":    {"rw"}, // a file that vanished must not come back empty
		"_pragma": append([]string{fmt.Sprintf("busy_timeout(%d)", busyTimeout)}, pragmas...),
	})
}

func connectTo(path string, n int, parameters url.Values) (*sql.DB, error) {
	slashed := filepath.ToSlash(path)
	if !strings.HasPrefix(slashed, "/") { // C:/… on Windows
		slashed = "/" + slashed
	}
	dsn := url.URL{Scheme: "file", Path: slashed, RawQuery: parameters.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db, nil
}

// Close waits for the writes under way. Calls after it fail with [docstore.ErrClosed].
func (r *Registry) Close() error {
	if r.closed.Swap(true) {
		return nil
	}
	if r.writer != nil {
		r.writer.Close()
	}
	// The last connection to close copies the WAL into the database: the one that writes. Where that or a commit has failed, it must
	// not be tried on what the kernel has in its cache. The readers then stay open, and there is no last one.
	var errs []error
	if r.tx == nil || r.tx.broken == nil {
		if r.readers != nil {
			errs = append(errs, r.readers.close())
		}
		if r.reads != nil {
			errs = append(errs, r.reads.Close())
		}
	}
	if r.tx != nil {
		errs = append(errs, r.tx.close())
	}
	if r.writes != nil {
		errs = append(errs, r.writes.Close())
	}
	return errors.Join(append(errs, r.use.Close())...)
}
