package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/copier"
	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/docstore/postgres"
	"github.com/twinpanel/twinpanel/hub/docstore/sqlite"
	"github.com/twinpanel/twinpanel/hub/peers"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/internal/cli"
)

// What an opening may do to a place. The zero value suits a hub.
type opening struct {
	mustExist bool // refuse a place without a hub's data, for who looks at what is there
	unchanged bool // refuse also to upgrade what an older hub has written
	alone     bool // refuse a database on which others work; a folder has one user only
	copying   bool // mark a place that is new as a copy that is not finished
}

// A store is an open place.
type store struct {
	hub.Store            // documents, devices and all else
	link      peers.Link // to the other hubs on it; nil for a folder, which has one hub
	claim     *postgres.Claim
	kept      string // path of the copy that was kept of a folder that was upgraded; empty = it wasn't
}

// open opens a place for a hub, or for who needs the documents: nobody else may have a folder meanwhile.
func (p place) open(ctx context.Context, o opening, log *slog.Logger) (*store, error) {
	if p.Store != "" {
		db, err := postgres.Open(ctx, p.Store, postgres.Options{MustExist: o.mustExist, Unchanged: o.unchanged, Unfinished: o.copying, Logger: log})
		if err != nil {
			return nil, err
		}
		s := &store{Store: db, link: db}
		if o.alone {
			if s.claim, err = db.Claim(ctx); err != nil {
				return nil, errors.Join(fmt.Errorf("%s: %w", p, err), s.Close())
			}
		}
		return s, nil
	}
	db, err := sqlite.Open(p.Data, sqlite.Options{MustExist: o.mustExist, Unchanged: o.unchanged, Unfinished: o.copying})
	if err != nil {
		return nil, err
	}
	return &store{Store: db, kept: db.Kept}, nil
}

// Close ends the use of the place.
func (s *store) Close() error {
	var err error
	if s.claim != nil {
		err = s.claim.Close()
	}
	return errors.Join(s.Store.Close(), err)
}

// checkAlone returns an error if somebody else has come to a place that was opened alone.
func (s *store) checkAlone(ctx context.Context) error {
	if s.claim == nil {
		return nil
	}
	return s.claim.Check(ctx)
}

// openWhole opens a place as open does, unless it holds a copy that was not finished.
func (p place) openWhole(ctx context.Context, o opening, log *slog.Logger) (*store, error) {
	s, err := p.open(ctx, o, log)
	if err != nil {
		return nil, err
	}
	if err := p.checkWhole(ctx, s); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// checkWhole refuses a copy that was not finished.
func (p place) checkWhole(ctx context.Context, r registry.Registry) error {
	h, err := r.Hub(ctx)
	if err != nil {
		return err
	}
	if !copier.Unfinished(h) {
		return nil
	}
	return cli.Hint(fmt.Errorf("%s holds a copy of a hub that is not finished", p),
		"run the same hub copy again, which starts over; or start this on the place that it copies from, which has everything")
}

// openLogged opens a place for a hub and logs whose it seems to be: the hub of a mistyped folder is empty.
func (p place) openLogged(ctx context.Context, log *slog.Logger) (*store, error) {
	ctx = context.WithoutCancel(ctx) // a signal during the start is a clean end, too
	where, err := p.absolute()
	if err != nil {
		return nil, err
	}
	_, missing := os.Stat(p.Data)
	s, err := p.openWhole(ctx, opening{}, log)
	if err != nil {
		return nil, err
	}
	if db, ok := s.Store.(*postgres.DB); ok {
		if err := db.CheckUnclaimed(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", p, err), s.Close())
		}
	}
	if s.kept != "" {
		log.Info("data folder upgraded", "copy", s.kept)
	}
	if p.Store == "" && errors.Is(missing, fs.ErrNotExist) {
		log.Info("data folder created", "data", where, "hint", "it has no devices and no tokens yet; if it should, check --data")
		return s, nil
	}
	devices, err := s.Devices(ctx)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	tokens, err := s.Tokens(ctx)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if p.Store == "" {
		log.Info("data folder opened", "data", where, "devices", len(devices), "tokens", len(tokens))
	} else {
		log.Info("database opened", "store", where, "devices", len(devices), "tokens", len(tokens))
	}
	return s, nil
}

// withRegistry opens all but the documents of a place, on which hubs may be running, and closes it after do. It says on
// stderr what it did to a folder itself.
func (p place) withRegistry(ctx context.Context, o opening, stderr io.Writer, do func(registry.Registry) error) error {
	if err := p.check(); err != nil {
		return err
	}
	r, closing, err := p.openRegistry(ctx, o, stderr)
	if err != nil {
		return err
	}
	if err = p.checkWhole(ctx, r); err == nil {
		err = do(r)
	}
	err = errors.Join(err, closing())
	if _, unknown := errors.AsType[*docstore.OutcomeError](err); unknown {
		return cli.Hint(err, "hub device list, hub token list and hub ca list show whether it was done")
	}
	return err
}

// openRegistry opens the registry of a place, and returns how to close it.
func (p place) openRegistry(ctx context.Context, o opening, stderr io.Writer) (r registry.Registry, closing func() error, err error) {
	if p.Store != "" {
		s, err := p.open(ctx, o, nil)
		if err != nil {
			return nil, nil, err
		}
		return s, s.Close, nil
	}
	_, missing := os.Stat(p.Data)
	folder, err := sqlite.OpenRegistry(p.Data, sqlite.Options{MustExist: o.mustExist})
	if err != nil {
		return nil, nil, err
	}
	if errors.Is(missing, fs.ErrNotExist) {
		fmt.Fprintf(stderr, "created data folder %s\n", p.Data)
	}
	p.sayKept(stderr, folder.Kept)
	return folder, folder.Close, nil
}

// sayKept says that a folder was upgraded, if it was.
func (p place) sayKept(stderr io.Writer, kept string) {
	if kept != "" {
		fmt.Fprintf(stderr, "upgraded data folder %s; as it was, it is kept in %s\n", p.Data, filepath.Base(kept))
	}
}
