package registrytest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

func testEndedContext(t *testing.T, r registry.Registry, s docstore.Store) {
	panel, phone := device(panelID, "panel"), token("phone", "secret")
	addDevice(t, r, panel)
	addToken(t, r, phone)
	putDocument(t, s, panelID, 1)
	hub := getHub(t, r)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, get := r.Device(ctx, panelID)
	_, byName := r.DeviceByName(ctx, "panel")
	_, byFingerprint := r.DeviceByFingerprint(ctx, panel.Fingerprint())
	_, list := r.Devices(ctx)
	_, update := r.UpdateDevice(ctx, panelID, func(d *registry.Device) error {
		t.Error("UpdateDevice with an ended context calls its function")
		d.Disabled = true
		return nil
	})
	_, getToken := r.TokenByHash(ctx, phone.Hash)
	_, listTokens := r.Tokens(ctx)
	_, getHub1 := r.Hub(ctx)
	_, updateHub := r.UpdateHub(ctx, func(h *registry.Hub) error {
		t.Error("UpdateHub with an ended context calls its function")
		h.Name = "changed"
		return nil
	})
	_, authorities := r.Authorities(ctx)
	_, updateAuthorities := r.UpdateAuthorities(ctx, func([]registry.Authority) ([]registry.Authority, error) {
		t.Error("UpdateAuthorities with an ended context calls its function")
		return []registry.Authority{authority(registry.ServerAuthority, "one")}, nil
	})
	for call, err := range map[string]error{
		"Device": get, "DeviceByName": byName, "DeviceByFingerprint": byFingerprint, "Devices": list, "UpdateDevice": update,
		"TokenByHash": getToken, "Tokens": listTokens, "Hub": getHub1, "UpdateHub": updateHub,
		"Authorities": authorities, "UpdateAuthorities": updateAuthorities,
		"AddDevice":    r.AddDevice(ctx, device(otherID, "other")),
		"RemoveDevice": r.RemoveDevice(ctx, panelID),
		"AddToken":     r.AddToken(ctx, token("tablet", "another secret")),
		"RemoveToken":  r.RemoveToken(ctx, "phone"),
		"Seen":         r.Seen(ctx, map[twin.ID]time.Time{panelID: updated}, map[string]time.Time{"phone": updated}),
	} {
		wantError(t, call+" with an ended context", err, context.Canceled)
		if unknown, ok := errors.AsType[*docstore.OutcomeError](err); ok {
			t.Errorf("%s with an ended context claims not to know its outcome: %v", call, unknown)
		}
	}
	checkDevices(t, r, panel)
	checkTokens(t, r, phone)
	checkAuthorities(t, r)
	if h := getHub(t, r); !sameHub(h, hub) {
		t.Errorf("Hub = %+v, want %+v", h, hub)
	}
	putDocument(t, s, panelID, 2)
}

// An update whose context ends in the middle of it says that it happened or that this isn't
// known, and does not go on behind its caller's back: the race detector watches the variables.
func testContextThatEndsDuringAnUpdate(t *testing.T, r registry.Registry, _ docstore.Store) {
	addDevice(t, r, device(panelID, "panel"))
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		var changed string
		_, err := r.UpdateDevice(ctx, panelID, func(d *registry.Device) error {
			cancel()
			changed, d.Description = d.Description+"x", d.Description+"x"
			return nil
		})
		changed += "!"
		if _, unknown := errors.AsType[*docstore.OutcomeError](err); err != nil && !unknown {
			t.Fatalf("UpdateDevice: %v, want no error or an unknown outcome", err)
		}
		// The next update waits for this one: then it must be there, whole.
		d := updateDevice(t, r, panelID, func(*registry.Device) {})
		if d.Description+"!" != changed {
			t.Fatalf("description %q, want %q without its end", d.Description, changed)
		}
	}
}

// A function that panics breaks its caller alone.
func testPanicInAnUpdate(t *testing.T, r registry.Registry, s docstore.Store) {
	want := fullDevice(panelID, "panel")
	addDevice(t, r, want)
	hub := getHub(t, r)
	for name, update := range map[string]func(){
		"UpdateDevice": func() {
			_, _ = r.UpdateDevice(t.Context(), panelID, func(d *registry.Device) error {
				d.Disabled, d.Certificate[0] = false, 'x'
				panic("by a test")
			})
		},
		"UpdateHub": func() {
			_, _ = r.UpdateHub(t.Context(), func(h *registry.Hub) error {
				h.Name = "changed"
				panic("by a test")
			})
		},
		"UpdateAuthorities": func() {
			_, _ = r.UpdateAuthorities(t.Context(), func([]registry.Authority) ([]registry.Authority, error) { panic("by a test") })
		},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: the caller saw no panic", name)
				}
			}()
			update()
		}()
	}
	checkDevices(t, r, want)
	checkAuthorities(t, r)
	if h := getHub(t, r); !sameHub(h, hub) {
		t.Errorf("Hub = %+v, want %+v", h, hub)
	}
	putDocument(t, s, panelID, 1)
	updateDevice(t, r, panelID, func(d *registry.Device) { d.Disabled = false })
}
