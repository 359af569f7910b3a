package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/internal/panel"
	"github.com/twinpanel/twinpanel/internal/simulator"
	"github.com/twinpanel/twinpanel/sensor"
	"github.com/twinpanel/twinpanel/siren"
	"github.com/twinpanel/twinpanel/statemachine"
)

// A relay is a siren's line that notes what is done to it.
type relay struct {
	mu    sync.Mutex
	high  bool
	calls []string
}

func (r *relay) note(call string, high bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls, r.high = append(r.calls, call), high
	return nil
}

func (r *relay) Set(high bool) error { return r.note(fmt.Sprintf("set %t", high), high) }
func (r *relay) Close() error        { return r.note("close", false) }

func (r *relay) Level() (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.high, nil
}

func (r *relay) all() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.calls, ", ")
}

// TestACleanEndTurnsTheSirenOff looks at the line itself, for both ways of wiring it.
func TestACleanEndTurnsTheSirenOff(t *testing.T) {
	for _, wiring := range []struct {
		soundsHigh                  bool
		first, sounding, afterwards string
	}{
		{true, "^set false, ", "set true$", "set true, set false, close"},
		{false, "^set true, ", "set false$", "set false, set true, close"},
	} {
		folder(t, nil)
		var c Config
		fs := pflag.NewFlagSet("panel", pflag.ContinueOnError)
		c.flags(fs)
		if err := fs.Parse(append(simulated(noHub, deviceID).args(), "--debounce=20ms")); err != nil {
			t.Fatal(err)
		}
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		house, err := simulator.New(simulator.Config{})
		if err != nil {
			t.Fatal(err)
		}
		var relay relay
		l := c.simulated(house)
		l.siren = func() (siren.Line, error) { return &relay, nil }
		l.soundsHigh = wiring.soundsHigh
		a, err := c.open(l, nil, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- a.Run(ctx) }()

		eventually(t, wiring.first, func() (string, error) { return relay.all(), nil })
		eventually(t, "closed", func() (string, error) {
			s, err := panel.Control("state").Status(ctx)
			return s.Doors["door"], err
		})
		if s, err := panel.Control("state").Command(ctx, true); err != nil || s.State != "armed" {
			t.Fatalf("arming: got %+v, error %v", s, err)
		}
		if err := house.MoveDoor("door", true); err != nil {
			t.Fatal(err)
		}
		eventually(t, wiring.sounding, func() (string, error) { return relay.all(), nil })
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("got error %v, want a clean end", err)
		}
		if got := relay.all(); !strings.HasSuffix(got, wiring.afterwards) {
			t.Errorf("sounds high %t: got %s; want %s at the end", wiring.soundsHigh, got, wiring.afterwards)
		}
	}
}

// TestSensorAndRulesMeanTheSame pins two lists that cannot import each other: a sensor's reading is handed to the rules as a
// number.
func TestSensorAndRulesMeanTheSame(t *testing.T) {
	for _, same := range []struct {
		sensor sensor.Reading
		rules  statemachine.Reading
	}{
		{sensor.Unknown, statemachine.Unknown},
		{sensor.Closed, statemachine.Closed},
		{sensor.Open, statemachine.Open},
		{sensor.Fault, statemachine.Fault},
		{sensor.Fault + 1, statemachine.Fault + 1}, // none that only one of them knows
	} {
		if statemachine.Reading(same.sensor) != same.rules || same.sensor.String() != same.rules.String() {
			t.Errorf("the sensor has %d, %s; the rules have %d, %s", same.sensor, same.sensor, same.rules, same.rules)
		}
	}
}
