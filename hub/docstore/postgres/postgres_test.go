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

// emptied opens a database of the calling test's, with nothing in it.
func emptied(t *testing.T, url string) *DB {
	db := mustOpen(t, url)
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
	storetest.Run(t, func(t *testing.T) docstore.Store { return emptied(t, url) })
}

func TestRegistry(t *testing.T) {
	url := pgtest.URL(t)
	registrytest.Run(t, func(t *testing.T) (registry.Registry, docstore.Store) {
		db := emptied(t, url)
		return db, db
	})
}

func TestPairs(t *testing.T) {
	url := pgtest.URL(t)
	registrytest.RunPairs(t, func(t *testing.T) registrytest.Pairs { return emptied(t, url) })
}

// What one hub writes is there for the other at once.
func TestRegistryOfAnotherHub(t *testing.T) {
	url := pgtest.URL(t)
	registrytest.Run(t, func(t *testing.T) (registry.Registry, docstore.Store) {
		return emptied(t, url), mustOpen(t, url)
	})
}
