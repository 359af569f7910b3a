// Package postgres keeps documents, devices, tokens and authorities in a PostgreSQL database,
// which many hubs may share: then they are one hub to their clients.
//
// What it promises: a write that was answered is committed, versions never skip, and a condition
// is checked in the very transaction that writes, whichever hub it comes from. Writes that wait are
// sent and committed together, in a few lanes. Nothing is kept of a document beside the database.
//
// What a commit is worth is the server's to say. Every session has synchronous_commit on, or
// remote_apply where the operator has set that; the server must have fsync on, which is its
// default, or a power cut takes writes with it. Where another server takes over when one fails, replication must
// be synchronous (synchronous_standby_names): with asynchronous replication the new server
// lacks the last writes that the old one had answered.
//
// Caveats: PostgreSQL 15 or newer, or what speaks like it; the SQL is plain. Sessions must be the
// hub's own: a pooler that shares them by transaction is refused. Where a connection breaks while a commit is
// under way, its writes have an unknown outcome; the next ones are sent over a new connection.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/peers"
	"github.com/twinpanel/twinpanel/hub/registry"
)

// Connections that a hub holds at most, and how long it waits for the server. Once the store is open, all times are below
// what the hub gives a request (10 s), so that a write which could not begin ends as just that.
const (
	readConnections   = 8
	updateConnections = 4
	laneConnections   = lanes // one each

	hubConnections = readConnections + updateConnections + laneConnections + 2 // one tells, one listens

	openPatience    = 15 * time.Second // for a server to show what it is; upgrading what it holds may take longer
	connectPatience = 4 * time.Second  // for one connection
	pingPatience    = time.Second      // for a connection that wasn't used for a while to prove that it leads anywhere
	patience        = 5 * time.Second  // for a read or a batch of writes

	// The server gives up a statement before the hub does, and says so: then nothing was written.
	statementPatience = 4 * time.Second
)

// Options of [Open]. The zero value suits a hub.
type Options struct {
	// MustExist refuses a database that holds no hub's data, which is [docstore.ErrNoData], instead of starting an
	// empty hub there: for commands that look at what is there.
	MustExist bool
	// Unchanged refuses a database that opening would change: one without a hub's data, which
	// is [docstore.ErrNoData], or of an older hub, which would be upgraded.
	Unchanged bool
	// Unfinished marks what is new as a copy that is not finished: its hub has no id, until the copy gives it one.
	Unfinished bool
	// Logger gets what an operator should know; nil = nobody.
	Logger *slog.Logger
}

// DB is a PostgreSQL database with a hub's data: a [docstore.Store], a [registry.Registry], and the [peers.Link] between the
// hubs on it.
//
// While the server can't be reached or takes no writes, calls fail within seconds; when it is back, they
// work again.
type DB struct {
	reads   *pgxpool.Pool
	updates *pgxpool.Pool // transactions of several round trips
	batches *pgxpool.Pool // what the lanes commit
	telling *pgxpool.Pool // what other hubs are told
	pairs   *pairReader
	lanes   [lanes]lane
	link    *link
	closed  atomic.Bool

	pingAfter time.Duration
}

var (
	_ docstore.Store    = (*DB)(nil)
	_ registry.Registry = (*DB)(nil)
	_ peers.Link        = (*DB)(nil)
)

// Open opens the database at a URL such as postgres://USER:PASSWORD@HOST:5432/DATABASE, in which the hub's tables
// are in the schema twinpanel. What is missing there is made, and what an older hub made is upgraded; many
// hubs may do so at once. PostgreSQL's environment variables (PGPASSWORD …) and ~/.pgpass count too. An @ in a
// password or a parameter has to be written %40, and a # %23.
//
// Errors that a person can do something about have a method Hint() string. None has the password.
func Open(ctx context.Context, url string, o Options) (*DB, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	config, err := parse(url)
	if err != nil {
		return nil, err
	}
	db := &DB{pingAfter: pingAfter}
	err = db.open(ctx, config, o)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the store %s: %w", place(config), explainOpen(err, config)), db.Close())
	}
	return db, nil
}

func (db *DB) open(ctx context.Context, config *pgxpool.Config, o Options) (err error) {
	for _, p := range []struct {
		pool **pgxpool.Pool
		size int32
	}{
		{&db.reads, readConnections},
		{&db.updates, updateConnections},
		{&db.batches, laneConnections},
		{&db.telling, 1},
	} {
		config := config.Copy()
		config.MaxConns = p.size
		if *p.pool, err = pgxpool.NewWithConfig(context.WithoutCancel(ctx), config); err != nil {
			return err
		}
	}
	db.pairs = newPairReader(db)
	for i := range db.lanes {
		db.lanes[i] = newLane(db)
	}
	db.link = newLink(db, o.Logger)
	first, cancel := context.WithTimeout(ctx, openPatience)
	defer cancel()
	conn, err := db.acquire(first, db.updates)
	if err != nil {
		return err
	}
	defer giveBack(conn)
	if err := db.checkSessions(first, conn.Conn()); err != nil {
		return err
	}
	if err := checkServer(first, conn.Conn(), o.Logger); err != nil {
		return err
	}
	if err := migrate(ctx, conn.Conn(), migrations, o); err != nil {
		return err
	}
	return checkRights(ctx, conn.Conn())
}

// Close waits for the writes under way. Calls after it fail with [docstore.ErrClosed].
func (db *DB) Close() error {
	if db.closed.Swap(true) {
		return nil
	}
	for _, l := range db.lanes {
		l.close()
	}
	if db.pairs != nil {
		db.pairs.close()
	}
	if db.link != nil {
		db.link.end()
	}
	for _, pool := range []*pgxpool.Pool{db.telling, db.batches, db.updates, db.reads} {
		if pool != nil {
			pool.Close()
		}
	}
	return nil
}

// reset gives up all connections, after one was found to be dead or to lead to a server that
// takes no writes any more. Those in use are closed when they are given back.
func (db *DB) reset() {
	for _, pool := range []*pgxpool.Pool{db.telling, db.batches, db.updates, db.reads} {
		pool.Reset()
	}
}
