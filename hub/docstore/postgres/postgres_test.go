package postgres

import (
	"testing"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/docstore/storetest"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/hub/registry/registrytest"
	"github.com/twinpanel/twinpanel/internal/pgtest"
)

func mustOpen(t testing.TB, url string) *DB {
	t.Helper()
	db, err := Open(t.Context(), url, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// empty removes everything from a database, as if it were new.
func empty(t *testing.T, db *DB) *DB {
	t.Helper()
	err := db.transact(t.Context(), func(tx *transaction) error {
		for _, table := range []string{"documents", "twins", "devices", "tokens", "authorities", "hub"} {
			if _, err := tx.exec("DELETE FROM twinpanel." + table); err != nil {
				return err
			}
		}
		_, err := tx.exec(insertHub, hubValues(registry.NewHub())...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func TestStore(t *testing.T) {
	url := pgtest.URL(t)
	storetest.Run(t, func(t *testing.T) docstore.Store { return empty(t, mustOpen(t, url)) })
}

func TestRegistry(t *testing.T) {
	db := mustOpen(t, pgtest.URL(t))
	registrytest.Run(t, func(t *testing.T) (registry.Registry, docstore.Store) { return empty(t, db), db })
}

func TestPairs(t *testing.T) {
	url := pgtest.URL(t)
	registrytest.RunPairs(t, func(t *testing.T) registrytest.Pairs { return empty(t, mustOpen(t, url)) })
}

// What one hub writes is there for the other at once.
func TestRegistryOfAnotherHub(t *testing.T) {
	hubs := twoHubs(t)
	registrytest.Run(t, func(t *testing.T) (registry.Registry, docstore.Store) { return empty(t, hubs[0]), hubs[1] })
}
