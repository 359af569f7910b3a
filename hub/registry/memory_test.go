package registry_test

import (
	"context"
	"errors"
	"testing"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/hub/registry/registrytest"
	"github.com/twinpanel/twinpanel/twin"
)

func TestMemory(t *testing.T) {
	registrytest.Run(t, func(*testing.T) (registry.Registry, docstore.Store) {
		r, s := registry.NewMemory(), docstore.NewMemory()
		r.DeleteAll = s.DeleteAll
		return r, s
	})
}

func TestMemoryKeepsDeviceWhenItsDocumentsStay(t *testing.T) {
	r := registry.NewMemory()
	d, err := registry.NewDevice("panel")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.AddDevice(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("store is broken")
	r.DeleteAll = func(context.Context, twin.ID) error { return broken }
	if err := r.RemoveDevice(t.Context(), d.ID); !errors.Is(err, broken) {
		t.Errorf("RemoveDevice: %v, want %v", err, broken)
	}
	if _, err := r.Device(t.Context(), d.ID); err != nil {
		t.Errorf("Device after a failed RemoveDevice: %v, want the device", err)
	}
}
