package hub_test

import (
	"fmt"
	"testing"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/conformance"
	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/docstore/postgres"
	"github.com/twinpanel/twinpanel/hub/hubtest"
	"github.com/twinpanel/twinpanel/hub/peers"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/internal/pgtest"
	"github.com/twinpanel/twinpanel/twin"
)

// TestConformanceOfJoinedHubs asks two hubs on one store in turn: they are one hub.
func TestConformanceOfJoinedHubs(t *testing.T) {
	for _, tt := range []struct {
		name  string
		start func(*testing.T) (a, b *hubtest.Hub)
	}{
		{"in memory", startJoinedInMemory},
		{"on PostgreSQL", startJoinedOnPostgres},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // one check waits for the keep-alive
			a, b := tt.start(t)
			devices := 0
			conformance.Run(t, func(t *testing.T) conformance.Twin {
				devices++
				d, err := registry.NewDevice(fmt.Sprint("device", devices))
				if err != nil {
					t.Fatal(err)
				}
				d.AllowInsecure, d.AllowMultipleConnections = true, true
				if err := a.Registry.AddDevice(t.Context(), d); err != nil {
					t.Fatal(err)
				}
				return enterJoined(a, b, d.ID)
			})
		})
	}
}

func startJoinedInMemory(t *testing.T) (a, b *hubtest.Hub) {
	documents, devices := docstore.NewMemory(), registry.NewMemory()
	devices.DeleteAll = documents.DeleteAll
	all := peers.NewMemory(devices)
	start := func() *hubtest.Hub {
		return hubtest.Start(t, func(c *hub.Config) { c.Documents, c.Registry, c.Peers = documents, devices, all.Link() })
	}
	return start(), start()
}

func startJoinedOnPostgres(t *testing.T) (a, b *hubtest.Hub) {
	url := pgtest.URL(t)
	start := func() *hubtest.Hub {
		db, err := postgres.Open(t.Context(), url, postgres.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
		return hubtest.Start(t, func(c *hub.Config) { c.Documents, c.Registry, c.Peers = db, db, db })
	}
	return start(), start()
}

// enterJoined goes through each door of each hub in turn.
func enterJoined(a, b *hubtest.Hub, id twin.ID) conformance.Twin {
	first := wireTwin(a, id)
	rest := conformance.REST(hubtest.BaseURL, b.Token, id)
	rest.Client = b.HTTPClient()
	second := conformance.Wire(b.Dial, rest)
	second.Several = true
	return &bothTwin{Manager: first.RESTTwin, ways: []sender{first.RESTTwin, second, rest, first}}
}
