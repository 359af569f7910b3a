//go:build unix

package sqlite

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// tryLock locks f for this process without waiting.
func tryLock(f *os.File) error {
	return flock(f, syscall.LOCK_EX|syscall.LOCK_NB)
}

// shareFolder keeps the database of a folder from being replaced until it is closed. It waits
// for a replacement under way.
func shareFolder(dir string) (io.Closer, error) { return lockUse(dir, syscall.LOCK_SH) }

// claimFolder waits for nobody: the error has errLocked when somebody has the folder's database open.
func claimFolder(dir string) (io.Closer, error) {
	return lockUse(dir, syscall.LOCK_EX|syscall.LOCK_NB)
}

// lockUse locks the folder itself, which leaves no file behind that the next user may not open.
func lockUse(dir string, how int) (io.Closer, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := flock(f, how); err != nil {
		return nil, errors.Join(fmt.Errorf("locking data folder %s: %w", dir, err), f.Close())
	}
	return f, nil
}

func flock(f *os.File, how int) error {
	for {
		switch err := syscall.Flock(int(f.Fd()), how); {
		case errors.Is(err, syscall.EWOULDBLOCK):
			return errLocked
		case !errors.Is(err, syscall.EINTR):
			return err
		}
	}
}
