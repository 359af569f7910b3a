package transcript

import (
	"fmt"
	"strings"
	"time"

	"github.com/twinpanel/twinpanel/statemachine"
)

// Snapshot is a start with which a transcript can begin in the midst of a run: what the journal held at that time, that the
// hub has said that there is no desired, and the contacts' readings, with the answers. It is empty when that is not the whole state: while a delay or a ring runs, or before
// one that a restart cut off has gone on. The remark stands behind the start.
func Snapshot(h House, s statemachine.State, at time.Duration, remark string) string {
	var b strings.Builder
	fmt.Fprintln(&b, h)
	state := statemachine.Restore(h.Rules, s.Saved())
	fmt.Fprintln(&b, Line{Text: fmt.Sprintf("%v start %s", at, Saved(h.Contacts, state.Saved())), Remark: remark})
	var known []statemachine.Event // since the start
	if s.NoDesired() {
		known = append(known, statemachine.Event{At: at, Kind: statemachine.DesiredMissing})
	}
	for i := range h.Contacts {
		if s.Reading(i) != statemachine.Unknown {
			known = append(known, statemachine.Event{At: at, Kind: statemachine.ContactRead, Contact: i, Reading: s.Reading(i)})
		}
	}
	for _, e := range known {
		before := state
		var out statemachine.Output
		state, out = statemachine.Step(before, e)
		fmt.Fprintf(&b, "%v %s\n", at, Words(h.Contacts, e, false))
		for _, answer := range Answers(h.Contacts, before, state, out.Notes) {
			fmt.Fprintf(&b, "    %s\n", answer)
		}
	}
	if timeRuns(s) || timeRuns(state) || state.Saved() != s.Saved() {
		return ""
	}
	return b.String()
}

// timeRuns says that a delay or a ring runs.
func timeRuns(s statemachine.State) bool {
	return s.Word() == "exit_delay" || s.Word() == "entry_delay" || s.Word() == "ringing"
}
