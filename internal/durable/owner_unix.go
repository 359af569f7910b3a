//go:build unix

package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// GiveAway makes a file that root has made belong to the owner of the first of others that is there and
// isn't root's: the program that has to read it is somebody else's. What another user
// makes stays that user's, and where all is root's, so does this. A link is not followed.
func GiveAway(path string, others ...string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	for _, other := range others {
		info, err := os.Stat(other)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		owner := info.Sys().(*syscall.Stat_t)
		if owner.Uid == 0 {
			continue
		}
		if err := os.Lchown(path, int(owner.Uid), int(owner.Gid)); err != nil {
			return fmt.Errorf("giving %s to the owner of %s: %w", path, other, err)
		}
		return nil
	}
	return nil
}
