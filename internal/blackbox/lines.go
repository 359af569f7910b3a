package blackbox

import (
	"fmt"
	"strings"
	"time"

	"github.com/twinpanel/twinpanel/internal/panel"
	"github.com/twinpanel/twinpanel/statemachine"
	"github.com/twinpanel/twinpanel/statemachine/transcript"
)

// lines is what has happened and is not on the disk.
type lines struct {
	house transcript.House

	first *panel.Step // the start
	began time.Time   // by the clock that never jumps
	run   run         // which start this is

	state statemachine.State // after the last step
	at    time.Duration      // of the last step
	wall  time.Time          // of the last step
	last  map[string]statemachine.Event

	now     []byte // for the present file
	next    []byte // for a new file, after that; nil = the present one goes on
	writing int    // bytes of both that are being written
	size    int    // of the file that the next line goes to, with what waits for it

	gap     bool // lines are missing, so the next one is a snapshot
	dropped int  // how many events
}

// record takes a step.
func (l *lines) record(s panel.Step) {
	if l.first == nil {
		l.first, l.began = &s, time.Now()
	}
	start := l.first == &s
	l.state, l.at, l.wall = s.After, s.Event.At, s.Time
	if start || !l.matters(s) {
		return
	}
	if l.gap {
		l.dropped++
		l.catchUp()
		return
	}
	l.add(l.text(s))
	if l.size > segment && l.next == nil {
		if text := l.snapshot(); text != "" {
			l.next = []byte(transcript.Head + "\n" + text)
			l.size = len(l.next)
		}
	}
}

// matters says whether a step has to be in the log.
func (l *lines) matters(s panel.Step) bool {
	e := s.Event
	e.At = 0
	kind := fmt.Sprint(e.Kind, e.Contact)
	switch e.Kind {
	case statemachine.TimePassed:
		return s.Before != s.After || len(s.Notes) > 0
	case statemachine.LocalCommand:
		return true
	case statemachine.DesiredUnreadable, statemachine.DesiredMissing:
		kind = fmt.Sprint(statemachine.DesiredRead, e.Contact)
	}
	if l.last[kind] == e && s.Before == s.After && len(s.Notes) == 0 {
		return false
	}
	l.last[kind] = e
	return true
}

// text is a step as a transcript has it.
func (l *lines) text(s panel.Step) string {
	var b strings.Builder
	when := transcript.Remark(s.Time)
	if s.Asker != "" {
		when += " by " + string(s.Asker)
	}
	fmt.Fprintf(&b, "%v %s  %s\n", s.Event.At, transcript.Words(l.house.Contacts, s.Event, s.By == panel.ByKey), when)
	for _, answer := range transcript.Answers(l.house.Contacts, s.Before, s.After, s.Notes) {
		fmt.Fprintf(&b, "    %s\n", answer)
	}
	return b.String()
}

// add puts text at the end, or drops it where there is no room.
func (l *lines) add(text string) {
	if l.writing+len(l.now)+len(l.next)+len(text) > room || l.size+len(text) > 2*segment {
		l.gap = true
		l.dropped++
		return
	}
	l.size += len(text)
	if l.next != nil {
		l.next = append(l.next, text...)
	} else {
		l.now = append(l.now, text...)
	}
}

// snapshot begins the log anew in the midst of the run; it is empty when that cannot be now.
func (l *lines) snapshot() string {
	return transcript.Snapshot(l.house, l.state, l.at, remark(l.wall, "%v", run{l.run.number, "the log goes on", l.run.boot}))
}

// catchUp ends a gap, if there is room and no delay or ring runs.
func (l *lines) catchUp() {
	text := l.snapshot()
	if text == "" || l.writing+len(l.now)+len(l.next)+len(text) > room/2 {
		return
	}
	note := fmt.Sprintf("# Events are missing here: %d that could not be written.\n", l.dropped)
	switch {
	case l.size == 0: // of a file that is gone
		l.now = []byte(transcript.Head + "\n" + note + text)
		l.size = len(l.now)
	case l.size > segment && l.next == nil:
		l.next = []byte(transcript.Head + "\n" + note + text)
		l.size = len(l.next)
	default:
		l.add(note + text)
	}
	l.gap, l.dropped = false, 0
}

// begin puts the start before what has happened since, when it is known which start it is, and how large the file.
func (l *lines) begin(r run, size int64) panel.Transition {
	l.run = r
	start := fmt.Sprintf("%s\n0s start %s  %s\n", l.house, transcript.Saved(l.house.Contacts, l.first.After.Saved()),
		remark(l.first.Time, "%v", r))
	if size == 0 || size > segment {
		start = transcript.Head + "\n" + start
	}
	text := append([]byte(start), l.now...)
	if size > segment { // a new file begins with this start
		l.now, l.next, l.size = nil, text, len(text)
	} else {
		l.now, l.size = text, int(size)+len(text)
	}
	return panel.Started(l.first.Time, r.why)
}

// stop ends the run.
func (l *lines) stop() {
	if l.first == nil || l.gap {
		return
	}
	at := max(time.Since(l.began).Truncate(time.Millisecond), l.at)
	text := fmt.Sprintf("%v stop  %s\n", at, transcript.Remark(l.wall.Add(at-l.at)))
	if l.state.Ringing() {
		text += "    siren off\n"
	}
	l.add(text)
}
