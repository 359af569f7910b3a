package registrytest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

func testOneWinsAName(t *testing.T, r registry.Registry, _ docstore.Store) {
	added := make(chan registry.Device, 8)
	var wg sync.WaitGroup
	for range cap(added) {
		wg.Go(func() {
			d, err := registry.NewDevice("panel")
			if err == nil {
				err = r.AddDevice(t.Context(), d)
			}
			if err == nil {
				added <- d
				return
			}
			wantError(t, "a name that many want", err, registry.ErrNameTaken)
		})
	}
	wg.Wait()
	if len(added) != 1 {
		t.Fatalf("%d devices won the name, want 1", len(added))
	}
	checkDevices(t, r, <-added)
}

func testOneWinsACertificate(t *testing.T, r registry.Registry, _ docstore.Store) {
	won := make(chan twin.ID, 8)
	var wg sync.WaitGroup
	for i := range cap(won) {
		d, err := registry.NewDevice(fmt.Sprint("panel ", i))
		if err != nil {
			t.Fatal(err)
		}
		addDevice(t, r, d)
		wg.Go(func() {
			_, err := r.UpdateDevice(t.Context(), d.ID, func(d *registry.Device) error {
				d.Certificate = []byte("certificate")
				return nil
			})
			if err == nil {
				won <- d.ID
				return
			}
			wantError(t, "a certificate that many want", err, registry.ErrCertificateTaken)
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("%d devices won the certificate, want 1", len(won))
	}
	want := <-won
	if d, err := r.DeviceByFingerprint(t.Context(), registry.HashSecret("certificate")); err != nil || d.ID != want {
		t.Errorf("DeviceByFingerprint = %s, %v; want %s", d.ID, err, want)
	}
}

// testUpdatesTakeTurns updates everything from many sides at once. Nothing may be lost.
func testUpdatesTakeTurns(t *testing.T, r registry.Registry, _ docstore.Store) {
	const workers = 20
	addDevice(t, r, device(panelID, "panel"))
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			_, err := r.UpdateDevice(t.Context(), panelID, func(d *registry.Device) error {
				d.Description += "x"
				d.ReadOnly = append(d.ReadOnly, twin.Name(fmt.Sprint("n", i)))
				return nil
			})
			if err != nil {
				t.Errorf("UpdateDevice: %v", err)
			}
			_, err = r.UpdateHub(t.Context(), func(h *registry.Hub) error {
				h.Name += "x"
				return nil
			})
			if err != nil {
				t.Errorf("UpdateHub: %v", err)
			}
			_, err = r.UpdateAuthorities(t.Context(), func(all []registry.Authority) ([]registry.Authority, error) {
				return append(all, authority(registry.ServerAuthority, fmt.Sprint("certificate ", i))), nil
			})
			if err != nil {
				t.Errorf("UpdateAuthorities: %v", err)
			}
			if err := r.Seen(t.Context(), map[twin.ID]time.Time{panelID: updated.Add(time.Duration(i) * time.Second)}, nil); err != nil {
				t.Errorf("Seen: %v", err)
			}
			if _, err := r.Devices(t.Context()); err != nil {
				t.Errorf("Devices: %v", err)
			}
		})
	}
	wg.Wait()
	d, err := r.Device(t.Context(), panelID)
	if err != nil || len(d.Description) != workers || len(d.ReadOnly) != workers {
		t.Errorf("after %d updates the device has the description %q and is read-only for %q, %v", workers, d.Description, d.ReadOnly, err)
	}
	if want := updated.Add((workers - 1) * time.Second); !d.LastActivity.Equal(want) {
		t.Errorf("last seen %v, want %v", d.LastActivity, want)
	}
	if h := getHub(t, r); len(h.Name) != len("hub")+workers {
		t.Errorf("after %d updates the hub has the name %q", workers, h.Name)
	}
	if all, err := r.Authorities(t.Context()); err != nil || len(all) != workers {
		t.Errorf("%d authorities, %v; want %d", len(all), err, workers)
	}
}
