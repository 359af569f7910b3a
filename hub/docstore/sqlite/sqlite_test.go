package sqlite

import (
	"testing"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/docstore/storetest"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/hub/registry/registrytest"
)

func mustOpen(t testing.TB, dir string) *DB {
	t.Helper()
	db, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) docstore.Store { return mustOpen(t, t.TempDir()) })
}

func TestRegistry(t *testing.T) {
	registrytest.Run(t, func(t *testing.T) (registry.Registry, docstore.Store) {
		db := mustOpen(t, t.TempDir())
		return db, db
	})
}

func TestPairs(t *testing.T) {
	registrytest.RunPairs(t, func(t *testing.T) registrytest.Pairs { return mustOpen(t, t.TempDir()) })
}

// A command works on the folder of a running hub, in another process in real life.
func TestRegistryOfCommandBesideHub(t *testing.T) {
	registrytest.Run(t, func(t *testing.T) (registry.Registry, docstore.Store) {
		dir := t.TempDir()
		hub := mustOpen(t, dir)
		command, err := OpenRegistry(dir, Options{MustExist: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { command.Close() })
		return command, hub
	})
}
