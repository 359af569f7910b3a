//go:build !linux

package durabletest

// Memory is empty: there is no folder that is known to be in memory.
func Memory() string { return "" }
