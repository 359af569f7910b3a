//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore/postgres"
	"github.com/twinpanel/twinpanel/hub/docstore/sqlite"
	"github.com/twinpanel/twinpanel/internal/pgtest"
)

// A store is where hubs keep documents and devices.
type store interface {
	env() string                                 // that names it to a hub: a password doesn't belong on a command line
	processTime() (sum time.Duration, err error) // of its own processes
	// fill puts all devices there, if they are not there yet.
	fill(ctx context.Context) error
}

// A folderStore is the stage's data folder.
type folderStore struct{ *stage }

func (f folderStore) env() string { return "HUB_DATA=" + f.path("data") }

func (f folderStore) processTime() (time.Duration, error) { return 0, nil }

func (f folderStore) fill(ctx context.Context) error {
	if f.filled {
		return nil
	}
	db, err := sqlite.Open(f.path("data"), sqlite.Options{})
	if err != nil {
		return err
	}
	err = errors.Join(fill(ctx, db, db, f.size.devices()), db.Close())
	f.filled = err == nil
	return err
}

// A postgresStore is a database on a server of the stage's own.
type postgresStore struct {
	server *pgtest.Server
	url    string
	n      int // devices
	filled bool
}

// startPostgres starts a server whose commits wait for the disk, as they must. Its files are beside the stage's folder, which no other
// user can enter.
func (s *stage) startPostgres(ctx context.Context) (*postgresStore, error) {
	server, err := pgtest.Start(pgtest.Options{Sync: true})
	if errors.Is(err, pgtest.ErrNotInstalled) {
		return nil, missing(err, "postgresql")
	}
	if err != nil {
		return nil, err
	}
	url, err := server.NewDatabase("load")
	if err != nil {
		return nil, errors.Join(err, server.Stop())
	}
	return &postgresStore{server: server, url: url, n: s.size.devices()}, nil
}

func (p *postgresStore) env() string { return "HUB_STORE=" + p.url }
func (p *postgresStore) end() error  { return p.server.Stop() }

// processTime leaves out processes that end meanwhile, as those do that clean up, and those of a hub that has just ended.
func (p *postgresStore) processTime() (sum time.Duration, err error) {
	for _, pid := range p.server.Processes() {
		t, err := processTime(pid)
		if err != nil && !errors.Is(err, errEnded) {
			return 0, err
		}
		sum += t
	}
	return sum, nil
}

func (p *postgresStore) fill(ctx context.Context) error {
	if p.filled {
		return nil
	}
	db, err := postgres.Open(ctx, p.url, postgres.Options{})
	if err != nil {
		return err
	}
	if err := errors.Join(fill(ctx, db, db, p.n), db.Close()); err != nil {
		return fmt.Errorf("filling the database: %w", err)
	}
	p.filled = true
	return nil
}
