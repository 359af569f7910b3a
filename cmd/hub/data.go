package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/twinpanel/twinpanel/hub/docstore/sqlite"
)

// openData opens the data folder and logs whose it seems to be: the hub of a mistyped folder is empty.
func (c *Config) openData(ctx context.Context, log *slog.Logger) (*sqlite.DB, error) {
	path, err := filepath.Abs(c.Data)
	if err != nil {
		return nil, err
	}
	_, missing := os.Stat(path)
	db, err := sqlite.Open(c.Data, sqlite.Options{})
	if err != nil {
		return nil, err
	}
	if db.Kept != "" {
		log.Info("data folder upgraded", "copy", db.Kept)
	}
	if errors.Is(missing, fs.ErrNotExist) {
		log.Info("data folder created", "data", path, "hint", "it has no devices and no tokens yet; if it should, check --data")
		return db, nil
	}
	ctx = context.WithoutCancel(ctx) // a signal during the start is a clean end, too
	devices, err := db.Devices(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	tokens, err := db.Tokens(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	log.Info("data folder opened", "data", path, "devices", len(devices), "tokens", len(tokens))
	return db, nil
}
