//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// figures are those of one scenario.
type figures struct {
	scenario string
	rounds   int // done
	tally    tally
	commands int // acknowledged
	// Commands and starts that were killed, beside the rounds.
	commandsKilled, startsKilled int
	starts                       []time.Duration // of hubs that then served
	notes                        []string
}

// print writes the scenario's line.
func (f *figures) print(w io.Writer) error {
	parts := []string{
		fmt.Sprintf("%s: %d", f.scenario, f.rounds),
		fmt.Sprintf("acknowledged: %d writes and %d commands, 0 lost", f.tally.acknowledged, f.commands),
		fmt.Sprintf("unknown outcome: %d writes are there, %d are not", f.tally.there, f.tally.notThere),
	}
	if f.commandsKilled > 0 {
		parts = append(parts, fmt.Sprintf("also killed: %d commands, %d starts", f.commandsKilled, f.startsKilled))
	}
	parts = append(parts, f.notes...)
	if len(f.starts) > 0 {
		sorted := slices.Sorted(slices.Values(f.starts))
		parts = append(parts, fmt.Sprintf("start: median %v, longest %v", sorted[len(sorted)/2].Round(time.Millisecond), sorted[len(sorted)-1].Round(time.Millisecond)))
	}
	_, err := fmt.Fprintln(w, strings.Join(parts, "; "))
	return err
}
