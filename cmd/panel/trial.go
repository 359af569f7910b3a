package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twinpanel/twinpanel/internal/agent"
	"github.com/twinpanel/twinpanel/internal/panel"
	"github.com/twinpanel/twinpanel/siren"
	"github.com/twinpanel/twinpanel/twin"
	"github.com/twinpanel/twinpanel/twinclient"
)

// contacts prints each change of a contact, until each was seen open and closed or there is no more time. Look tells the
// readings by name.
func (t *selftest) contacts(ctx context.Context, look func() (map[string]string, error)) {
	if t.Watch == 0 {
		return
	}
	t.note("doors", "open and close each of them now, within %s", short(t.Watch))
	over := time.After(t.Watch)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	last, open, closed := map[string]string{}, map[string]bool{}, map[string]bool{}
	for waiting := true; waiting; {
		now, err := look()
		if err != nil {
			if ctx.Err() == nil {
				t.wrong("doors", err, cmp.Or(nextStep(err), "see the panel's log"))
			}
			return
		}
		waiting = false
		for _, name := range slices.Sorted(maps.Keys(now)) {
			if reading := now[name]; reading != last[name] {
				t.note("door "+name, "%s", reading)
				last[name] = reading
				open[name] = open[name] || reading == "open"
				closed[name] = closed[name] || reading == "closed"
			}
			waiting = waiting || !open[name] || !closed[name]
		}
		if !waiting {
			break
		}
		select {
		case <-tick.C:
		case <-over:
			waiting = false
		case <-ctx.Done():
			return
		}
	}
	for _, name := range slices.Sorted(maps.Keys(last)) {
		switch reading := last[name]; {
		case reading == "unknown", reading == "fault":
			t.wrong("door "+name, errors.New("it cannot be read"), "panel check says why")
		case open[name] && closed[name]:
			t.ok("door "+name, "was open and closed")
		default:
			t.wrong("door "+name, fmt.Errorf("it was %s all the time", reading),
				"if somebody has moved it: look at its magnet, contact and wires; if not: run this again, with more --watch, or with --watch 0s to leave the doors out")
		}
	}
}

// siren has the siren sounded after a countdown.
func (t *selftest) siren(ctx context.Context, sound func() error) {
	if t.Silent {
		return
	}
	for n := countdown; n > 0; n-- {
		t.note("siren", "sounds for 1 s in %d s; Ctrl-C cancels", n)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return
		}
	}
	if err := sound(); err != nil {
		t.wrong("siren", err, "look at the siren's line; panel check says more")
		return
	}
	t.ok("siren", "its line was on for 1 s; if nobody has heard it, look at relay, siren and supply")
}

// soundSiren sounds the siren for a second, or until ctx ends.
func soundSiren(ctx context.Context, l lines) error {
	s := siren.New(siren.Config{Open: l.siren, ActiveHigh: l.soundsHigh})
	err := s.Set(false)
	if err == nil {
		err = s.Set(true)
		select {
		case <-time.After(panel.SirenTestLasts):
		case <-ctx.Done():
		}
	}
	if off := s.Close(); err == nil {
		err = off
	}
	return err
}

// roundTrip connects as the device, asks for desired and says how long it took.
func (t *selftest) roundTrip(ctx context.Context) {
	began := time.Now()
	conn, err := twinclient.Dial(ctx, t.connect())
	if err != nil {
		t.unreachable(&t.findings, err)
		return
	}
	defer conn.Close()
	connected := time.Now()
	_, err = conn.Get(ctx, agent.Desired)
	if err != nil && !errors.Is(err, twin.ErrDocumentNotFound) {
		t.wrong("desired", err, "the hub accepts the device but doesn't answer as it should: see its log")
		return
	}
	t.ok("hub", "%s answers in %s; connecting took %s", t.Hub, milliseconds(time.Since(connected)), milliseconds(connected.Sub(began)))
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%d ms", max(1, d.Milliseconds())) }
