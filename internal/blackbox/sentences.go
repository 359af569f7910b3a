package blackbox

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/twinpanel/twinpanel/internal/panel"
	"github.com/twinpanel/twinpanel/statemachine"
	"github.com/twinpanel/twinpanel/statemachine/transcript"
)

// Sentences say in plain words why it rang in a played transcript, or why not, for somebody who doesn't read transcripts.
func Sentences(steps []transcript.Step) []string {
	t := &teller{days: days(steps)}
	for _, s := range steps {
		t.step(s)
	}
	switch n := len(steps); {
	case n > 0 && steps[n-1].After.Ringing() && steps[n-1].Line.Kind != transcript.Stop:
		t.say("It rings where the log ends.")
	case t.entry != "" && n > 0 && steps[n-1].Line.Kind != transcript.Stop:
		t.say("An entry delay runs where the log ends: %s.", t.entry)
	case t.rings == 0 && t.armed && t.reasons == 0:
		t.say("It did not ring: no door that was guarded opened while it was armed.")
	case t.rings == 0 && !t.armed:
		t.say("It did not ring: it was disarmed all the time.")
	}
	return t.sentences
}

// Rings is how many rings began in a played transcript.
func Rings(steps []transcript.Step) int {
	t := &teller{}
	for _, s := range steps {
		t.step(s)
	}
	return t.rings
}

// days says whether steps are of several days.
func days(steps []transcript.Step) bool {
	day := ""
	for _, s := range steps {
		d := s.Wall.Format(time.DateOnly)
		if day != "" && d != day {
			return true
		}
		day = d
	}
	return false
}

// A teller makes sentences of steps.
type teller struct {
	days      bool // tell the date with each time
	sentences []string

	rings   int    // begun
	reasons int    // told why it didn't ring
	armed   bool   // ever
	entry   string // how the entry delay that runs began: "front opened at 23:10:04"
}

func (t *teller) say(format string, args ...any) {
	t.sentences = append(t.sentences, fmt.Sprintf(format, args...))
}

// when is the time of a step.
func (t *teller) when(s transcript.Step) string {
	switch {
	case s.Wall.IsZero():
		return s.Line.At.String()
	case t.days:
		return s.Wall.Format("2006-01-02 15:04:05")
	}
	return s.Wall.Format(time.TimeOnly)
}

func (t *teller) step(s transcript.Step) {
	t.armed = t.armed || s.After.Armed()
	first := s.Line.Kind == transcript.Start && s.Line.At == 0 || s.Line.Kind == transcript.PowerCut
	switch {
	case s.Line.Kind == transcript.Stop && s.Before.Ringing():
		t.say("It fell silent at %s because the panel was stopped.", t.when(s))
	case first && s.Before.Ringing():
		t.say("It fell silent because the panel was cut off; it started again at %s.", t.when(s))
	case first && s.Foreign && commanded(s):
		t.say("At the start at %s it was %s, by a command at the panel while none ran.", t.when(s), armedWord(s))
	case first && s.Foreign:
		t.say("At the start at %s the journal said %s, and had said something else before.", t.when(s), armedWord(s))
	}
	for _, n := range s.Notes {
		t.note(s, n)
	}
}

// commanded says whether a start's journal was changed by a command: it rules, and did not where the run before ended.
func commanded(s transcript.Step) bool {
	was, is := s.Before.Saved(), s.After.Saved()
	return is.Local && (!was.Local || was.Armed != is.Armed)
}

func armedWord(s transcript.Step) string {
	if s.After.Armed() {
		return "armed"
	}
	return "disarmed"
}

func (t *teller) note(s transcript.Step, n statemachine.Note) {
	at, r := t.when(s), s.House.Rules
	switch n.What {
	case statemachine.EntryStarted:
		t.entry = "an entry delay had been cut off by a restart"
		if n.Contact != statemachine.NoContact {
			t.entry = opened(s, n.Contact) + " while armed"
		}
	case statemachine.RingStarted:
		t.rings++
		switch {
		case n.Contact != statemachine.NoContact:
			t.say("It rang at %s because %s while armed.", at, opened(s, n.Contact))
		case t.entry != "":
			t.say("It rang at %s because %s; nobody disarmed in the entry delay of %v.", at, t.entry, r.EntryDelay)
		default:
			t.say("It rang at %s because an entry delay had been cut off by a restart.", at)
		}
		t.entry = ""
	case statemachine.RingResumed:
		t.rings = max(t.rings, 1) // the same ring, whose beginning may not be in the log
		t.say("It went on ringing at %s: a restart had cut the ring off.", at)
	case statemachine.RingEnded:
		t.say("It stopped at %s, at the siren limit of %v, and stayed armed.", at, r.SirenLimit)
	case statemachine.RingStopped:
		t.say("It stopped at %s: disarmed by %s.", at, who(s))
	case statemachine.Disarmed:
		if t.entry != "" {
			t.reasons++
			t.say("It did not ring: %s, and %s disarmed at %s, within the entry delay of %v.", t.entry, who(s), at, r.EntryDelay)
		}
		t.entry = ""
	case statemachine.TriggerIgnored:
		t.reasons++
		t.say("It did not ring when %s at %s: all rings of one armed period (%d) were used up.", opened(s, n.Contact), at, r.MaxRings)
	case statemachine.WaitsForClosed:
		if !s.Before.Ringing() {
			t.reasons++
			t.say("%s was %s at %s, so it was not guarded until it was closed.", title(s.House.Contacts[n.Contact]), state(s.After.Reading(n.Contact)), at)
		}
	}
}

// opened is what a contact did: "front opened".
func opened(s transcript.Step, contact int) string {
	if contact == statemachine.NoContact {
		return "an entry delay that a restart had cut off went on"
	}
	name := s.House.Contacts[contact]
	switch reading := s.After.Reading(contact); {
	case s.Before.Reading(contact) == statemachine.Unknown:
		return name + " was found " + state(reading) + " at the start"
	case reading == statemachine.Fault:
		return name + " could not be read any more"
	}
	return name + " opened"
}

func state(r statemachine.Reading) string {
	switch r {
	case statemachine.Open:
		return "open"
	case statemachine.Closed:
		return "closed"
	case statemachine.Fault:
		return "not readable"
	}
	return "not known yet"
}

// title is a name at the beginning of a sentence.
func title(name string) string { return strings.ToUpper(name[:1]) + name[1:] }

// who is behind a command or a version of desired.
func who(s transcript.Step) string {
	switch {
	case s.Event.Kind == statemachine.DesiredRead:
		asker := cmp.Or(panel.NewAsker(s.Line.Asker()), "the phone")
		return fmt.Sprintf("%s (desired %d)", asker, s.Event.Version)
	case s.Line.Key:
		return panel.ByKey.Words()
	}
	return panel.ByCommand.Words()
}
