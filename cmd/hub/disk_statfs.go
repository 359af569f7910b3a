//go:build darwin || freebsd || linux

package main

import (
	"math"

	"golang.org/x/sys/unix"
)

// freeBytes is how much somebody without privileges may still write; not a number = unknown.
func freeBytes(dir string) float64 {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return math.NaN()
	}
	return float64(fs.Bavail) * float64(fs.Bsize)
}
