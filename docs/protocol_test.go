// Package docs_test holds the pages of this folder to what they say.
//
// Of docs/protocol.md every fenced block is played, in order, against a real hub and
// in virtual time; its tables of patches and limits are compared with the code. A block's
// kind is the first word behind its fence: rest and mqtt are played as the client, panel
// compares what a real panel says and hears. What stands in brackets is done by the
// stage. A block that can't be played says "unplayed:" and why behind its fence.
package docs_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub/twinconfig"
	"github.com/twinpanel/twinpanel/twin"
)

// TestProtocolExamples plays the page from top to bottom, in virtual time.
func TestProtocolExamples(t *testing.T) {
	page := readPage(t, "protocol.md")
	synctest.Test(t, func(t *testing.T) {
		// The page's dates are in the time of a clock that is right.
		time.Sleep(time.Until(time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)))
		s := newStage(t, page)
		played := map[string]int{}
		for _, b := range page.blocks(t) {
			play, ok := map[string]func([]step){"rest": s.playREST, "mqtt": s.playMQTT, "panel": s.playPanel}[b.kind]
			reason, excused := strings.CutPrefix(b.note, "unplayed: ")
			switch {
			case excused && reason != "":
			case !ok || b.note != "":
				t.Errorf("%s: a block of kind %q with the note %q: nobody can play it, and it doesn't say why", page.at(b.first-1), b.kind, b.note)
			default:
				play(page.steps(t, b))
				played[b.kind]++
			}
		}
		t.Logf("played %v", played)
	})
}

// TestProtocolPatches applies the patches of the page's table.
func TestProtocolPatches(t *testing.T) {
	page := readPage(t, "protocol.md")
	for _, row := range page.table(t, "## Patches") {
		before, patch, after := row.cells[0], row.cells[1], row.cells[2]
		put, err := twin.ParsePut(body(before))
		if err != nil {
			t.Errorf("%s: no document: %v", page.at(row.line), err)
			continue
		}
		update, err := twin.ParsePatch(body(patch))
		var merged json.RawMessage
		if err == nil {
			merged, err = twin.Merge(put.Data, update.Data)
		}
		got := string(merged)
		if err != nil {
			got = err.Error()
		}
		if got != after {
			t.Errorf("%s: got %s", page.at(row.line), got)
		}
	}
}

// TestProtocolConfigRefusals tries the configurations of the page's table.
func TestProtocolConfigRefusals(t *testing.T) {
	page := readPage(t, "protocol.md")
	for _, row := range page.table(t, "### What a configuration may not be") {
		_, err := twinconfig.Parse(json.RawMessage(row.cells[0]))
		refused, ok := errors.AsType[*twin.InvalidError](err)
		if !ok || refused.Place != row.cells[1] {
			t.Errorf("%s: got %v", page.at(row.line), err)
		}
	}
}

// body is what a put or a patch sends.
func body(data string) []byte { return []byte(`{"data":` + data + `}`) }

// TestProtocolLimits compares the page's limits with the constants that it names.
func TestProtocolLimits(t *testing.T) {
	page := readPage(t, "protocol.md")
	packages := map[string]constants{}
	for _, row := range slices.Concat(page.table(t, "## Limits"), page.table(t, "### How it is kept in step")) {
		dir, name, _ := strings.Cut(row.cells[2], ".")
		if packages[dir] == nil {
			packages[dir] = readConstants(t, dir)
		}
		want, err := parseQuantity(row.cells[1])
		if err != nil {
			t.Errorf("%s: %v", page.at(row.line), err)
		}
		if got := packages[dir].value(t, name); got != want {
			t.Errorf("%s: %s is %d, the page says %s", page.at(row.line), row.cells[2], got, row.cells[1])
		}
	}
}

// parseQuantity reads the number that a cell begins with, times its unit: durations are in nanoseconds.
func parseQuantity(cell string) (int64, error) {
	var n int64
	var unit string
	if _, err := fmt.Sscan(cell+" .", &n, &unit); err != nil {
		return 0, fmt.Errorf("%q does not begin with a number and a unit: %w", cell, err)
	}
	units := map[string]time.Duration{"s": time.Second, "ms": time.Millisecond, "min": time.Minute}
	return n * int64(cmp.Or(units[unit], 1)), nil
}
