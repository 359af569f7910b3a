//go:build !linux

package sqlite

// forgetCache is of no use where it isn't known what the cache holds after a sync that failed.
func forgetCache(...string) {}
