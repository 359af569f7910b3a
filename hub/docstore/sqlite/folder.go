package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/internal/durable"
)

// An Error is a reason why a data folder cannot be opened, with what a person can do.
type Error struct {
	Err  error
	hint string
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Hint is the next step.
func (e *Error) Hint() string { return e.hint }

func noData(dir string) error {
	return &Error{
		Err:  fmt.Errorf("%w in %s", docstore.ErrNoData, dir),
		hint: "check the folder's name; a hub creates the folder when it starts",
	}
}

func notWritable(dir string, err error) error {
	return &Error{
		Err:  fmt.Errorf("data folder %s cannot be written: %w", dir, err),
		hint: "give the folder to the user who runs this, or choose another one",
	}
}

// prepareFolder makes sure that there is a folder, which only its owner can enter if it is new.
func prepareFolder(dir string, o Options) error {
	if dir == "" {
		return &Error{Err: errors.New("no data folder is named"), hint: "name the folder that a hub keeps its data in"}
	}
	info, err := os.Stat(dir)
	switch {
	case err == nil && !info.IsDir():
		return &Error{Err: fmt.Errorf("%s is not a folder", dir), hint: "name a folder, not a file"}
	case err == nil && o.Unchanged:
		if _, err := os.Stat(filepath.Join(dir, databaseFile)); errors.Is(err, fs.ErrNotExist) {
			return noData(dir) // before there is a lock in it
		}
		return nil
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return notWritable(dir, err)
	case o.MustExist || o.Unchanged:
		return noData(dir)
	}
	if err := makeFolder(filepath.Clean(dir)); err != nil {
		return notWritable(dir, err)
	}
	return nil
}

// makeFolder makes a folder and those that it is to be in. What root makes belongs to the owner of what it is in.
func makeFolder(dir string) error {
	parent := filepath.Dir(dir)
	if _, err := os.Stat(parent); errors.Is(err, fs.ErrNotExist) {
		if err := makeFolder(parent); err != nil {
			return err
		}
	}
	switch err := os.Mkdir(dir, 0o700); {
	case errors.Is(err, fs.ErrExist): // somebody was faster
		return nil
	case err != nil:
		return err
	}
	return durable.GiveAway(dir, parent)
}

// giveAway makes a new file in a data folder, if root has made it, belong to who has the database, or the folder: the hub's
// user must be able to open it.
func giveAway(path string) error {
	dir := filepath.Dir(path)
	return durable.GiveAway(path, filepath.Join(dir, databaseFile), dir)
}

// errLocked is what tryLock finds when another process has the lock.
var errLocked = errors.New("locked")

// lockFolder keeps other hubs out until the file is closed or the process ends, however it
// ends. It waits a moment for a hub that is ending, or a command that upgrades the folder.
func lockFolder(dir string) (*os.File, error) {
	for end := time.Now().Add(lockPatience); ; time.Sleep(10 * time.Millisecond) {
		lock, err := openLock(dir)
		if errors.Is(err, errLocked) {
			if time.Now().Before(end) {
				continue
			}
			err = &Error{
				Err:  fmt.Errorf("data folder %s is in use by another hub", dir),
				hint: "stop that hub, or choose another folder",
			}
		}
		return lock, err
	}
}

// openLock takes the lock of a folder. The error has errLocked when somebody else has it.
func openLock(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockFile)
	_, missing := os.Lstat(path)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, notWritable(dir, err)
	}
	if missing != nil {
		err = giveAway(path)
	}
	if err == nil {
		err = tryLock(f)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("locking data folder %s: %w", dir, err), f.Close())
	}
	return f, nil
}

// removeLeftovers removes databases that were never finished, since their process was
// killed. Younger ones than a minute may be another process's work.
func removeLeftovers(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("reading data folder: %w", err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if !strings.HasPrefix(e.Name(), databaseFile) || !strings.Contains(e.Name(), newInfix) || err != nil || time.Since(info.ModTime()) < time.Minute {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing what an earlier start left behind: %w", err)
		}
	}
	return nil
}

// syncFolder makes new names in a folder durable.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // a folder cannot be synced there; NTFS journals its names
	}
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("syncing folder %s: %w", dir, err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("syncing folder %s: %w", dir, err)
	}
	return nil
}
