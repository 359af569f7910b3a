//go:build gpiovm

package cases

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/internal/gpiosim"
)

// TestSirenLine records all that is done to the siren's line in a panel's life. A relay that is active low has a resistor
// that pulls its input high, as it should; the other one's is pulled low.
func TestSirenLine(t *testing.T) {
	for _, tt := range []struct {
		active string
		sounds bool // the level at which it sounds
		off    string
		on     string
	}{
		{"high", true, "low", "high"},
		{"low", false, "high", "low"},
	} {
		t.Run("active "+tt.active, func(t *testing.T) {
			b := newBench(t)
			b.move(sirens, !tt.sounds) // the resistor
			b.must(gpiosim.Record())

			r := b.start("--siren-active", tt.active)
			r.is("disarmed; door open")
			r.move(front, false)
			r.is("disarmed; door closed")
			r.tell("arm")
			b.did("start, arm", "", "output "+tt.off)

			r.move(front, true)
			r.goes(sirens, tt.sounds)
			r.is("ringing; door open")
			b.did("ring", tt.off, "set "+tt.on)
			r.tell("disarm")
			r.goes(sirens, !tt.sounds)
			b.did("disarm", tt.on, "set "+tt.off)

			r.tell("arm") // with the door open
			r.move(front, false)
			r.is("armed; door closed")
			r.move(front, true)
			r.is("ringing; door open")
			b.did("ring", tt.off, "set "+tt.on)
			r.stop(syscall.SIGTERM)
			b.did("SIGTERM while it rings", tt.on, "set "+tt.off)
			if b.level(sirens) == tt.sounds {
				t.Error("the siren sounds after the panel's end")
			}
		})
	}
}

// TestSirenAfterSIGKILL kills a panel that rings. The kernel takes the line back, and what becomes of the level is the
// chip driver's affair: on the simulated chip it is the resistor's. Then the service's stop command makes sure.
func TestSirenAfterSIGKILL(t *testing.T) {
	for _, tt := range []struct {
		name, active string
		pulledHigh   bool // by the resistor
		sounds       bool // after SIGKILL, until the stop command
		off          string
	}{
		{"active high, pulled low", "high", false, false, "low"},
		{"active high, pulled high by mistake", "high", true, true, "low"},
		{"active low, pulled high", "low", true, false, "high"},
		{"active low, pulled low by mistake", "low", false, true, "high"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			b.move(sirens, tt.pulledHigh)
			r := b.start("--siren-active", tt.active)
			r.is("disarmed; door open")
			r.tell("arm")
			r.move(front, false)
			r.is("armed; door closed")
			r.move(front, true)
			r.goes(sirens, tt.active == "high")
			r.is("ringing; door open")

			b.must(gpiosim.Record())
			r.stop(os.Kill)
			b.did("SIGKILL", "")
			if sounds := b.level(sirens) == (tt.active == "high"); sounds != tt.sounds {
				t.Errorf("after SIGKILL the siren sounds: %v; want %v", sounds, tt.sounds)
			}
			out, err := b.command("siren-off", "--siren", "GPIO27", "--siren-active", tt.active).CombinedOutput()
			if err != nil {
				t.Errorf("panel siren-off: %v\n%s", err, out)
			}
			b.did("siren-off", "", "output "+tt.off)
			if high := b.level(sirens); high != tt.pulledHigh {
				t.Errorf("after siren-off, which lets the line go, it is high: %v; want what the resistor says", high)
			}
		})
	}
}

// TestRingGoesOnAfterSIGKILL starts the panel again: the ring, which the disk remembers, goes on after no other pulse.
func TestRingGoesOnAfterSIGKILL(t *testing.T) {
	b := newBench(t)
	r := b.start()
	r.is("disarmed; door open")
	r.move(front, false)
	r.is("disarmed; door closed")
	r.tell("arm")
	r.move(front, true)
	r.is("ringing; door open")
	r.stop(os.Kill)
	b.must(gpiosim.Record())
	r = b.start()
	r.goes(sirens, true)
	b.did("start", "", "output low", "set high")
	r.tell("disarm")
	r.goes(sirens, false)
	r.stop(syscall.SIGTERM)
}

// did wants exactly this to have been done to the siren's line since Record, and records anew. The panel sets the level
// again and again, which changes nothing: only the first time counts, or none if the level is that of before.
func (b *bench) did(when, before string, want ...string) {
	b.Helper()
	acts, err := b.Acts(sirens)
	b.must(err)
	b.must(gpiosim.Record())
	var changes []string
	for i, a := range acts {
		since := time.Duration(0)
		if i > 0 {
			since = a.Time - acts[i-1].Time
		}
		b.Logf("%s: %s, %v later", when, a.What, since)
		if l := level(a.What); l != before {
			changes = append(changes, a.What)
			before = l
		}
	}
	if !slices.Equal(changes, want) {
		b.Errorf("%s: done to the siren's line: %v, which changes it by %q; want %q", when, acts, changes, want)
	}
}

// level is the level that an act gives a line.
func level(act string) string { return act[strings.LastIndexByte(act, ' ')+1:] }
