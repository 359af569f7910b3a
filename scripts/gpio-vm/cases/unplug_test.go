//go:build gpiovm

package cases

import (
	"syscall"
	"testing"
)

// TestUnplugged takes away a chip that the panel uses, as an expander on a cable can be, and brings it back.
func TestUnplugged(t *testing.T) {
	b := newBench(t)
	expander := newChip(t, "gpio-expander", "BACK", "RELAY")
	r := b.start("--door", "front=GPIO17", "--door", "back=BACK", "--siren", "RELAY")
	r.is("disarmed; back open, front open")
	r.move(front, false)
	b.must(expander.Pull(0, false))
	r.is("disarmed; back closed, front closed")

	b.must(expander.Unplug())
	r.is("disarmed; back fault, front closed; faults: back, siren")
	r.move(front, true) // the other contact is still read
	r.is("disarmed; back fault, front open; faults: back, siren")
	r.move(front, false)
	r.is("disarmed; back fault, front closed; faults: back, siren")
	b.must(expander.Plug())
	r.is("disarmed; back open, front closed")
	b.must(expander.Pull(0, false))
	r.is("disarmed; back closed, front closed")

	r.tell("arm")
	b.must(expander.Pull(0, true))
	r.is("ringing; back open, front closed")
	b.must(expander.Unplug()) // the siren goes with it, and comes back sounding
	r.is("ringing; back fault, front closed; faults: back, siren")
	b.must(expander.Plug())
	r.is("ringing; back open, front closed")
	b.await("siren", "sounds", func() string {
		if high, err := expander.Level(1); err != nil || !high {
			return "is silent"
		}
		return "sounds"
	})
	r.tell("disarm")
	b.must(expander.Pull(0, false))
	r.is("disarmed; back closed, front closed")

	r.tell("arm")
	b.must(expander.Unplug()) // a contact that can't be read while it is guarded counts as open
	r.is("ringing; back fault, front closed; faults: back, siren")
	r.tell("disarm")
	r.is("disarmed; back fault, front closed; faults: back, siren")
	if _, err := r.Stop(syscall.SIGTERM); err == nil {
		t.Error("panel ends well though it could not turn the siren off")
	}
	r.says(r.Log.String(), "panel: turning the siren off: opening siren line: no line of this computer is called RELAY")
}
