package statemachine

import (
	"slices"
	"time"
)

// Saved is the part of a state that survives a restart: what the journal holds.
type Saved struct {
	Armed    bool
	Local    bool              // a command at the panel rules until desired has another version than Seen
	Seen     uint32            // version of desired that was applied last; 0 = none yet
	Entering bool              // an entry delay runs
	Rings    int               // rings begun in this armed period
	Charged  time.Duration     // ring time charged to the ring that is not over; 0 = there is none
	Prepaid  time.Duration     // ring time that counts as used of the next ring: see Prepay
	Waits    [MaxContacts]bool // wait_closed of each contact
}

// Prepay is s with the first slice of the next ring charged ahead. A journal may hold that instead of s from the moment when a
// contact moves ([State.MayRing]), so that it is written by the time the contact has settled, and the siren need not wait for
// it. Nothing else changes: the ring charges this slice as any other. But should the process die before that is
// written, nobody knows whether the slice has sounded, so it counts as used.
func (s Saved) Prepay() Saved {
	s.Prepaid += slice
	return s
}

// A State is all that the rules depend on. States can be compared with ==. The zero State is not
// usable: call [New] or [Restore].
type State struct {
	rules    Rules
	saved    Saved
	none     bool // no desired was ever seen, and the hub has said since the start that there is none
	readings [MaxContacts]Reading
	phase    phase
	until    time.Duration // end of the delay, or of the ring time charged so far
}

// A phase is what time is running for, if any.
type phase uint8

const (
	quiet phase = iota
	exiting
	entering
	ringing
)

// New is the state of a new installation: disarmed, nothing known.
// The rules must be valid.
func New(r Rules) State { return State{rules: r} }

// Restore is the state after a restart. The rules may be others than before: what no
// longer fits them is cut down to them.
func Restore(r Rules, s Saved) State {
	if !s.Armed {
		s = Saved{Local: s.Local, Seen: s.Seen}
	}
	s.Rings = max(s.Rings, 0)
	s.Charged = min(max(s.Charged, 0), r.SirenLimit)
	s.Prepaid = min(max(s.Prepaid, 0), r.SirenLimit-time.Second) // there is always something left to ring
	clear(s.Waits[r.Contacts:])
	return State{rules: r, saved: s}
}

// Saved is what the journal has to hold.
func (s State) Saved() Saved { return s.saved }

// Armed says whether the panel is armed, exit delay included.
func (s State) Armed() bool { return s.saved.Armed }

// MayRing says whether a ring begins at once if contact i is read as anything but Closed, and can be charged ahead.
func (s State) MayRing(i int) bool {
	return s.saved.Armed && s.phase == quiet && s.rules.EntryDelay == 0 && s.saved.Rings < s.rules.MaxRings &&
		s.readings[i] == Closed && !s.saved.Waits[i] &&
		s.saved.Charged == 0 && !s.saved.Entering && // a restart has cut nothing off that goes on first
		s.saved.Prepaid == 0 // however often somebody rattles at the door and cuts the power, a ring loses one slice
}

// Ringing says whether the siren sounds.
func (s State) Ringing() bool { return s.phase == ringing }

// Reading is what is known of contact i.
func (s State) Reading(i int) Reading { return s.readings[i] }

// NoDesired says whether no version of desired was ever seen, and the hub has said since the start that there is none. The
// first one then wins over a command at the panel. It is not Saved: after a restart the hub is asked anew.
func (s State) NoDesired() bool { return s.none }

// Known says whether every contact has had a reading since the start. Before that, nothing may be shown to others.
func (s State) Known() bool {
	return !slices.Contains(s.readings[:s.rules.Contacts], Unknown)
}

// DoorOpen says whether any contact is not Closed.
func (s State) DoorOpen() bool {
	for _, r := range s.readings[:s.rules.Contacts] {
		if r != Closed {
			return true
		}
	}
	return false
}

// RingsUsed says whether this armed period has no ring left.
func (s State) RingsUsed() bool {
	return s.saved.Armed && s.saved.Rings >= s.rules.MaxRings && s.saved.Charged == 0
}

// Word is the state in one word: disarmed, exit_delay, armed, entry_delay, ringing, or silenced.
// Silenced is armed after a ring, when no ring is left or a contact still has to be closed.
func (s State) Word() string {
	switch {
	case !s.saved.Armed:
		return "disarmed"
	case s.phase == exiting:
		return "exit_delay"
	case s.phase == entering:
		return "entry_delay"
	case s.phase == ringing:
		return "ringing"
	case s.RingsUsed(), s.saved.Rings > 0 && s.saved.Waits != [MaxContacts]bool{}:
		return "silenced"
	}
	return "armed"
}

// Left is how much of the exit delay, the entry delay or the ring is left at a time since the panel's start; false if none
// runs. Of a ring it is all up to the siren limit. It is never negative: what is due in a moment has nothing left.
func (s State) Left(now time.Duration) (left time.Duration, runs bool) {
	if s.phase == quiet {
		return 0, false
	}
	left = s.until - now
	if s.phase == ringing {
		left += s.rules.SirenLimit - s.saved.Charged
	}
	return max(left, 0), true
}

// due is when something happens without any event; 0 = never.
func (s State) due() time.Duration {
	switch {
	case s.phase == quiet:
		return 0
	case s.phase == ringing && s.saved.Charged < s.rules.SirenLimit:
		return s.until - lead
	}
	return s.until
}
