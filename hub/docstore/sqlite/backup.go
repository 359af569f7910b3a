package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	sqlite3 "modernc.org/sqlite/lib"
)

// Content is what a database holds, in numbers, for a person to see that it is the right one.
type Content struct {
	Format      int64 // see schema
	Documents   int64
	Devices     int64
	Tokens      int64
	Authorities int64
	Bytes       int64 // of the file
}

// Backup writes a copy of a data folder's database to a new file that only its owner can
// read, also while a hub works on the folder. The copy is of one moment: every write that was
// answered before Backup was called is in it. Every page of it has been read back. The folder
// stays as it is, also when it has an older format.
//
// The file must not exist; it gets its name when it is complete and on the disk. It is all of
// a hub, with the keys of its authorities. [Restore] takes it. Errors that a person can do
// something about have a method Hint() string.
func Backup(ctx context.Context, dir, file string) (Content, error) {
	o := Options{MustExist: true}
	if err := prepareFolder(dir, o); err != nil {
		return Content{}, err
	}
	path, err := filepath.Abs(filepath.Join(dir, databaseFile))
	if err != nil {
		return Content{}, err
	}
	if err := prepareDatabase(path, o); err != nil {
		return Content{}, err
	}
	if err := refuseExisting(file); err != nil {
		return Content{}, err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+newInfix+"*") // mode 0600
	if err != nil {
		return Content{}, &Error{
			Err:  fmt.Errorf("making %s: %w", file, err),
			hint: placeHint,
		}
	}
	var c Content
	err = copyTo(ctx, path, tmp, file, func() (err error) {
		if c, err = inspect(ctx, tmp.Name()); err != nil {
			return err
		}
		return refuseExisting(file) // another one may have been made meanwhile
	})
	if err == nil {
		return c, nil
	}
	if resultCode(err) == sqlite3.SQLITE_FULL {
		return Content{}, &Error{
			Err:  fmt.Errorf("writing %s: %w", file, err),
			hint: "make room on the disk that it is on, or name a file on another one",
		}
	}
	return Content{}, fmt.Errorf("backing up %s: %w", path, explain(path, err))
}

const placeHint = "name a file in a folder that exists and that you may write to"

func refuseExisting(file string) error {
	_, err := os.Lstat(file)
	hint := placeHint
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil:
		err, hint = fs.ErrExist, "name a file that does not exist yet: a backup overwrites nothing"
	}
	return &Error{Err: fmt.Errorf("making %s: %w", file, err), hint: hint}
}

// copyTo copies the database at path, as it is on the disk, to tmp, an empty file, which
// gets the name file when it is complete and check has found nothing wrong with it. After an
// error tmp is gone.
func copyTo(ctx context.Context, path string, tmp *os.File, file string, check func() error) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	defer tmp.Close()
	if err := vacuumInto(ctx, path, tmp.Name()); err != nil {
		return err
	}
	if err := check(); err != nil {
		return err
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), file); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(file))
}

// vacuumInto uses a connection of its own: VACUUM can't be part of a transaction.
func vacuumInto(ctx context.Context, path, file string) (err error) {
	db, err := connect(path, 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", file)
	return err
}

// inspect checks every page of a hub's database that nobody has open, and counts what it holds. It
// reads the file and touches nothing else. An error after that of the format comes with the format.
func inspect(ctx context.Context, file string) (c Content, err error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return c, err
	}
	db, err := connectTo(path, 1, url.Values{"mode": {"ro"}, "immutable": {"1"}})
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	t, err := newTx(db)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	if c.Format, err = checkFormat(t); err != nil {
		return c, err
	}
	var result string
	if err := t.conn.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&result); err != nil {
		return c, cmp.Or(ctx.Err(), err)
	}
	if result != "ok" {
		return c, corrupt(errors.New(result))
	}
	t.row(`SELECT (SELECT count(*) FROM documents), (SELECT count(*) FROM devices), (SELECT count(*) FROM tokens),
		page_count * page_size FROM pragma_page_count, pragma_page_size`, nil, &c.Documents, &c.Devices, &c.Tokens, &c.Bytes)
	if c.Format >= 3 {
		t.row("SELECT count(*) FROM authorities", nil, &c.Authorities)
	}
	if t.err != nil {
		return c, t.err
	}
	// What a page has lost at its end, SQLite reads as zeros.
	if info, err := os.Stat(path); err != nil || info.Size() < c.Bytes {
		return c, cmp.Or(err, corrupt(fmt.Errorf("%d bytes of %d are there", info.Size(), c.Bytes)))
	}
	return c, nil
}
