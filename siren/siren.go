// Package siren drives a siren's relay over an output line: set, read back,
// re-apply, and off on Close.
//
// What it promises: the first thing done to a line is to make it inactive, so a line
// that was just opened never sounds by itself. Nothing sounds before Set(true). Every
// call is a few calls of the line and never waits for a time to pass.
//
// What it cannot promise: a line reads back what it is driven to, not whether the siren
// at the end of the wire sounds. And between opening a line and the first call, the level
// is the opener's affair; see the wiring for how a resistor keeps the relay off then.
package siren

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
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

// Config says how a siren is wired.
type Config struct {
	// Open opens the line: at the first Set or Check, and again after each loss. Required.
	Open func() (Line, error)
	// ActiveHigh tells that the siren sounds while the line is high, as it should be
	// wired: a line that nobody drives is low then, with a resistor to ground.
	ActiveHigh bool
	// Logger gets a line when the siren's line is lost and when it is back. nil = silent.
	Logger *slog.Logger
}

// A Siren is a siren behind an output line. It belongs to one goroutine.
type Siren struct {
	config Config
	line   Line // nil = not open
	on     bool // what was asked for last
	lost   bool // the line failed and has not worked since
	closed bool
}

// New returns a siren that is to be off. It touches no hardware: do so at once with
// Set(false), whose error tells whether the line works.
func New(c Config) *Siren {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Siren{config: c}
}

// Set turns the siren on or off and reads back whether the line took it. After an error
// the wish stays: the next Check applies it. A line that fails is opened anew once within
// the same call, since turning off must not wait for the next Check.
func (s *Siren) Set(on bool) error {
	s.on = on
	wasOpen := s.line != nil
	err := s.apply()
	if err != nil && wasOpen {
		err = s.apply()
	}
	return err
}

// Check applies again what was asked for last and reads it back. After an error the line
// is closed, and the next Set or Check opens it anew.
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

// apply makes the line, opened if need be, show what is asked for.
func (s *Siren) apply() error {
	if s.closed {
		return fmt.Errorf("siren: %w", os.ErrClosed)
	}
	err := s.drive()
	switch {
	case err != nil && !s.lost:
		s.config.Logger.Warn("siren line lost", "error", err)
	case err == nil && s.lost:
		s.config.Logger.Info("siren line back")
	}
	s.lost = err != nil
	if err != nil && s.line != nil {
		s.line.Close() // its error would only repeat that the line is lost
		s.line = nil
	}
	return err
}

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
	level := s.on == active
	if err := s.line.Set(level); err != nil {
		return fmt.Errorf("turning siren %s: %w", word(s.on), err)
	}
	got, err := s.line.Level()
	if err != nil {
		return fmt.Errorf("reading siren line back: %w", err)
	}
	if got != level {
		return fmt.Errorf("siren was turned %s, but its line reads back %s", word(s.on), word(!s.on))
	}
	return nil
}

func word(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
