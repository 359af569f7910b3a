package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const claimPatience = time.Second

const (
	claimDatabase = "SELECT pg_try_advisory_lock(hashtext('twinpanel'))"
	tryClaim      = "SELECT pg_try_advisory_xact_lock_shared(hashtext('twinpanel'))" // for the moment
	countHubs     = `SELECT count(*) FROM twinpanel.hubs WHERE id <> $1 AND until > clock_timestamp()`
)

// ErrInUse is in the error of whoever claims a database on which others work.
var ErrInUse = errors.New("the database is in use")

// A Claim keeps a database for one that must be alone on it, such as a copy. It ends with its process.
type Claim struct {
	db   *DB
	conn *pgx.Conn // whose session has the lock
}

// Claim claims the database. The error has [ErrInUse] when hubs run on it or somebody else has claimed it.
// A hub that starts looks for claims, see [DB.CheckUnclaimed]; one that started at the same moment is found by [Claim.Check].
func (db *DB) Claim(ctx context.Context) (*Claim, error) {
	pooled, err := db.acquire(ctx, db.updates)
	if err != nil {
		return nil, fmt.Errorf("claiming the database: %w", err)
	}
	c := &Claim{db, pooled.Hijack()}
	claimed, err := tryLock(ctx, c.conn, claimDatabase)
	switch {
	case err != nil:
		err = fmt.Errorf("claiming the database: %w", err)
	case !claimed:
		err = &Error{
			Err:  fmt.Errorf("%w by another copy or import", ErrInUse),
			hint: "wait for its end; or source and destination are the same database",
		}
	default:
		err = c.Check(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// CheckUnclaimed returns an error with [ErrInUse] while somebody has claimed the database.
func (db *DB) CheckUnclaimed(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := db.acquire(ctx, db.updates)
	if err != nil {
		return fmt.Errorf("looking for claims of the database: %w", err)
	}
	defer giveBack(conn)
	switch free, err := tryLock(ctx, conn.Conn(), tryClaim); {
	case isUnsupported(err): // then nobody can claim it
		return nil
	case err != nil:
		return fmt.Errorf("looking for claims of the database: %w", err)
	case !free:
		return &Error{
			Err:  fmt.Errorf("%w by a copy or an import", ErrInUse),
			hint: "wait for its end; after a copy from here, start the hub on the other place",
		}
	}
	return nil
}

// tryLock waits a moment for a session that the server has still to find broken: its process was killed just now.
func tryLock(ctx context.Context, conn *pgx.Conn, sql string) (locked bool, err error) {
	for end := time.Now().Add(claimPatience); ; time.Sleep(20 * time.Millisecond) {
		err = conn.QueryRow(ctx, sql).Scan(&locked)
		if err != nil || locked || time.Now().After(end) {
			return locked, err
		}
	}
}

// Check returns an error if the claim is lost, or hubs run on the database.
func (c *Claim) Check(ctx context.Context) error {
	var hubs int
	if err := c.conn.QueryRow(ctx, countHubs, c.db.link.sender).Scan(&hubs); err != nil {
		return fmt.Errorf("looking for hubs on the database: %w", err)
	}
	if hubs > 0 {
		return &Error{
			Err:  fmt.Errorf("%w by hubs that run on it: %d", ErrInUse, hubs),
			hint: "stop them all; one that was killed counts for ten seconds more",
		}
	}
	return nil
}

// Close gives the claim up.
func (c *Claim) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return c.conn.Close(ctx)
}
