package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	pingAfter = time.Second // without use, a connection has to prove that it leads anywhere
	idleKey   = "idle"      // where a connection keeps how long it was not used
)

// errBusy says that no connection became free in time. That doesn't mean that the server is gone: who holds them finds out.
var errBusy = errors.New("all connections to the database are in use")

// noteIdle leaves it to acquire to try a connection: the pool would try all that it has, one after the other.
func noteIdle(_ context.Context, p pgxpool.ShouldPingParams) bool {
	p.Conn.PgConn().CustomData()[idleKey] = p.IdleDuration
	return false
}

// acquire takes a connection from a pool. If it leads nowhere any more, nor do the others, and all are given up.
// Give it back with giveBack.
func (db *DB) acquire(ctx context.Context, pool *pgxpool.Pool) (*pgxpool.Conn, error) {
	for {
		conn, err := pool.Acquire(ctx)
		if err != nil {
			if s := pool.Stat(); ctx.Err() != nil && s.AcquiredConns() == s.MaxConns() {
				return nil, fmt.Errorf("%w: %w", errBusy, err)
			}
			return nil, inOneLine(err)
		}
		if idle, ok := conn.Conn().PgConn().CustomData()[idleKey].(time.Duration); !ok || idle < db.pingAfter {
			return conn, nil
		}
		pinging, cancel := context.WithTimeout(ctx, pingPatience)
		err = conn.Ping(pinging)
		cancel()
		if err == nil {
			return conn, nil
		}
		giveBack(conn)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		db.reset()
	}
}

// giveBack returns a connection to its pool. One that broke cleans up behind itself for up to 15 s; the pool would count
// it for so long, and be full of such connections when the server is back.
func giveBack(conn *pgxpool.Conn) {
	if conn.Conn().IsClosed() {
		conn.Hijack()
		return
	}
	conn.Release()
}
