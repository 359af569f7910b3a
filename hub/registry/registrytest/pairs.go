package registrytest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// Pairs are a registry and store in one that read a device and a document of its twin at once. A document at
// version 0 is not there.
type Pairs interface {
	registry.Registry
	docstore.Store
	DeviceAndDocument(ctx context.Context, key docstore.Key) (registry.Device, docstore.Document, error)
}

// RunPairs tests that what open returns, new and empty, reads in pairs what it reads one by one.
func RunPairs(t *testing.T, open func(t *testing.T) Pairs) {
	p := open(t)
	full := fullDevice(panelID, "panel")
	full.ReadOnly = []twin.Name{"desired"}
	addDevice(t, p, full)
	addDevice(t, p, device(otherID, "other"))
	const unknown twin.ID = "0b6e2b2e-7a4b-4c39-9d5e-2f6b5c1a9e03"
	for _, key := range []docstore.Key{
		{Twin: panelID, Name: "current"}, {Twin: panelID, Name: "current"}, {Twin: panelID, Name: "desired"}, {Twin: otherID, Name: "empty"},
		{Twin: unknown, Name: "current"}, // documents need no device
	} {
		data := []byte(`{"of":"` + string(key.Name) + `"}`)
		if key.Name == "empty" {
			data = nil
		}
		if _, err := p.Put(t.Context(), key, docstore.Any, data); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name    string
		key     docstore.Key
		version uint32
	}{
		{"a document", docstore.Key{Twin: panelID, Name: "current"}, 2},
		{"another document", docstore.Key{Twin: panelID, Name: "desired"}, 1},
		{"no such document", docstore.Key{Twin: panelID, Name: "empty"}, 0},
		{"a document of another device", docstore.Key{Twin: otherID, Name: "current"}, 0},
		{"a document without data", docstore.Key{Twin: otherID, Name: "empty"}, 1},
	} {
		wantDevice, err := p.Device(t.Context(), tt.key.Twin)
		if err != nil {
			t.Fatal(err)
		}
		want, err := p.Get(t.Context(), tt.key)
		if tt.version == 0 {
			wantError(t, tt.name, err, twin.ErrDocumentNotFound)
		}
		if want.Version != tt.version {
			t.Fatalf("%s: version %d, want %d", tt.name, want.Version, tt.version)
		}
		d, doc, err := p.DeviceAndDocument(t.Context(), tt.key)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if !reflect.DeepEqual(d, wantDevice) {
			t.Errorf("%s: got device %+v, want %+v", tt.name, d, wantDevice)
		}
		if doc.Version != want.Version || string(doc.Data) != string(want.Data) {
			t.Errorf("%s: got document %+v, want %+v", tt.name, doc, want)
		}
	}
	for _, key := range []docstore.Key{{Twin: unknown, Name: "current"}, {Twin: "\x00", Name: "current"}, {}} {
		_, _, err := p.DeviceAndDocument(t.Context(), key)
		wantError(t, "a document without a device", err, registry.ErrNoDevice)
	}
	runPairsAtOnce(t, p)
	ended, end := context.WithCancel(t.Context())
	end()
	_, _, err := p.DeviceAndDocument(ended, docstore.Key{Twin: panelID, Name: "current"})
	wantError(t, "when the context has ended", err, context.Canceled)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	_, _, err = p.DeviceAndDocument(t.Context(), docstore.Key{Twin: panelID, Name: "current"})
	wantError(t, "after Close", err, docstore.ErrClosed)
}

// runPairsAtOnce has many ask at the same time, as stores may read together what waits: each gets what it asked for, and
// nothing older than what it wrote before.
func runPairsAtOnce(t *testing.T, p Pairs) {
	const askers, rounds = 40, 10
	ids := make([]twin.ID, askers)
	for i := range ids {
		ids[i] = twin.ID(fmt.Sprintf("5a3c7d10-0000-4000-8000-%012d", i))
		if i%4 > 0 {
			addDevice(t, p, device(ids[i], fmt.Sprint("asker ", i)))
		}
	}
	var wg sync.WaitGroup
	for i, id := range ids {
		wg.Go(func() {
			key := docstore.Key{Twin: id, Name: "current"}
			for round := range rounds {
				var wrote uint32
				data := fmt.Sprintf(`{"of":%d,"round":%d}`, i, round)
				if i%4 == 1 {
					var err error
					if wrote, err = p.Put(t.Context(), key, docstore.Any, []byte(data)); err != nil {
						t.Error(err)
						return
					}
				}
				if i%4 == 2 { // some that spoil a query, if they get into one
					if _, _, err := p.DeviceAndDocument(t.Context(), docstore.Key{Twin: id, Name: "\x00"}); err != nil && !errors.Is(err, registry.ErrNoDevice) {
						t.Errorf("a name that is no text: %v", err)
					}
				}
				d, doc, err := p.DeviceAndDocument(t.Context(), key)
				if i%4 == 0 {
					if !errors.Is(err, registry.ErrNoDevice) {
						t.Errorf("asker %d: error %v, want %v", i, err, registry.ErrNoDevice)
					}
					continue
				}
				if err != nil || d.ID != id || doc.Version != wrote || wrote > 0 && string(doc.Data) != data {
					t.Errorf("asker %d wrote %d %s and got device %s, document %d %s, error %v", i, wrote, data, d.ID, doc.Version, doc.Data, err)
				}
			}
		})
	}
	wg.Wait()
}
