package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/twinpanel/twinpanel/hub/docstore"
)

// begin needs no more than to see what is committed when a statement begins: what a transaction depends on, it locks.
const begin = "BEGIN ISOLATION LEVEL READ COMMITTED"

// A transaction is one of several round trips, for what is rare.
type transaction struct {
	tx      pgx.Tx
	ctx     context.Context
	cancel  context.CancelFunc
	decided bool
}

// A failure is an error of the database, in contrast to a reason for which work refuses.
type failure struct{ error }

func (f *failure) Unwrap() error { return f.error }

// decide asks the caller what to write, who can't be asked again: from here on the transaction is
// not repeated, and goes on when the caller's context ends.
func (t *transaction) decide(change func() error) error {
	t.decided = true
	defer t.detach()
	return change()
}

// detach gives what follows a time of its own.
func (t *transaction) detach() {
	t.cancel()
	t.ctx, t.cancel = context.WithTimeout(context.WithoutCancel(t.ctx), patience)
}

// exec runs a statement and returns how many rows it is about.
func (t *transaction) exec(sql string, args ...any) (int64, error) {
	tag, err := t.tx.Exec(t.ctx, sql, args...)
	if err != nil {
		return 0, &failure{err}
	}
	return tag.RowsAffected(), nil
}

// queryOne scans the one row of a query and says whether there is one.
func queryOne[T any](t *transaction, scan pgx.RowToFunc[T], sql string, args ...any) (one T, ok bool, err error) {
	all, err := queryAll(t, scan, sql, args...)
	if len(all) == 0 {
		return one, false, err
	}
	return all[0], true, err
}

func queryAll[T any](t *transaction, scan pgx.RowToFunc[T], sql string, args ...any) ([]T, error) {
	rows, err := t.tx.Query(t.ctx, sql, args...)
	if err != nil {
		return nil, &failure{err}
	}
	all, err := pgx.CollectRows(rows, scan)
	if err != nil {
		return nil, &failure{err}
	}
	return all, nil
}

// transact runs work in a transaction, again if others were in its way, and commits it unless work returns
// an error. Once the caller has decided what to write, it waits for the server and not for the caller's context.
func (db *DB) transact(ctx context.Context, work func(*transaction) error) error {
	if db.closed.Load() {
		return docstore.ErrClosed
	}
	var final error // of an attempt that must be the last one
	err := retry(ctx, func() error {
		decided, err := db.tryTransact(ctx, work)
		if decided {
			final = err
			return nil
		}
		return err
	})
	if err == nil {
		err = final
	}
	if f, ok := errors.AsType[*failure](err); ok {
		return explainWrite(f.error)
	}
	return err
}

func (db *DB) tryTransact(ctx context.Context, work func(*transaction) error) (decided bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	t := new(transaction)
	t.ctx, t.cancel = context.WithTimeout(ctx, patience)
	defer func() { t.cancel() }()
	defer func() {
		_, failed := errors.AsType[*failure](err)
		_, unknown := errors.AsType[*docstore.OutcomeError](err)
		if (failed || unknown) && lost(err) {
			db.reset()
		}
	}()
	conn, err := db.acquire(t.ctx, db.updates)
	if err != nil {
		if db.closed.Load() {
			return false, docstore.ErrClosed
		}
		return false, &failure{err}
	}
	defer giveBack(conn)
	if t.tx, err = conn.BeginTx(t.ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}); err != nil {
		return false, &failure{err}
	}
	defer func() { // also when work panics; after a commit there is nothing to roll back
		t.detach()
		_ = t.tx.Rollback(t.ctx)
	}()
	if err := work(t); err != nil {
		return t.decided, err
	}
	t.detach()
	_ = takeWarning(conn.Conn().PgConn())
	if err := t.tx.Commit(t.ctx); err != nil {
		if err = commitError(err); refused(err) {
			err = &failure{err}
		}
		return t.decided, err
	}
	if warning := takeWarning(conn.Conn().PgConn()); warning != nil {
		return t.decided, &docstore.OutcomeError{Err: warning}
	}
	return t.decided, nil
}
