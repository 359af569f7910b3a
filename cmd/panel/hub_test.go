package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub/hubtest"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/twin"
)

// current is what the phone would read.
func current(h *hubtest.Hub, id twin.ID) func() (string, error) {
	return func() (string, error) {
		doc, err := h.Do(id, "current", twin.Get, "")
		return string(doc.Data), err
	}
}

// TestFromPhoneToSirenAndBack has all there is: a phone's writes, the hub, the panel's process and a house. The hub goes
// away and comes back in the middle of it.
func TestFromPhoneToSirenAndBack(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	device := h.AddDevice("panel")
	p := startIn(t, newFolder(t), "--hub", h.MQTT(), "--device-id", strings.ToUpper(string(device.ID)))
	sees := func(pattern string) {
		t.Helper()
		eventually(t, pattern, current(h, device.ID))
	}

	sees(`^\{"last_update":"[^"]+Z","alarm_armed":false,"siren_ringing":false,"door_open":false,"state":"disarmed","heartbeat_s":30\}$`)
	p.move(t, `{"open":true}`)
	sees(`"door_open":true`)
	p.move(t, `{"open":false}`)
	sees(`"door_open":false`)
	h.MustPut(device.ID, "desired", `{"alarm_armed":true}`)
	sees(`"alarm_armed":true,"siren_ringing":false,"door_open":false,"state":"armed"`)

	h.Stop()
	p.logged(t, `msg="connection lost"`)
	p.move(t, `{"open":true}`)
	eventually(t, `"siren_on":true`, p.look)
	h.Restart()
	sees(`"alarm_armed":true,"siren_ringing":true,"door_open":true,"state":"ringing"`)

	h.MustPut(device.ID, "desired", `{"alarm_armed":false}`)
	sees(`"alarm_armed":false,"siren_ringing":false,"door_open":true,"state":"disarmed"`)
	eventually(t, `"siren_on":false`, p.look)
	if _, err := p.Stop(os.Interrupt); err != nil {
		t.Errorf("the panel ended with %v", err)
	}
}

// TestUnknownDevice guards all the same, says once why it is alone, and keeps trying.
func TestUnknownDevice(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	p := startIn(t, newFolder(t), "--hub", h.MQTT())
	const refused = `msg="no connection: trying for ever" hub=\S+ error="connecting to \S+: hub refused the device, which shows nothing but its id: check the device id, and give the device's certificate and key, or its secret; whether its id is enough is up to the hub"`
	p.logged(t, "reading=closed", refused)
	if code, stdout, stderr := run(t.Context(), "arm", "--state-dir", filepath.Join(p.Dir, "state")); code != cli.ExitOK || stdout != "armed; door closed\n" {
		t.Errorf("arm: got code %d, stdout %q, stderr %q; want armed", code, stdout, stderr)
	}
	p.move(t, `{"open":true}`)
	eventually(t, `"siren_on":true`, p.look)

	if err := h.Registry.AddDevice(t.Context(), registry.Device{ID: deviceID, Name: "panel", AllowInsecure: true, Created: time.Now()}); err != nil {
		t.Fatal(err)
	}
	p.logged(t, "msg=connected")
	eventually(t, `"siren_ringing":true`, current(h, deviceID))
	if n := strings.Count(p.Log.String(), "hub refused the device"); n != 1 {
		t.Errorf("the log says %d times that the hub refused the device, want once", n)
	}
}
