// Package postgres keeps documents, devices, tokens and authorities in a PostgreSQL database,
// which many hubs may share.
package postgres

import (
	"context"
	"errors"
	"log/slog"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
)

// ErrNoData says that a database holds no hub's data.
var ErrNoData = errors.New("no hub's data")

// Options of [Open]. The zero value suits a hub.
type Options struct {
	// MustExist refuses a database that holds no hub's data, which is [ErrNoData], instead of starting an
	// empty hub there: for commands that look at what is there.
	MustExist bool
	// Unchanged refuses a database that opening would change: one without a hub's data, which
	// is [ErrNoData], or of an older hub, which would be upgraded.
	Unchanged bool
	// Logger gets what an operator should know; nil = nobody.
	Logger *slog.Logger
}

// DB is a PostgreSQL database with a hub's data: a [docstore.Store] and a [registry.Registry].
type DB struct {
	docstore.Store
	registry.Registry
}

// Open opens the database at a URL such as postgres://USER@HOST:5432/DATABASE, and makes what a hub needs
// there if need be. Errors that a person can do something about have a method Hint() string.
func Open(context.Context, string, Options) (*DB, error) {
	return nil, errors.ErrUnsupported
}
