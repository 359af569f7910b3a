// Package sensor turns the level of an input line into what a door contact says: a
// debounced [Unknown], [Closed], [Open] or [Fault].
//
// The level is the truth, an edge is a hint. A [Sensor] reads the level after each edge
// and at least once every Config.Sample; a level counts when it stayed the same for
// Config.Debounce. So a line whose edges never come works, only a sample later, and so
// does one whose edges never end.
//
// An error is never "closed". Before the first reading the contact is Unknown; whenever
// no level has settled for 10 s, it is in Fault; and so it is 1 s after an error of the
// line, unless a level has settled again by then. A line that fails is closed and opened
// again, once a second, for ever.
//
// Caveat: two contact wires that touch each other read as a closed door. Only a resistor
// at the contact and an analogue input could tell them apart.
package sensor

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// A Reading is what is known of a contact.
type Reading uint8

// The readings. The order is that of statemachine.Reading.
const (
	Unknown Reading = iota // nothing valid read yet
	Closed
	Open
	Fault // the line cannot be read
)

// String returns the reading as a word: unknown, closed, open or fault.
func (r Reading) String() string {
	switch r {
	case Unknown:
		return "unknown"
	case Closed:
		return "closed"
	case Open:
		return "open"
	case Fault:
		return "fault"
	}
	return fmt.Sprintf("reading %d", uint8(r))
}

// A Line is one input line. One goroutine uses it.
type Line interface {
	// Read returns the level now: true is high.
	Read() (high bool, err error)
	// Wait returns nil when the level may have changed or the timeout (always
	// positive) has passed. It is a hint; only Read tells the truth.
	Wait(timeout time.Duration) error
	// Close releases the line.
	Close() error
}

// Limits and defaults.
const (
	DefaultDebounce = 200 * time.Millisecond
	MinDebounce     = 20 * time.Millisecond
	MaxDebounce     = 300 * time.Millisecond

	DefaultSample = 100 * time.Millisecond
	MinSample     = 10 * time.Millisecond
	MaxSample     = 100 * time.Millisecond

	// mustSee is the signal that an alarm system must not miss (EN 50131-1, 8.9.1).
	mustSee = 400 * time.Millisecond

	settleWithin = 10 * time.Second     // a contact that gave no reading for this long is in fault
	mendWithin   = time.Second          // so is one whose line failed and gave no reading since
	reopenPace   = time.Second          // between two attempts to open the line
	minPass      = 5 * time.Millisecond // between two reads, however many edges come
)

// Config says how a contact is wired and how it is read.
type Config struct {
	// Open opens the line: at the start of Run, and again after each loss. Required.
	Open func() (Line, error)
	// OpenLevelHigh tells that a high line means an open door: the contact is wired to
	// ground and a pull-up raises the line when the contact opens or its wire is cut.
	OpenLevelHigh bool
	// Debounce is how long a level must last to count: 20 to 300 ms. 0 = 200 ms.
	Debounce time.Duration
	// Sample is the longest time between two reads: 10 to 100 ms. 0 = 100 ms, and 50 ms with
	// the longest Debounce: half of what that leaves of 400 ms. The two together must stay under
	// 400 ms, so that a door that is open for that long is seen even when no edge tells of it.
	// Each read wakes the computer.
	Sample time.Duration
	// Logger gets a line when the input is lost and when it is back. nil = silent.
	Logger *slog.Logger
}

// A Sensor watches one contact. Its only use is Run.
type Sensor struct {
	config Config
}

// New returns a sensor, or an error that names the setting that is out of range. It
// touches no hardware.
func New(c Config) (*Sensor, error) {
	if c.Debounce == 0 {
		c.Debounce = DefaultDebounce
	}
	if c.Sample == 0 {
		c.Sample = min(DefaultSample, (mustSee-c.Debounce)/2)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case c.Open == nil:
		return nil, errors.New("contact has no line to open")
	case c.Debounce < MinDebounce || c.Debounce > MaxDebounce:
		return nil, fmt.Errorf("debounce of %v is out of range: %v to %v", c.Debounce, MinDebounce, MaxDebounce)
	case c.Sample < MinSample || c.Sample > MaxSample:
		return nil, fmt.Errorf("sample of %v is out of range: %v to %v", c.Sample, MinSample, MaxSample)
	case c.Debounce+c.Sample >= mustSee:
		return nil, fmt.Errorf("debounce of %v and sample of %v would miss a door that is open for %v; shorten one", c.Debounce, c.Sample, mustSee)
	}
	return &Sensor{config: c}, nil
}
