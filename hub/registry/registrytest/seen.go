package registrytest

import (
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

func testSeen(t *testing.T, r registry.Registry, _ docstore.Store) {
	panel, other := fullDevice(panelID, "panel"), device(otherID, "other")
	app, phone := token("app", "1"), token("phone", "2")
	addDevice(t, r, panel)
	addDevice(t, r, other)
	addToken(t, r, app)
	addToken(t, r, phone)
	const unknown twin.ID = "0b6e2b2e-7a4b-4c39-9d5e-2f6b5c1a9e03"
	second := func(n int) time.Time { return updated.Add(time.Duration(n) * time.Second) }
	for _, step := range []struct {
		name                     string
		devices                  map[twin.ID]time.Time
		tokens                   map[string]time.Time
		panel, other, app, phone time.Time // what has to be kept
	}{
		{"nobody", nil, nil, panel.LastActivity, time.Time{}, time.Time{}, time.Time{}},
		{"the first time", map[twin.ID]time.Time{panelID: second(10)}, map[string]time.Time{"app": second(11)},
			second(10), time.Time{}, second(11), time.Time{}},
		{"earlier ones", map[twin.ID]time.Time{panelID: second(9), otherID: second(1)}, map[string]time.Time{"app": second(10), "phone": second(2)},
			second(10), second(1), second(11), second(2)},
		{"at the same time", map[twin.ID]time.Time{panelID: second(10)}, map[string]time.Time{"app": second(11)},
			second(10), second(1), second(11), second(2)},
		{"never", map[twin.ID]time.Time{panelID: {}}, map[string]time.Time{"app": {}},
			second(10), second(1), second(11), second(2)},
		{"later, with some that aren't there", map[twin.ID]time.Time{panelID: second(20), unknown: second(20)}, map[string]time.Time{"app": second(20), "tablet": second(20), "panel": second(30)},
			second(20), second(1), second(20), second(2)},
		{"finer than what is kept", map[twin.ID]time.Time{otherID: second(30).Add(999)}, map[string]time.Time{"phone": second(30).Add(999)},
			second(20), second(30), second(20), second(30)},
	} {
		if err := r.Seen(t.Context(), step.devices, step.tokens); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		clear(step.devices) // the caller's again
		clear(step.tokens)
		panel.LastActivity, other.LastActivity, app.LastUsed, phone.LastUsed = step.panel, step.other, step.app, step.phone
		checkDevices(t, r, other, panel)
		checkTokens(t, r, app, phone)
		if t.Failed() {
			t.Fatalf("after %q", step.name)
		}
	}
	_, err := r.Device(t.Context(), unknown)
	wantError(t, "a device that was only seen", err, registry.ErrNoDevice)
}
