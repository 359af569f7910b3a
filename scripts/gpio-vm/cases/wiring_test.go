//go:build gpiovm

package cases

import (
	"syscall"
	"testing"
)

// guards has a panel guard a door: it arms, rings when the door opens, goes on when it closes, and disarms.
func (r *running) guards(openHigh, soundsHigh bool) {
	r.Helper()
	// The kernel was asked for a pull towards the open level: until something closes the contact, it is open.
	r.is("disarmed; door open")
	r.move(front, !openHigh)
	r.is("disarmed; door closed")
	r.tell("arm")
	r.is("armed; door closed")
	if r.level(sirens) == soundsHigh {
		r.Error("the siren sounds before the door was opened")
	}
	r.move(front, openHigh)
	r.goes(sirens, soundsHigh)
	r.is("ringing; door open")
	r.move(front, !openHigh)
	r.is("ringing; door closed")
	r.tell("disarm")
	r.goes(sirens, !soundsHigh)
	r.is("disarmed; door closed")
}

func TestWirings(t *testing.T) {
	for _, tt := range []struct {
		name                 string
		flags                []string
		openHigh, soundsHigh bool
	}{
		{"contact to ground", nil, true, true},
		{"contact to 3.3 V", []string{"--door-open-level", "low"}, false, true},
		{"active-low siren", []string{"--siren-active", "low"}, true, false},
		{"contact to 3.3 V, active-low siren", []string{"--door-open-level", "low", "--siren-active", "low"}, false, false},
		{"lines by chip and offset", []string{"--door", "pinctrl-sim:17", "--siren", "pinctrl-sim:27"}, true, true},
		{"lines by the chip's beginning and offset", []string{"--door", "pinctrl-:17", "--siren", "pinctrl-:27"}, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			// As if the contact were closed: that it reads open is the doing of the pull that is asked for.
			b.move(front, !tt.openHigh)
			r := b.start(tt.flags...)
			r.guards(tt.openHigh, tt.soundsHigh)
			if high, err := b.Pulled(front); err != nil || high != !tt.openHigh {
				t.Errorf("pulled high: %v, %v; want %v", high, err, !tt.openHigh)
			}
			r.stop(syscall.SIGTERM)
		})
	}
}

// TestLinesWithoutNames has a board whose kernel names no line.
func TestLinesWithoutNames(t *testing.T) {
	b := &bench{newChip(t, "nameless", make([]string, 28)...), t, t.TempDir()}
	r := b.start("--door", "nameless:17", "--siren", "nameless:27")
	r.guards(true, true)
	r.stop(syscall.SIGTERM)
}

func TestSeveralContacts(t *testing.T) {
	b := newBench(t)
	second := newChip(t, "gpio-expander", "WINDOW", "")
	r := b.start("--door", "front=GPIO17", "--door", "back=pinctrl-sim:23", "--door", "window=WINDOW", "--door", "cellar=gpio-expander:1")
	r.is("disarmed; back open, cellar open, front open, window open")
	for _, l := range []struct {
		name  string
		close func() error
		want  string
	}{
		{"front", func() error { return b.Pull(front, false) }, "disarmed; back open, cellar open, front closed, window open"},
		{"window", func() error { return second.Pull(0, false) }, "disarmed; back open, cellar open, front closed, window closed"},
		{"cellar", func() error { return second.Pull(1, false) }, "disarmed; back open, cellar closed, front closed, window closed"},
	} {
		b.must(l.close())
		r.is(l.want)
	}
	r.tell("arm") // with the back door open, which does not ring
	r.is("armed; back open, cellar closed, front closed, window closed")
	b.move(back, false)
	r.is("armed; back closed, cellar closed, front closed, window closed")
	b.must(second.Pull(1, true))
	r.goes(sirens, true)
	r.is("ringing; back closed, cellar open, front closed, window closed")
	r.tell("disarm")
	r.goes(sirens, false)
	r.stop(syscall.SIGTERM)
}
