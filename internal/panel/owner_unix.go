//go:build unix

package panel

import (
	"fmt"
	"os"
	"syscall"
)

// giveToOwner makes a file that root has written belong to the owner of its folder: the panel, which has to read it at the
// next start, is somebody else.
func giveToOwner(dir, path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	owner := info.Sys().(*syscall.Stat_t)
	if err := os.Lchown(path, int(owner.Uid), int(owner.Gid)); err != nil {
		return fmt.Errorf("giving the journal to the folder's owner: %w", err)
	}
	return nil
}
