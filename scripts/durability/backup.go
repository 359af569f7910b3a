//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A backup is a file that was made, or was to be made, while the hub ran.
type backup struct {
	path  string
	made  bool                // acknowledged
	least map[*history]uint32 // versions that it has, or later ones
	names []string            // devices and tokens that it has, as in [registrar]
}

// backupFolder is beside the data folder.
func backupFolder(h *hub) string { return filepath.Join(filepath.Dir(h.data), "backups") }

// backUp makes a backup.
func backUp(ctx context.Context, h *hub, b *book, names []string, n int) (*backup, error) {
	dir := backupFolder(h)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	made := &backup{path: filepath.Join(dir, fmt.Sprint("backup-", n)), least: map[*history]uint32{}, names: names}
	for _, document := range b.histories {
		made.least[document] = document.beginRead()
	}
	_, err := h.command(ctx, "backup", made.path)
	return made, err
}

// check looks into the backup and removes it. One that was not acknowledged may be missing, but not be half of one.
func (b *backup) check() (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", filepath.Base(b.path), err)
		}
	}()
	if _, err := os.Stat(b.path); errors.Is(err, fs.ErrNotExist) && !b.made {
		return nil
	} else if err != nil {
		return err
	}
	db, err := openDatabase(b.path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := checkIntegrity(db); err != nil {
		return err
	}
	for h, least := range b.least {
		var version uint32
		if err := db.QueryRow("SELECT coalesce(max(version), 0) FROM documents WHERE twin = ? AND name = ?", h.device, h.name).Scan(&version); err != nil {
			return err
		}
		if version < least {
			return fmt.Errorf("document %s has version %d; %d was there before the backup began", h.name, version, least)
		}
	}
	for _, what := range b.names {
		var n int
		if err := db.QueryRow("SELECT (SELECT count(*) FROM tokens WHERE 'token ' || name = ?1) + (SELECT count(*) FROM devices WHERE 'device ' || name = ?1)", what).Scan(&n); err != nil {
			return err
		}
		if n != 1 {
			return fmt.Errorf("%s is not there", what)
		}
	}
	return os.Remove(b.path)
}
