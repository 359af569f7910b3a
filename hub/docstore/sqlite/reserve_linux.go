package sqlite

import (
	"os"

	"golang.org/x/sys/unix"
)

// reserve keeps room on the disk behind the end of a file, which stays as long as it is. Where there is too little room, or the
// file system can't keep any, there is no reserve until the next try.
func reserve(f *os.File) { _ = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, reserveSize) }

// release gives the room back.
func release(f *os.File) error { return f.Truncate(0) }
