// Package siren drives a siren's relay over an output line: set, read back,
// re-apply, and off on Close.
package siren

// A Line is one output line.
type Line interface {
	// Set drives the line: true is high.
	Set(high bool) error
	// Level reads back what the line is driven to.
	Level() (high bool, err error)
	// Close releases the line.
	Close() error
}
