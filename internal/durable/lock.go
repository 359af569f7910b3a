package durable

import (
	"errors"
	"fmt"
	"io"
)

// ErrLocked says that another process holds the lock of a folder.
var ErrLocked = errors.New("another process is using this folder; stop it first or choose another folder")

// Lock keeps every other caller of Lock away from the folder at path, which must exist,
// until the returned Closer is closed or this process has ended in whatever way. It does
// not wait: when the lock is taken the error is [ErrLocked]. On Unix nothing is written,
// so a full or read-only disk is no hindrance.
func Lock(path string) (io.Closer, error) {
	l, err := lock(path)
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	return l, nil
}
