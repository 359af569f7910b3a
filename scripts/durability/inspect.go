//go:build linux

package main

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite" // reads the hub's database
)

// inspect copies the data folder of a hub that has ended to a folder that it makes anew, and looks there
// at every page of the database.
func inspect(data, to string) (err error) {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := os.CopyFS(to, os.DirFS(data)); err != nil {
		return fmt.Errorf("copying the data folder: %w", err)
	}
	// What is copied from here to there stays as it was found, for whoever looks into a failure.
	seen := filepath.Join(to, "inspected")
	if err := os.Mkdir(seen, 0o700); err != nil {
		return err
	}
	for _, name := range []string{"hub.db", "hub.db-wal"} {
		b, err := os.ReadFile(filepath.Join(to, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(seen, name), b, 0o600)
		}
		if err != nil {
			return err
		}
	}
	db, err := openDatabase(filepath.Join(seen, "hub.db"))
	if err != nil {
		return err
	}
	return errors.Join(checkIntegrity(db), db.Close())
}

func openDatabase(path string) (*sql.DB, error) {
	return sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path}).String())
}

// checkIntegrity looks at every page and every index.
func checkIntegrity(db *sql.DB) error {
	rows, err := db.Query("PRAGMA integrity_check")
	if err != nil {
		return fmt.Errorf("checking the database's integrity: %w", err)
	}
	defer rows.Close()
	var found []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return err
		}
		found = append(found, line)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("checking the database's integrity: %w", err)
	}
	if got := strings.Join(found, "\n"); got != "ok" {
		return fmt.Errorf("the database's integrity check finds:\n%s", got)
	}
	return nil
}
