//go:build linux

package main

import (
	"sync"
	"time"

	"github.com/twinpanel/twinpanel/internal/gpiosim"
)

// A siren measures how long it sounds.
type siren struct {
	chip *gpiosim.Chip

	mu      sync.Mutex
	on      bool
	since   time.Time // of the last look that found it on
	sounded time.Duration
}

// watch looks at the siren's line for ever, and calls tell when the level has changed and five times a second while it sounds.
func (s *siren) watch(tell func()) {
	var told time.Time
	was := false
	for {
		on, _ := s.now()
		if on != was || on && time.Since(told) > 200*time.Millisecond {
			was, told = on, time.Now()
			tell()
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// now looks at the line. What it was between two looks that don't find it on is not counted.
func (s *siren) now() (on bool, sounded time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	high, err := s.chip.Level(relay)
	on, at := high && err == nil, time.Now()
	if s.on && on {
		s.sounded += at.Sub(s.since)
	}
	s.on, s.since = on, at
	return s.on, s.sounded
}
