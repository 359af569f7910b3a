package pgtest

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
)

// shared is the server of all tests of a process; it ends with the process.
var shared = sync.OnceValues(func() (*Server, error) { return Start(Options{}) })

var databases atomic.Int64

// URL returns where an empty database of the test's own is, on a server that the tests of the process share. Without
// PostgreSQL the test is skipped, except in CI, where it fails.
func URL(t testing.TB) string {
	t.Helper()
	s, err := shared()
	Require(t, err)
	name := fmt.Sprint("test", databases.Add(1))
	url, err := s.NewDatabase(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.exec("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return url
}

// New starts a server that ends with the test. Without PostgreSQL it does what [URL] does.
func New(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := Start(o)
	Require(t, err)
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Require ends a test when a server could not be started: skipped, if PostgreSQL is not installed and
// this is not CI.
func Require(t testing.TB, err error) {
	t.Helper()
	switch {
	case errors.Is(err, ErrNotInstalled) && os.Getenv("CI") == "":
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
}
