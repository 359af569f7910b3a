// Package durabletest spares the disk in tests of what waits for it.
package durabletest

import (
	"os"
	"testing"
)

// Main is for a TestMain: it runs the tests with their folders in memory, where there is such a place, see [Memory]. A flush takes
// milliseconds on a disk, and seconds on one that has much else to do; what tests can see of it is the same.
func Main(m *testing.M) {
	if memory := Memory(); memory != "" {
		os.Setenv("TMPDIR", memory)
	}
	os.Exit(m.Run())
}
