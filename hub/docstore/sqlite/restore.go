package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	sqlite3 "modernc.org/sqlite/lib"
)

// replacedInfix stands between hub.db and a number: a database whose place a backup has taken.
const replacedInfix = ".replaced-"

// Restore puts a backup, or another whole copy of a hub's database, in the place of a data
// folder's database; the folder is made if need be. No hub may be at work on it. The backup is
// checked first, page by page, and not changed. Whenever Restore is interrupted, the folder has
// the database from before or all of the backup. A backup of an older format is upgraded
// when the folder is opened. What root restores belongs to who had the database, or has the folder.
//
// A folder that has data is refused unless replace is set: its database is then kept, and its
// path there returned. Errors that a person can do something about have a method Hint() string.
func Restore(ctx context.Context, file, dir string, replace bool) (c Content, replaced string, err error) {
	if c, err = checkBackup(ctx, file); err != nil {
		return Content{}, "", err
	}
	if err := prepareFolder(dir, Options{}); err != nil {
		return Content{}, "", err
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return Content{}, "", err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	use, err := claimWhenFree(dir)
	if err != nil {
		return Content{}, "", err
	}
	defer func() { err = errors.Join(err, use.Close()) }()
	path, err := filepath.Abs(filepath.Join(dir, databaseFile))
	if err != nil {
		return Content{}, "", err
	}
	_, missing := os.Lstat(path)
	if !replace && (missing == nil || unfinished(path) != "") {
		return Content{}, "", &Error{
			Err:  fmt.Errorf("data folder %s has a hub's data already", dir),
			hint: "choose another folder, or add --replace, which keeps that data under another name",
		}
	}
	tmp, err := copyInto(dir, file)
	if err != nil {
		return Content{}, "", err
	}
	if err = ctx.Err(); err == nil {
		replaced, err = putInPlace(tmp, path)
	}
	if err != nil {
		if e := os.Remove(tmp); !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
		return Content{}, "", err
	}
	return c, replaced, nil
}

// checkBackup says what is in a backup, or why it is none.
func checkBackup(ctx context.Context, file string) (Content, error) {
	refuse := func(why error, hint string) (Content, error) {
		return Content{}, &Error{Err: fmt.Errorf("%s cannot be restored: %w", file, why), hint: hint}
	}
	const (
		hint       = "name a file that hub backup has written; nothing was changed"
		unreadable = "run this as a user who may read the file, or let this one read it; nothing was changed"
	)
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return refuse(err, unreadable)
	case err != nil:
		return refuse(err, hint)
	case !info.Mode().IsRegular():
		return refuse(errors.New("it is not a file"), hint)
	case info.Size() == 0:
		return refuse(errors.New("it is empty"), hint)
	}
	if part := unfinished(file); part != "" {
		return refuse(fmt.Errorf("a part of it is in %s", part), "it was copied from a folder in use: make a backup with hub backup, and restore that")
	}
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrPermission) {
		return refuse(err, unreadable)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return refuse(err, hint)
	}
	c, err := inspect(ctx, file)
	switch {
	case ctx.Err() != nil:
		return Content{}, ctx.Err()
	case c.Format > format:
		return refuse(err, "restore it with the hub that it was made with, or a newer one; nothing was changed")
	case damaged(err):
		return refuse(corrupt(err), hint)
	case err != nil:
		return refuse(err, hint)
	}
	return c, nil
}

// sideFiles are the ends of the names of files beside a database that hold a part of it when
// its process was killed.
var sideFiles = []string{walSuffix, "-journal"}

// unfinished is the path of a file beside a database that holds a part of it; empty = there is none.
func unfinished(path string) string {
	for _, end := range sideFiles {
		if info, err := os.Lstat(path + end); err == nil && info.Size() > 0 {
			return path + end
		}
	}
	return ""
}

// copyInto copies a file to a new one in a data folder that is removed by a later start if it
// never becomes more than that.
func copyInto(dir, file string) (path string, err error) {
	tmp, err := os.CreateTemp(dir, databaseFile+newInfix+"*") // mode 0600
	if err != nil {
		return "", notWritable(dir, err)
	}
	defer func() {
		err = errors.Join(err, tmp.Close())
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	from, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer from.Close()
	if _, err = io.Copy(tmp, from); err == nil {
		err = cmp.Or(tmp.Sync(), giveAway(tmp.Name()))
	}
	if errors.Is(err, syscall.ENOSPC) {
		err = &Error{Err: err, hint: "make room on the disk that has the data folder; its data is as it was"}
	}
	return tmp.Name(), err
}

// claimWhenFree keeps commands out, and waits a moment for those under way.
func claimWhenFree(dir string) (io.Closer, error) {
	for end := time.Now().Add(lockPatience); ; time.Sleep(10 * time.Millisecond) {
		use, err := claimFolder(dir)
		if errors.Is(err, errLocked) {
			if time.Now().Before(end) {
				continue
			}
			err = inUse(dir)
		}
		return use, err
	}
}

func inUse(what string) error {
	return &Error{
		Err:  fmt.Errorf("%s is in use by another program", what),
		hint: "try again when that program has ended; nothing was changed",
	}
}

// putInPlace gives a new database the name of a data folder's database, and that one, if there
// is one, another name.
func putInPlace(tmp, path string) (replaced string, err error) {
	if err := makeWhole(path); err != nil {
		return "", err
	}
	if replaced, err = setAside(path); err != nil {
		return "", err
	}
	// What is beside the old database must be gone, also after a power cut, when the new one has its name.
	for _, end := range append([]string{"-shm"}, sideFiles...) {
		if err := os.Remove(path + end); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	dir := filepath.Dir(path)
	if err := syncFolder(dir); err != nil {
		return "", err
	}
	if err := os.Rename(tmp, path); err != nil {
		if replaced != "" {
			err = fmt.Errorf("%w; the database from before is whole in %s", err, replaced)
		}
		return "", err
	}
	return replaced, syncFolder(dir)
}

// makeWhole moves what is beside a database into it, so that it is one file. One that is
// damaged is left as it is.
func makeWhole(path string) (err error) {
	if info, err := os.Lstat(path); err != nil || info.Size() == 0 {
		return nil // beside an empty database, SQLite would remove the WAL
	}
	db, err := connect(path, 1, "busy_timeout(0)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	// Only its last user can take a database out of WAL mode.
	if _, err := db.Exec("PRAGMA journal_mode = DELETE"); resultCode(err) == sqlite3.SQLITE_BUSY {
		return inUse(path)
	}
	return nil
}

// setAside gives a database and the files beside it second names, and returns the database's;
// empty = there is none.
func setAside(path string) (second string, err error) {
	taken := true
	for n := 1; taken; n++ {
		second = fmt.Sprint(path, replacedInfix, n)
		_, err := os.Lstat(second)
		taken = err == nil || unfinished(second) != ""
	}
	found := false
	for _, end := range append([]string{""}, sideFiles...) {
		switch err := os.Link(path+end, second+end); {
		case err == nil:
			found = true
		case !errors.Is(err, fs.ErrNotExist):
			return "", fmt.Errorf("keeping the database from before: %w", err)
		}
	}
	if !found {
		return "", nil
	}
	return second, nil
}
