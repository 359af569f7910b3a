package sqlite

import (
	"context"
	"fmt"

	"github.com/twinpanel/twinpanel/hub/docstore"
)

// A scanner is a row of a result.
type scanner interface{ Scan(dest ...any) error }

// find reads the row that a query has, by a key. What it reads goes into its errors; none is the error where there is no row.
func find[T any](ctx context.Context, r *Registry, what string, none error, query string, scan func(scanner) (T, error), args ...any) (T, error) {
	var one T
	found, err := r.readers.row(ctx, query, func(row scanner) (err error) {
		one, err = scan(row)
		return err
	}, args...)
	switch {
	case err != nil:
		return *new(T), r.readError(what, err)
	case !found:
		return *new(T), none
	}
	return one, nil
}

// list reads all rows of a query. What it lists goes into its errors.
func list[T any](ctx context.Context, r *Registry, what, query string, scan func(scanner) (T, error), args ...any) ([]T, error) {
	rows, err := r.reads.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, r.readError(what, err)
	}
	defer rows.Close()
	all := []T{}
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, r.readError(what, err)
		}
		all = append(all, one)
	}
	if err := rows.Err(); err != nil {
		return nil, r.readError(what, err)
	}
	return all, nil
}

// readError says what a read failed with.
func (r *Registry) readError(what string, err error) error {
	if r.closed.Load() {
		return docstore.ErrClosed
	}
	return fmt.Errorf("reading %s: %w", what, err)
}
