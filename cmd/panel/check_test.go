package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/hub/hubtest"
	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/twin"
)

// Findings of panel check, but for the first, which is always the same.
const (
	noPanel   = "ok   panel         none is running on this state folder\n"
	doors     = "ok   doors         simulated\n"
	goodDir   = "ok   state folder  state can be written\n"
	goodClock = "ok   clock         now\nok   credential    none: whoever learns the device id can act as this device\n"
	hubAdvice = "                   -> check --hub, the network, and that the hub runs; the panel guards without it\n"
	badHub    = "BAD  hub           connecting to mqtt://127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused\n" + hubAdvice
	badLink   = "BAD  hub           connecting to mqtt://127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused\n" +
		"                   -> check --hub, the network, that the hub runs, and that no other program uses this device id; the panel guards without it\n"
)

var clock = regexp.MustCompile(`(?m)^(ok   clock         )\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`)

// check runs panel check with these flags and compares what it finds and how it ends.
func check(t *testing.T, f flags, want string) {
	t.Helper()
	code, stdout, stderr := run(t.Context(), append([]string{"check"}, f.args()...)...)
	got, ok := strings.CutPrefix(clock.ReplaceAllString(stdout, "${1}now"), "ok   flags         they fit together\n")
	if !ok || got != want {
		t.Errorf("got\n%swant\n%s", stdout, want)
	}
	end, wantCode := "", cli.ExitOK
	switch bad := strings.Count(want, "BAD"); {
	case bad == 1:
		end, wantCode = "panel: 1 finding is bad\nhint: the line marked BAD is followed by what to do\n", cli.ExitFailed
	case bad > 1:
		end, wantCode = "panel: 2 findings are bad\nhint: each line marked BAD is followed by what to do\n", cli.ExitFailed
	}
	if code != wantCode || stderr != end {
		t.Errorf("got code %d, stderr:\n%swant code %d and:\n%s", code, stderr, wantCode, end)
	}
}

// simulated are flags of a panel with a simulated house, beside this hub.
func simulated(hub, id string) flags {
	return flags{"hub": hub, "device-id": id, "simulate": "127.0.0.1:0", "state-dir": "state"}
}

// TestCheckFindsWhatIsWrong has no panel, and no hub either.
func TestCheckFindsWhatIsWrong(t *testing.T) {
	advice := func(start string) string {
		return "                   -> a panel that starts on it is " + start + " until the hub or somebody says otherwise, and keeps a copy\n"
	}
	tests := []struct {
		name    string
		files   map[string]string
		prepare func(*testing.T)
		set     flags
		want    string
	}{
		{"new installation", nil, nil, nil, "ok   state folder  state is not there yet; the panel makes it and begins disarmed\n" + goodClock + noPanel + doors + badHub},
		{"no journal yet", map[string]string{"x": ""}, nil, nil, goodDir + "ok   journal       disarmed\n" + goodClock + noPanel + doors + badHub},
		{"armed", map[string]string{"journal": armedJournal}, nil, nil, goodDir + "ok   journal       armed\n" + goodClock + noPanel + doors + badHub},
		{
			"corrupt journal", map[string]string{"journal": corruptJournal}, nil, nil,
			goodDir + "BAD  journal       state/journal: its checksum does not fit: it was cut short or changed\n" + advice("armed") + goodClock + noPanel + doors + badHub,
		},
		{
			"empty journal that does not arm", map[string]string{"journal": ""}, nil, flags{"on-corrupt": "disarmed"},
			goodDir + "BAD  journal       state/journal: the file is empty\n" + advice("disarmed") + goodClock + noPanel + doors + badHub,
		},
		{
			"newer journal", map[string]string{"journal": newerJournal}, nil, nil,
			goodDir + "BAD  journal       state/journal: its format is 2, of a newer panel; this one knows no later than 1\n" + advice("armed") + goodClock + noPanel + doors + badHub,
		},
		{
			"black box that is none", map[string]string{"blackbox": "\x00\x00\x00"}, nil, nil,
			goodDir + "ok   journal       disarmed\nBAD  black box     state/blackbox: nothing in it is a line of a black box\n" +
				"                   -> run this as the panel's user, or move the file away; the panel guards all the same, but can't explain what was before\n" +
				goodClock + noPanel + doors + badHub,
		},
		{
			"a file in the folder's place", nil, func(t *testing.T) { os.WriteFile("state", nil, 0o600) }, nil,
			"BAD  state folder  state is no folder\n                   -> choose another --state-dir\n" + goodClock + noPanel + doors + badHub,
		},
		{
			"a file in the place of the folder above", nil, func(t *testing.T) { os.WriteFile("state", nil, 0o600) }, flags{"state-dir": "state/panel"},
			"BAD  state folder  state/panel is no folder\n                   -> choose another --state-dir\n" + goodClock + noPanel + doors + badHub,
		},
		{
			// It visits no hub then: that would take the connection from the panel.
			"a panel that is silent", map[string]string{"journal": armedJournal}, lock, nil,
			goodDir + "ok   journal       armed\n" + goodClock + "BAD  panel         another process is using this folder; stop it first or choose another folder\n                   -> " + silentHint + "\n",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			folder(t, tt.files)
			if tt.prepare != nil {
				tt.prepare(t)
			}
			check(t, simulated(noHub, deviceID).with(tt.set), tt.want)
			if tt.files == nil && tt.prepare == nil {
				if _, err := os.Stat("state"); err == nil {
					t.Error("the check has made the state folder")
				}
			} else if left, _ := os.ReadDir("state"); len(left) != len(tt.files) {
				t.Errorf("the check has left %v in the state folder", left)
			}
		})
	}
}

func TestCheckVisitsTheHub(t *testing.T) {
	h := hubtest.Start(t)
	device := h.AddDevice("panel")
	folder(t, map[string]string{"journal": armedJournal})
	head := goodDir + "ok   journal       armed\n" + goodClock + noPanel + doors

	check(t, simulated(h.MQTT(), string(device.ID)),
		head+"ok   hub           "+h.MQTT()+" accepts this device\nok   desired       not written yet: nobody has armed or disarmed by phone\n")
	h.MustPut(device.ID, "desired", `{"alarm_armed":true}`)
	h.MustPut(device.ID, "desired", `{"alarm_armed":false}`)
	check(t, simulated(h.MQTT(), string(device.ID)),
		head+"ok   hub           "+h.MQTT()+" accepts this device\nok   desired       version 2\n")
	check(t, simulated(h.MQTT(), deviceID),
		head+"BAD  hub           "+h.MQTT()+": hub refused the device, which shows nothing but its id\n"+
			"                   -> check the device id, and give the device's certificate and key, or its secret; whether its id is enough is up to the hub\n")
}

func TestCheckAsksTheRunningPanel(t *testing.T) {
	h := hubtest.Start(t)
	device := h.AddDevice("panel")
	folder(t, nil)
	p := start(t, "--hub", h.MQTT(), "--device-id", string(device.ID))
	p.logged(t, "reading=closed", "msg=connected")
	f := simulated(h.MQTT(), string(device.ID))
	head := goodDir + "ok   journal       disarmed\n" + goodClock
	check(t, f, head+"ok   panel         running: disarmed; door closed\nok   hub           connected\n")
	p.move(t, `{"fault":true}`)
	p.logged(t, "reading=fault")
	for name, pattern := range map[twin.Name]string{"current": `"faults":\["door"\]`, "events": `"door"`} { // a hub that ends amid a write resets the connection
		eventually(t, pattern, func() (string, error) {
			doc, err := h.Do(device.ID, name, twin.Get, "")
			return string(doc.Data), err
		})
	}
	h.Stop()
	p.logged(t, `msg="connection lost"`) // half a second before it tries again
	check(t, f, head+"ok   panel         running: disarmed; door fault; faults: door\n"+
		"BAD  fault         door\n                   -> look at the wires and the line of this contact; the panel's log has the error\n"+
		"BAD  hub           hub closed the connection (EOF)\n                   -> check --hub, the network, that the hub runs, and that no other program uses this device id; the panel guards without it\n")
}
