// Package siren drives a siren's relay over an output line: set, read back,
// re-apply, and off on Close.
//
// What it promises: the first thing done to a line is to make it inactive, so a line
// that was just opened never sounds by itself. Nothing sounds before Set(true). Every
// call is a few calls of the line and never waits for a time to pass.
//
// A line that cannot be read back, or reads back the wrong level, is an error but not a
// lost line: it stays open and driven, since releasing it could silence a siren that
// sounds. Only a line that cannot be opened or driven is given up and opened anew.
//
// What it cannot promise: a line reads back what it is driven to, not whether the siren
// at the end of the wire sounds. And between opening a line and the first call, the level
// is the opener's affair; see the wiring for how a resistor keeps the relay off then.
package siren

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// A Line is one output line.
type Line interface {
	// Set drives the line: true is high.
	Set(high bool) error
	// Level reads back what the line is driven to.
	Level() (high bool, err error)
	// Close releases the line.
	Close() error
}

// reopenPace is the shortest time between two attempts to cure, by opening it anew, a
// line that reads back sounding while it is to be silent.
const reopenPace = time.Minute

// Config says how a siren is wired.
type Config struct {
	// Open opens the line: at the first Set or Check, and again after each loss. Required.
	Open func() (Line, error)
	// ActiveHigh tells that the siren sounds while the line is high, as it should be
	// wired: a line that nobody drives is low then, with a resistor to ground.
	ActiveHigh bool
}

// A Siren is a siren behind an output line. It belongs to one goroutine.
type Siren struct {
	config   Config
	line     Line      // nil = not open
	on       bool      // what was asked for last
	lost     bool      // the line could not be opened or driven, and has not been since
	stuck    bool      // to be silent, it read back sounding last time
	reopened time.Time // when that was last a reason to open it anew
	closed   bool
}

// New returns a siren that is to be off. It touches no hardware: do so at once with
// Set(false), whose error tells whether the line works.
func New(c Config) *Siren { return &Siren{config: c} }

// Set turns the siren on or off and reads back whether the line took it. After an error
// the wish stays: the next Check applies it. What fails is tried once more within the
// same call, on a line opened anew if it was lost, since turning off must not wait for
// the next Check.
func (s *Siren) Set(on bool) error {
	s.on = on
	wasOpen := s.line != nil
	err := s.apply()
	if err != nil && wasOpen {
		err = s.apply()
	}
	return err
}

// Check applies again what was asked for last and reads it back. A line that cannot be
// driven is closed, and the next Set or Check opens it anew. One that is driven to
// silence but reads back sounding twice in a row is opened anew at once, and then at
// most once a minute.
func (s *Siren) Check() error {
	return s.apply()
}

// Close turns the siren off and releases the line. A lost line is opened once more for
// that: the siren may still sound. Afterwards Set and Check fail with [os.ErrClosed].
func (s *Siren) Close() error {
	if s.closed {
		return nil
	}
	var err error
	if s.line != nil || s.lost {
		err = s.Set(false)
	}
	s.closed = true
	if s.line != nil {
		err = errors.Join(err, s.line.Close())
		s.line = nil
	}
	return err
}

// apply makes the line, opened if need be, show what is asked for, and reads it back.
func (s *Siren) apply() error {
	if s.closed {
		return fmt.Errorf("siren: %w", os.ErrClosed)
	}
	err := s.drive()
	s.lost = err != nil
	if err != nil {
		s.release()
		return err
	}
	high, err := s.line.Level()
	if err != nil {
		return fmt.Errorf("reading siren line back: %w", err)
	}
	sounds := high == s.config.ActiveHigh
	if sounds == s.on {
		s.stuck = false
		return nil
	}
	if !s.on && s.stuck && time.Since(s.reopened) >= reopenPace {
		s.reopened = time.Now()
		s.release()
		return s.apply()
	}
	s.stuck = !s.on
	return fmt.Errorf("siren was turned %s, but its line reads back %s", word(s.on), word(sounds))
}

// release gives the line up.
func (s *Siren) release() {
	if s.line != nil {
		s.line.Close() // whatever it says, the line is opened anew
		s.line = nil
	}
}

// drive gives the line the level that is asked for.
func (s *Siren) drive() error {
	active := s.config.ActiveHigh
	if s.line == nil {
		line, err := s.config.Open()
		if err != nil {
			return fmt.Errorf("opening siren line: %w", err)
		}
		s.line = line
		if err := line.Set(!active); err != nil {
			return fmt.Errorf("turning siren off first: %w", err)
		}
	}
	if err := s.line.Set(s.on == active); err != nil {
		return fmt.Errorf("turning siren %s: %w", word(s.on), err)
	}
	return nil
}

func word(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
