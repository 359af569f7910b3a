package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/twinpanel/twinpanel/hub/docstore"
)

// list reads all rows of a query. What it lists goes into its errors.
func list[T any](ctx context.Context, db *DB, what string, scan pgx.RowToFunc[T], sql string, args ...any) ([]T, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	all, err := tryList(limited, db, scan, sql, args...)
	if err != nil && lost(err) && ctx.Err() == nil {
		db.reset()
		all, err = tryList(limited, db, scan, sql, args...) // a server that was restarted may be there again
	}
	switch {
	case code(err) == notText:
		return []T{}, nil // what can't be text is in no column of text
	case err != nil && db.closed.Load():
		return nil, docstore.ErrClosed
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", what, err)
	}
	return all, nil
}

func tryList[T any](ctx context.Context, db *DB, scan pgx.RowToFunc[T], sql string, args ...any) ([]T, error) {
	conn, err := db.acquire(ctx, db.reads)
	if err != nil {
		return nil, err
	}
	defer giveBack(conn)
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scan)
}

// one reads the one row of a query; without one, the error is missing.
func one[T any](ctx context.Context, db *DB, what string, missing error, scan pgx.RowToFunc[T], sql string, args ...any) (T, error) {
	all, err := list(ctx, db, what, scan, sql, args...)
	if err == nil && len(all) == 0 {
		err = missing
	}
	if err != nil {
		var none T
		return none, err
	}
	return all[0], nil
}

// errNoRow says that a row is gone that is always there.
var errNoRow = errors.New("the database has lost it")
