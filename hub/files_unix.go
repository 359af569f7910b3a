//go:build unix

package hub

import "syscall"

// fileLimit is how many files and connections this process may have open.
func fileLimit() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return noFileLimit
	}
	return int(min(uint64(limit.Cur), noFileLimit)) // signed on some systems
}
