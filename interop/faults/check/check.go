// Package check holds a recorded history against what a hub promises.
//
// Each write puts a number of its own into the document, so that every answer says which writes
// made it. With the versions, that leaves one order of all writes to a document that anybody has
// seen the result of, and the rules can be checked one event after the other: the work grows with
// the number of events, not with the number of possible orders. A document that is deleted begins
// anew at version 1; then the order is clear only up to the deletion, and what follows is for
// [Sample], which searches.
package check

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/twinpanel/twinpanel/interop/faults/history"
)

// A Rule is one thing that a hub promises.
type Rule string

// The rules. Each has a test that breaks it.
const (
	Twice   Rule = "a version is made once"      // by one write, and a write makes one version
	Changed Rule = "a version stays what it was" // whoever is shown it
	Undone  Rule = "a write that was answered as not done is not done"
	Nobody  Rule = "what is shown was written by somebody before"
	Exact   Rule = "a versioned write replaces exactly that version" // or is refused with another one
	Order   Rule = "versions rise in time"                           // a write makes a newer version than was acknowledged or shown before it began
	Stale   Rule = "a get shows no less than was known before it"
	Skipped Rule = "no version is skipped" // but for writes of unknown outcome
	Content Rule = "a version holds what its write made of the one before"
	Deleted Rule = "what is deleted stays deleted"
	Own     Rule = "an answer comes to whoever asked"
	Old     Rule = "a connection has no answer after a newer one of its device"
	Known   Rule = "a client that is known is not turned away"
	Told    Rule = "who asks for change notices learns of the last change"
	Linear  Rule = "there is an order that explains all answers" // [Sample]
)

// A Violation is a rule that didn't hold.
type Violation struct {
	Rule   Rule
	Where  string // document or connection
	Detail string
}

func (v Violation) String() string { return fmt.Sprintf("%s: %s: %s", v.Where, v.Rule, v.Detail) }

// Figures are what was checked.
type Figures struct {
	Requests     int // all of them
	Outcomes     map[history.Kind]map[history.Outcome]int
	Documents    int
	Versions     int // that somebody was shown or told
	Happened     int // writes of unknown outcome that somebody was shown later, or that a gap stands for
	Late         int // of these, such that came after a newer connection of their device; see [Checker.Check]
	Connects     int // connections of devices
	NotConnected int // attempts that came to nothing
}

// A Checker collects a history and checks it.
type Checker struct {
	// NoticeTime is how long, in nanoseconds, a hub may take to tell a change, faults included.
	NoticeTime int64

	Figures   Figures
	documents map[string][]*history.Event
	sessions  sessions
	words     map[string]string
	found     []Violation
	end       int64 // of the history
}

// New returns a Checker without a history.
func New(noticeTime int64) *Checker {
	return &Checker{
		NoticeTime: noticeTime,
		Figures:    Figures{Outcomes: map[history.Kind]map[history.Outcome]int{}},
		documents:  map[string][]*history.Event{},
		sessions:   sessions{},
		words:      map[string]string{},
	}
}

// Add takes an event over. The order of events doesn't matter.
func (c *Checker) Add(e *history.Event) {
	for _, s := range []*string{(*string)(&e.Kind), (*string)(&e.Outcome), &e.Process, &e.Device, &e.Document, &e.Watches} {
		*s = c.word(*s)
	}
	c.end = max(c.end, e.Return)
	switch e.Kind {
	case history.Fault:
		return
	case history.Connect, history.Closed:
		c.sessions.add(e, &c.Figures)
		if e.Outcome == history.Denied {
			c.found = append(c.found, Violation{Known, e.Process, describe(e)})
		}
		return
	case history.Stray:
		c.found = append(c.found, Violation{Own, e.Process, describe(e)})
		return
	}
	c.Figures.Requests++
	if c.Figures.Outcomes[e.Kind] == nil {
		c.Figures.Outcomes[e.Kind] = map[history.Outcome]int{}
	}
	c.Figures.Outcomes[e.Kind][e.Outcome]++
	if e.Data.Of != "" && e.Data.Of != e.Document {
		c.found = append(c.found, Violation{Own, e.Document, describe(e)})
	}
	e.Data.Of = ""
	switch e.Outcome {
	case history.Wrong:
		c.found = append(c.found, Violation{Own, e.Document, describe(e)})
	case history.Denied:
		c.found = append(c.found, Violation{Known, e.Document, describe(e)})
	}
	c.documents[e.Document] = append(c.documents[e.Document], e)
	c.sessions.add(e, &c.Figures)
}

// word returns the one copy of a string that comes many times.
func (c *Checker) word(s string) string {
	if known, ok := c.words[s]; ok {
		return known
	}
	c.words[s] = s
	return s
}

// Check returns what was violated.
//
// Figures.Late counts writes that their connection had asked for before a newer connection of the device, and that
// were done after that was acknowledged. Their outcome is unknown to whoever asked, so that nothing is violated.
func (c *Checker) Check() []Violation {
	c.Figures.Documents = len(c.documents)
	found := slices.Clone(c.found)
	seen := map[string]*document{}
	for _, name := range c.Documents() {
		d := newDocument(name, c.documents[name])
		found = append(found, d.check()...)
		c.Figures.Versions += len(d.states)
		c.Figures.Happened += d.happened
		c.Figures.Late += c.sessions.late(d)
		seen[name] = d
	}
	return append(found, c.sessions.check(seen, c.NoticeTime, c.end)...)
}

// Documents are the names of all, sorted.
func (c *Checker) Documents() []string { return slices.Sorted(maps.Keys(c.documents)) }

// describe is an event for people.
func describe(e *history.Event) string {
	text := fmt.Sprintf("%s on connection %d: %s", e.Process, e.Conn, e.Kind)
	if e.ID != 0 {
		text += fmt.Sprintf(" %d", e.ID)
	}
	if e.If != 0 {
		text += fmt.Sprintf(" of version %d", e.If)
	}
	text += fmt.Sprintf(" from %.6f to %.6f s: %s", float64(e.Call)/1e9, float64(e.Return)/1e9, cmp.Or(string(e.Outcome), "-"))
	if e.Outcome == history.OK || e.Outcome == history.Mismatch {
		text += fmt.Sprintf(", version %d", e.Version)
	}
	if e.Outcome == history.OK && e.Data.Last != 0 {
		text += fmt.Sprintf(", by put %d, last write %d, slots %d", e.Data.Put, e.Data.Last, e.Data.Slots)
	}
	if e.Note != "" {
		text += ": " + e.Note
	}
	return text
}
