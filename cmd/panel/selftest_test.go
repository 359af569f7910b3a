package main

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub/hubtest"
	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/internal/cli/clitest"
	"github.com/twinpanel/twinpanel/internal/panel"
	"github.com/twinpanel/twinpanel/siren"
)

// TestSelftestWatchesTheDoors has doors that move, or don't, while it watches.
func TestSelftestWatchesTheDoors(t *testing.T) {
	const begins = "     doors         open and close each of them now, within 10s\n"
	type at map[time.Duration]map[string]string // what changes, and when
	const stuck = "                   -> if somebody has moved it: look at its magnet, contact and wires; if not: run this again, with more --watch, or with --watch 0s to leave the doors out\n"
	tests := []struct {
		name  string
		moves at
		took  time.Duration
		want  string
	}{
		{
			"stuck", at{0: {"front": "closed"}}, 10 * time.Second,
			"     door front    closed\nBAD  door front    it was closed all the time\n" + stuck,
		},
		{
			"cut", at{0: {"front": "open"}}, 10 * time.Second,
			"     door front    open\nBAD  door front    it was open all the time\n" + stuck,
		},
		{
			"never read", at{0: {"front": "unknown"}}, 10 * time.Second,
			"     door front    unknown\nBAD  door front    it cannot be read\n                   -> panel check says why\n",
		},
		{
			"moved", at{0: {"front": "closed"}, time.Second: {"front": "open"}, 2 * time.Second: {"front": "fault"}}, time.Second,
			"     door front    closed\n     door front    open\nok   door front    was open and closed\n",
		},
		{
			"fails after opening", at{0: {"front": "open"}, 2 * time.Second: {"front": "fault"}}, 10 * time.Second,
			"     door front    open\n     door front    fault\nBAD  door front    it cannot be read\n                   -> panel check says why\n",
		},
		{
			"one of two", at{0: {"back": "closed", "front": "closed"}, time.Second: {"back": "open"}}, 10 * time.Second,
			"     door back     closed\n     door front    closed\n     door back     open\nok   door back     was open and closed\nBAD  door front    it was closed all the time\n" + stuck,
		},
		{
			"both", at{0: {"back": "open", "front": "closed"}, time.Second: {"front": "open"}, 3 * time.Second: {"back": "closed"}}, 3 * time.Second,
			"     door back     open\n     door front    closed\n     door front    open\n     door back     closed\nok   door back     was open and closed\nok   door front    was open and closed\n",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				test := selftest{Watch: 10 * time.Second, findings: findings{w: &out}}
				began := time.Now()
				readings := map[string]string{}
				test.contacts(t.Context(), func() (map[string]string, error) {
					for when, moved := range tt.moves {
						if time.Since(began) >= when {
							maps.Copy(readings, moved)
							delete(tt.moves, when)
						}
					}
					return maps.Clone(readings), nil
				})
				if out.String() != begins+tt.want {
					t.Errorf("got\n%swant\n%s", &out, begins+tt.want)
				}
				if took := time.Since(began); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
			})
		})
	}
}

// A brokenRelay cannot be driven.
type brokenRelay struct{ relay }

func (r *brokenRelay) Set(high bool) error {
	r.relay.Set(false)
	return errors.New("no such device")
}

// TestSelftestSoundsTheSiren without a panel, with the line of a relay. It is silent at the end, whatever happens.
func TestSelftestSoundsTheSiren(t *testing.T) {
	const counts = "     siren         sounds for 1 s in 3 s; Ctrl-C cancels\n     siren         sounds for 1 s in 2 s; Ctrl-C cancels\n     siren         sounds for 1 s in 1 s; Ctrl-C cancels\n"
	tests := []struct {
		name        string
		silent      bool
		cancelAfter time.Duration
		broken      bool
		took        time.Duration
		calls, want string
	}{
		{"a line that fails", false, time.Hour, true, 3 * time.Second, "", counts + "BAD  siren         turning siren off first: no such device\n                   -> look at the siren's line; panel check says more\n"},
		{"cancelled before", false, 2500 * time.Millisecond, false, 2500 * time.Millisecond, "", counts},
		{"cancelled meanwhile", false, 3200 * time.Millisecond, false, 3200 * time.Millisecond, "set false, set false, set true, set false, close", counts + "ok"},
		{"left out", true, time.Hour, false, 0, "", ""},
		{"heard", false, time.Hour, false, 4 * time.Second, "set false, set false, set true, set false, close", counts + "ok   siren         its line was on for 1 s; if nobody has heard it, look at relay, siren and supply\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), tt.cancelAfter)
				defer cancel()
				var out bytes.Buffer
				test := selftest{Silent: tt.silent, findings: findings{w: &out}}
				var works relay
				l := lines{soundsHigh: true, siren: func() (siren.Line, error) {
					if tt.broken {
						return &brokenRelay{}, nil
					}
					return &works, nil
				}}
				began := time.Now()
				test.siren(ctx, func() error { return soundSiren(ctx, l) })
				if took := time.Since(began); took != tt.took || !strings.HasPrefix(out.String(), tt.want) || works.all() != tt.calls {
					t.Errorf("after %v and %s:\n%swant %v and %s:\n%s", took, works.all(), &out, tt.took, tt.calls, tt.want)
				}
			})
		})
	}
}

// selftesting runs panel selftest beside the test; result waits for how it ended.
func selftesting(t *testing.T, f flags) (out *clitest.Log, result func() (int, string)) {
	out = new(clitest.Log)
	var stderr bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- cli.Run(t.Context(), command(""), append([]string{"selftest"}, f.args()...), out, &stderr)
	}()
	return out, func() (int, string) { return <-code, stderr.String() }
}

func TestSelftestBesideAPanel(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	device := h.AddDevice("panel")
	p := startIn(t, newFolder(t), "--hub", h.MQTT(), "--device-id", string(device.ID))
	p.logged(t, "reading=closed", "msg=connected")
	out, result := selftesting(t, simulated(h.MQTT(), string(device.ID)).with(flags{"state-dir": filepath.Join(p.Dir, "state")}))
	seen := func() (string, error) { return out.String(), nil }
	eventually(t, `door door     closed\n`, seen)
	p.move(t, `{"open":true}`)
	eventually(t, `door door     open\n`, seen)
	eventually(t, `in 1 s`, seen)
	eventually(t, `"siren_on":true`, p.look)
	code, stderr := result()
	if house, err := p.look(); err != nil || !strings.Contains(house, `"siren_on":false`) {
		t.Errorf("the house afterwards: %s, %v; want silence", house, err)
	}
	want := `^ok   panel         running: disarmed; door closed
     doors         open and close each of them now, within 30s
     door door     closed
     door door     open
ok   door door     was open and closed
(     siren         sounds for 1 s in [321] s; Ctrl-C cancels
){3}ok   siren         its line was on for 1 s; if nobody has heard it, look at relay, siren and supply
ok   hub           connected; it answered \d+ s ago
$`
	if code != cli.ExitOK || stderr != "" || !regexp.MustCompile(want).MatchString(out.String()) {
		t.Errorf("got code %d, stderr %s and\n%swant\n%s", code, stderr, out, want)
	}
	if log := p.Log.String(); strings.Contains(log, "ringing") || strings.Contains(log, "msg=armed") {
		t.Errorf("the panel took it for an alarm:\n%s", log)
	}
}

// TestSelftestThatIsKilled leaves the panel to end the sound.
func TestSelftestThatIsKilled(t *testing.T) {
	t.Parallel()
	p := startIn(t, newFolder(t))
	p.logged(t, "reading=closed")
	command := exec.Command("panel", append([]string{"selftest", "--watch", "0s"}, usualFlags()...)...)
	command.Dir = p.Dir
	killed, err := clitest.Start(command, "in 1 s")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, `"siren_on":true`, p.look)
	if _, err := killed.Stop(os.Kill); err == nil {
		t.Error("it ended before it was killed")
	}
	eventually(t, `"siren_on":false`, p.look)
}

// TestSelftestOfAPanelThatWasArmedMeanwhile sends nobody to look for a fault.
func TestSelftestOfAPanelThatWasArmedMeanwhile(t *testing.T) {
	folder(t, nil)
	p := start(t)
	p.logged(t, "reading=closed")
	control := panel.Control("state")
	if _, err := control.Command(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	_, err := control.TestSiren(t.Context())
	var out bytes.Buffer
	test := selftest{findings: findings{w: &out}}
	test.sounded(err)
	const want = "BAD  siren         the panel answers: not now: the siren is tested only while the panel is disarmed, and now it is armed\n" +
		"                   -> when the panel is disarmed and nobody else tests it, run this again\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", &out, want)
	}
}

func TestSelftestWithoutPanel(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	device := h.AddDevice("panel")
	here := flags{"state-dir": newFolder(t)}
	_, result := selftesting(t, simulated(h.MQTT(), deviceID).with(here).with(flags{"watch": "1s", "silent": "true"}))
	if code, stderr := result(); code != cli.ExitFailed || !strings.HasPrefix(stderr, "panel: 2 findings are bad\n") {
		t.Errorf("a door that nobody moves and a device that the hub doesn't know: got code %d, stderr %s", code, stderr)
	}
	out, result := selftesting(t, simulated(h.MQTT(), string(device.ID)).with(here).with(flags{"watch": "0s"}))
	eventually(t, "in 3 s", func() (string, error) { return out.String(), nil })
	if code, _, stderr := runBriefly(append(simulated(noHub, deviceID).with(here).args(), "--debounce=20ms")...); code != cli.ExitFailed || !strings.Contains(stderr, "another process is using this folder") {
		t.Errorf("a panel beside it: got code %d, stderr %s; want it refused", code, stderr)
	}
	code, stderr := result()
	want := `^ok   panel         none is running on this state folder
(     siren         sounds for 1 s in [321] s; Ctrl-C cancels
){3}ok   siren         its line was on for 1 s; if nobody has heard it, look at relay, siren and supply
ok   hub           mqtt://\S+ answers in \d+ ms; connecting took \d+ ms
$`
	if code != cli.ExitOK || stderr != "" || !regexp.MustCompile(want).MatchString(out.String()) {
		t.Errorf("got code %d, stderr %s and\n%swant\n%s", code, stderr, out, want)
	}
}
