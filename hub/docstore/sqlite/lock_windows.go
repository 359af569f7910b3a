package sqlite

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/windows"
)

// tryLock locks f for this process without waiting.
func tryLock(f *os.File) error {
	err := windows.LockFileEx(windows.Handle(f.Fd()),
		windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, new(windows.Overlapped))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return errLocked
	}
	return err
}

// shareFolder has nothing to do: a file that somebody has open can't be replaced.
func shareFolder(string) (io.Closer, error) { return io.NopCloser(nil), nil }

// claimFolder is like shareFolder.
func claimFolder(string) (io.Closer, error) { return io.NopCloser(nil), nil }
