package sqlite

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// forgetCache has files read from the disk again, before SQLite opens them.
//
// When a sync has failed, the page cache holds what the disk does not, as if both were the same: nothing
// writes it again, and ext4 doesn't get even what is written over it to the disk, although
// syncs then succeed. Recovery would take for good what only the cache has, and a power cut would take
// away what was acknowledged since. So whoever opens the files after that begins with what the disk has.
//
// Nothing else in the process may have the database open: see the package's caveats.
func forgetCache(names ...string) error {
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			continue // there is none, or SQLite says what is wrong with it
		}
		// Only what is on the disk can be forgotten. The cache of a file system without a disk cannot be at all.
		if err = f.Sync(); err == nil {
			_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("syncing what an earlier process has left: %w", err)
		}
	}
	return nil
}
