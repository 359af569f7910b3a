package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
)

// unprepared has a statement leave nothing in its session: for what is said once in it, and before it is known whose the session is.
const unprepared = pgx.QueryExecModeExec

// prepareSession sets what every session needs. A commit is answered when it is on the server's disk and its
// synchronous standbys', even if the server's default is weaker. A statement that waits too long gives up before
// its request does. A transaction whose hub is gone lets go of what it has locked; one that was cut off in the middle
// of a batch is not idle in PostgreSQL's sense, so the server has to find out by TCP that nobody is there. The
// TCP settings are for that; on a Unix socket they do nothing. A session that only waits, as one that listens does, is not
// ended for that. What not every server has is set where it is known.
func prepareSession(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `SELECT
		set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false),
		set_config('client_min_messages', 'warning', false),
		set_config('statement_timeout', $1, false),
		set_config('idle_in_transaction_session_timeout', $1, false),
		(SELECT count(set_config(name, wanted, false)) FROM pg_settings JOIN (VALUES
			('tcp_keepalives_idle', '5'), ('tcp_keepalives_interval', '2'), ('tcp_keepalives_count', '3'), ('tcp_user_timeout', '11000'),
			('idle_session_timeout', '0')
		) AS known (name, wanted) USING (name))`,
		unprepared, strconv.FormatInt(statementPatience.Milliseconds(), 10))
	return err
}

// sessionMark is a setting that no server knows, and each keeps for a session like any other.
const sessionMark = "twinpanel.session"

var errShared = &Error{
	Err:  errors.New("a pooler before the server shares its sessions between transactions"),
	hint: "name the server itself, or let the pooler keep a session for each connection: pool_mode = session in PgBouncer",
}

// checkSessions refuses sessions that others get between two transactions: who listens there hears nothing, and what
// [prepareSession] asks of commits holds for others. With a second connection it shows: that one gets
// the session that the first has just used, or the first gets another one.
func (db *DB) checkSessions(ctx context.Context, conn *pgx.Conn) error {
	second, err := db.acquire(ctx, db.updates)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Err: fmt.Errorf("a second connection: %w", err), hint: connectionsHint}
	case err != nil:
		return err
	}
	defer giveBack(second)
	word := rand.Text()
	if _, err := conn.Exec(ctx, "SELECT set_config($1, $2, false)", unprepared, sessionMark, word); err != nil {
		return err
	}
	for _, session := range []struct {
		*pgx.Conn
		marked bool
	}{{second.Conn(), false}, {conn, true}} {
		var mark string
		if err := session.QueryRow(ctx, "SELECT coalesce(current_setting($1, true), '')", unprepared, sessionMark).Scan(&mark); err != nil {
			return err
		}
		if (mark == word) != session.marked {
			return errShared
		}
	}
	return nil
}
