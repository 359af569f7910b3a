// Package sensor turns the level of an input line into what a door contact says: a
// debounced [Unknown], [Closed], [Open] or [Fault].
package sensor

import "time"

// A Reading is what is known of a contact.
type Reading uint8

// The readings. The order is that of statemachine.Reading.
const (
	Unknown Reading = iota // nothing valid read yet
	Closed
	Open
	Fault // the line cannot be read
)

// A Line is one input line. One goroutine uses it at a time.
type Line interface {
	// Read returns the level now: true is high.
	Read() (high bool, err error)
	// Wait returns nil when the level may have changed or the timeout (always
	// positive) has passed. It is a hint; only Read tells the truth.
	Wait(timeout time.Duration) error
	// Close releases the line and unblocks a Wait.
	Close() error
}
