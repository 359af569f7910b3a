package conformance

import (
	"flag"
	"testing"
)

// TestMain runs many parallel tests at a time, since they wait for the keep-alive more than they compute.
func TestMain(m *testing.M) {
	flag.Set("test.parallel", "8")
	m.Run()
}
