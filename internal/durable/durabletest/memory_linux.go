package durabletest

import "syscall"

// Memory is a folder in memory, or empty, which is the system's for temporary files, where there is no gigabyte free: in a
// container there may be far less.
func Memory() string {
	const dir, enough = "/dev/shm", 1 << 30
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil || fs.Bavail*uint64(fs.Bsize) < enough {
		return ""
	}
	return dir
}
