package sqlite

import (
	"os"

	"golang.org/x/sys/unix"
)

// forgetCache has files read from the disk again, before SQLite opens them.
//
// When a sync has failed, the page cache holds what the disk does not, as if both were the same: nothing
// writes it again, and ext4 doesn't get even what is written over it to the disk, although
// syncs then succeed. Recovery would take for good what only the cache has, and a power cut would take
// away what was acknowledged since. So whoever opens the files begins with what the disk has. All that
// was ever acknowledged is there.
//
// Nothing else in the process may have the database open: see the package's caveats.
func forgetCache(names ...string) {
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			continue // there is none, or SQLite says what is wrong with it
		}
		// What has not been written can't be forgotten. What can't be written is forgotten, too, as in a power cut.
		_ = f.Sync()
		_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) // fails where the cache is all there is
		_ = f.Close()
	}
}
