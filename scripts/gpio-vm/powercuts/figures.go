//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// figures are what a stage counts.
type figures struct {
	starts, cuts, commands         int
	whileArmed, amid, whileRinging int // power cuts
	cached, resets, early          int // likewise
	rings                          int // that a door has caused
	sieges                         int
	lost                           int // sectors
	boots                          []time.Duration
}

// median is that of the time from the machine's start to a panel that runs.
func (f *figures) median() time.Duration {
	if len(f.boots) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(f.boots))[len(f.boots)/2]
}

// print writes what was done, and against how much it was held.
func (f *figures) print(w io.Writer, b *bookFigures, took time.Duration) {
	fmt.Fprintf(w, `%d power cuts: %d while armed, %d amid a command, %d while the siren sounded, %d before there was a network
  %d took the disk's cache, with %d sectors in it; %d were resets of a kernel that wrote nothing more
%d starts, median %.1f s until the panel guards; %d commands
  told %d times armed and %d times disarmed; %d documents current held against that
  %d rings; siren %v in all, at most %v in an armed period of %d rings of %v
  %d sieges; rings used up %d times
  siren at most %v ahead of the journal
%v
`,
		f.cuts, f.whileArmed, f.amid, f.whileRinging, f.early,
		f.cached, f.lost, f.resets,
		f.starts, f.median().Seconds(), f.commands,
		b.armed, b.disarmed, b.heard,
		f.rings, b.sounded.Round(time.Second), b.longest.Round(100*time.Millisecond), maxRings, sirenLimit,
		f.sieges, b.usedUp,
		b.ahead.Round(time.Millisecond),
		took.Round(time.Second))
}
