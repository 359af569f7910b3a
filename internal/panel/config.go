package panel

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"time"

	"github.com/twinpanel/twinpanel/sensor"
	"github.com/twinpanel/twinpanel/statemachine"
)

// Config is what a panel needs.
type Config struct {
	Rules     statemachine.Rules // Contacts is set from the field of that name below
	Contacts  []Contact          // 1 to 8, in the order of their first mention
	Siren     Siren
	Key       *Key          // nil = there is none
	StateDir  string        // folder of the journal and the control socket; made when missing
	OnCorrupt OnCorrupt     // default armed
	Heartbeat time.Duration // how often whoever publishes does so without a change; told as heartbeat_s; default 30 s

	// Changed is called from the loop when there is something new to publish. It must not block.
	Changed func()
	// Show is called from the loop with the state in one word when that changes and the journal has had its say, "" while
	// a contact is unknown, and with whether there are faults then. It must not block.
	Show func(word string, faults bool)
	// Record is called from the loop with each input of the state machine, after the siren and the journal were seen
	// to, and before the first with the state that a start found. It must not block. nil = nothing is kept.
	Record func(Step)
	// Flush brings to the disk what Record was given, for somebody who is about to read it there.
	Flush func(context.Context) error
	// Finish is called at the end of Run, when the siren is off and the state folder is still this process's.
	Finish func()
	// Alive is called from the loop every two seconds at the latest, for a watchdog. It must not block.
	Alive func()

	Now func() time.Time // the wall clock, which nothing but the fault "clock" depends on; default time.Now
	// Synchronised says whether somebody tells this computer the time, and whether that is known; default the function of that name.
	Synchronised func() (yes, known bool)

	Logger *slog.Logger // nil = silent; it is called from the loop and must not block
}

// A Contact is one door or window.
type Contact struct {
	Name   string // 1 to 32 of [a-z0-9_-], unique
	Sensor Sensor
}

// A Sensor reports a contact's readings until ctx ends; package sensor has the real one.
type Sensor interface {
	Run(ctx context.Context, report func(sensor.Reading)) error
}

// A forewarner is a Sensor that also tells of a contact that has moved, before it is known whether it settles there.
type forewarner interface {
	Watch(ctx context.Context, moved, report func(sensor.Reading)) error
}

// A Siren can be set and looked at; package siren has the real one. The loop calls it, so it must not block.
type Siren interface {
	Set(on bool) error
	Check() error // re-apply the level and read it back
	Close() error // off, and release the line
}

// OnCorrupt is what to be when the journal cannot be read.
type OnCorrupt string

// The choices of --on-corrupt.
const (
	StartArmed    OnCorrupt = "armed"
	StartDisarmed OnCorrupt = "disarmed"
)

// Words in the document's faults beside the names of contacts.
const (
	faultJournal   = "journal"
	faultSiren     = "siren"
	faultKey       = "key"
	faultClock     = "clock"
	faultRingsUsed = "rings_used"
)

// reserved are the words that no contact may have as its name: the faults, and a part that is told of in the log alone.
var reserved = []string{faultJournal, faultSiren, faultKey, faultClock, faultRingsUsed, "buzzer"}

var contactName = regexp.MustCompile(`^[a-z0-9_-]{1,32}$`)

// complete fills in the defaults and checks the rest.
func (c *Config) complete() error {
	c.OnCorrupt = cmp.Or(c.OnCorrupt, StartArmed)
	c.Heartbeat = cmp.Or(c.Heartbeat, 30*time.Second)
	if c.Changed == nil {
		c.Changed = func() {}
	}
	if c.Show == nil {
		c.Show = func(string, bool) {}
	}
	if c.Flush == nil {
		c.Flush = func(context.Context) error { return nil }
	}
	if c.Finish == nil {
		c.Finish = func() {}
	}
	if c.Alive == nil {
		c.Alive = func() {}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Synchronised == nil {
		c.Synchronised = Synchronised
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.OnCorrupt != StartArmed && c.OnCorrupt != StartDisarmed {
		return fmt.Errorf("on corrupt: %q is neither %q nor %q", c.OnCorrupt, StartArmed, StartDisarmed)
	}
	if c.Heartbeat < time.Second {
		return fmt.Errorf("heartbeat: %v is shorter than a second", c.Heartbeat)
	}
	if c.Siren == nil {
		return fmt.Errorf("siren: there is none")
	}
	if c.Key != nil {
		if err := c.Key.complete(); err != nil {
			return err
		}
	}
	for i, contact := range c.Contacts {
		if err := CheckContactName(contact.Name); err != nil {
			return fmt.Errorf("door: %w", err)
		}
		if slices.ContainsFunc(c.Contacts[:i], func(o Contact) bool { return o.Name == contact.Name }) {
			return fmt.Errorf("door: the name %q is given twice", contact.Name)
		}
	}
	c.Rules.Contacts = len(c.Contacts)
	return c.Rules.Validate()
}

// CheckContactName says whether a contact can have this name. It keeps names apart from the other
// words that stand beside them in faults.
func CheckContactName(name string) error {
	if !contactName.MatchString(name) {
		return fmt.Errorf("the name %q is not 1 to 32 of the characters a-z 0-9 _ -", name)
	}
	if slices.Contains(reserved, name) {
		return fmt.Errorf("the name %q is taken by the panel itself; choose another", name)
	}
	return nil
}

func (c *Config) contactNames() []string {
	names := make([]string, len(c.Contacts))
	for i, contact := range c.Contacts {
		names[i] = contact.Name
	}
	return names
}
