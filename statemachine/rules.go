package statemachine

import (
	"fmt"
	"time"
)

// MaxContacts is how many contacts a panel can have.
const MaxContacts = 8

// MaxDelay is the longest exit or entry delay.
const MaxDelay = 255 * time.Second

// The range of Rules.SirenLimit. Three minutes suit Paris, the European standard and
// Britain; no single value suits all places.
const (
	MinSirenLimit = 30 * time.Second
	MaxSirenLimit = 900 * time.Second
)

// MaxMaxRings is the largest Rules.MaxRings.
const MaxMaxRings = 6

const (
	// slice is the ring time charged at once.
	slice = 10 * time.Second
	// lead is how long before the end of a slice the next one is charged, so that the
	// journal holds it before it sounds.
	lead = time.Second
)

// Rules are the choices of a household. They never change while a panel runs.
type Rules struct {
	Contacts   int           // how many: 1 to 8
	ExitDelay  time.Duration // time to leave after arming: 0 to 255 s; 0 = guarding at once
	EntryDelay time.Duration // time to disarm after coming home: 0 to 255 s; 0 = rings at once
	SirenLimit time.Duration // the longest ring: 30 to 900 s
	MaxRings   int           // rings in one armed period: 1 to 6
}

// DefaultRules are one contact, no delays, three rings of three minutes.
func DefaultRules() Rules {
	return Rules{Contacts: 1, SirenLimit: 180 * time.Second, MaxRings: 3}
}

// Validate returns the first rule that is out of its range.
func (r Rules) Validate() error {
	switch {
	case r.Contacts < 1 || r.Contacts > MaxContacts:
		return fmt.Errorf("contacts: %d is not between 1 and %d", r.Contacts, MaxContacts)
	case r.ExitDelay < 0 || r.ExitDelay > MaxDelay:
		return fmt.Errorf("exit delay: %v is not between 0s and %v", r.ExitDelay, MaxDelay)
	case r.EntryDelay < 0 || r.EntryDelay > MaxDelay:
		return fmt.Errorf("entry delay: %v is not between 0s and %v", r.EntryDelay, MaxDelay)
	case r.SirenLimit < MinSirenLimit || r.SirenLimit > MaxSirenLimit:
		return fmt.Errorf("siren limit: %v is not between %v and %v", r.SirenLimit, MinSirenLimit, MaxSirenLimit)
	case r.MaxRings < 1 || r.MaxRings > MaxMaxRings:
		return fmt.Errorf("max rings: %d is not between 1 and %d", r.MaxRings, MaxMaxRings)
	}
	return nil
}
