package panel

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/twinpanel/twinpanel/statemachine"
)

// A Step is one input of the state machine and what came of it: what a black box keeps.
type Step struct {
	Event  statemachine.Event // with the time since the panel's start
	Time   time.Time          // the wall clock's, which may be wrong
	By     By                 // who gave a LocalCommand
	Asker  Asker              // who is behind a DesiredRead
	Before statemachine.State
	After  statemachine.State
	Notes  []statemachine.Note
}

// By says who gave a command at the panel.
type By string

// Who can give a command at the panel.
const (
	ByCommand By = "panel" // panel arm, panel disarm
	ByKey     By = "key"   // the key switch
)

// Words are who it is in a sentence.
func (b By) Words() string {
	if b == ByKey {
		return "the key switch"
	}
	return "a command at the panel"
}

// A Transition is a line of the twin's document "events": something that happened, in words.
type Transition struct {
	Time    time.Time `json:"time"` // UTC, by the panel's clock
	What    string    `json:"what"`
	Contact string    `json:"contact,omitempty"` // which door it is about
	Why     string    `json:"why,omitempty"`
	By      Asker     `json:"by,omitempty"` // who asked for it, where desired is why
}

// MaxTransitions is how many of them the document has, the last at the end.
const MaxTransitions = 20

// Things that happen to a panel, beside those of the rules.
const (
	whatStarted   = "panel started"
	whatFault     = "cannot be read"
	whatFaultOver = "can be read again"
)

// Started is the transition of a start of the panel.
func Started(t time.Time, why string) Transition {
	return Transition{Time: transitionTime(t), What: whatStarted, Why: why}
}

// transitionTime is a time as JSON has it, which knows four digits of a year; the zero time if it doesn't have that one.
func transitionTime(t time.Time) time.Time {
	t = t.UTC().Truncate(time.Millisecond)
	if t.Year() < 0 || t.Year() > 9999 {
		return time.Time{}
	}
	return t
}

// A Teller makes transitions of the steps of a panel with these contacts. It knows what a step alone does not say: which
// contact has begun an entry delay.
type Teller struct {
	contacts []string
	entered  int // the contact that began the last entry delay, or NoContact
}

// NewTeller is for one run of a panel, from its start.
func NewTeller(contacts []string) *Teller {
	return &Teller{contacts: contacts, entered: statemachine.NoContact}
}

// Tell is what a step was for somebody who wants to know.
func (t *Teller) Tell(s Step) []Transition {
	var told []Transition
	tell := func(what string, contact int, why string, by Asker) {
		one := Transition{Time: transitionTime(s.Time), What: what, Why: why, By: by}
		if contact != statemachine.NoContact {
			one.Contact = t.contacts[contact]
		}
		told = append(told, one)
	}
	if e := s.Event; e.Kind == statemachine.ContactRead {
		was := s.Before.Reading(e.Contact) == statemachine.Fault
		switch is := e.Reading == statemachine.Fault; {
		case is && !was:
			tell(whatFault, e.Contact, "", "")
		case was && !is:
			tell(whatFaultOver, e.Contact, t.reading(s, e.Contact), "")
		}
	}
	for _, n := range s.Notes {
		contact := n.Contact
		why, by := t.why(s, n)
		switch {
		case n.What == statemachine.EntryStarted:
			t.entered = contact
		case n.What == statemachine.RingStarted && contact == statemachine.NoContact:
			contact = t.entered
		}
		tell(string(n.What), contact, why, by)
	}
	return told
}

// why is the reason of a note, in words, and who is behind it.
func (t *Teller) why(s Step, n statemachine.Note) (string, Asker) {
	if n.Contact != statemachine.NoContact {
		return t.reading(s, n.Contact), ""
	}
	switch n.What {
	case statemachine.Armed, statemachine.Disarmed, statemachine.ExitStarted, statemachine.RingStopped:
		if s.Event.Kind == statemachine.LocalCommand {
			return s.By.Words(), ""
		}
		return fmt.Sprintf("desired %d", s.Event.Version), s.Asker
	case statemachine.RingStarted:
		return "entry delay over", ""
	case statemachine.EntryStarted, statemachine.RingResumed:
		return "a restart had cut it off", ""
	}
	return "", ""
}

// reading is what is known of a contact after a step: "front open", "front open at the start".
func (t *Teller) reading(s Step, contact int) string {
	words := t.contacts[contact] + " " + s.After.Reading(contact).String()
	if s.Event.Kind == statemachine.ContactRead && s.Event.Contact == contact && s.Before.Reading(contact) == statemachine.Unknown {
		words += " at the start"
	}
	return words
}

// remember keeps what came of a step, for whoever asks later.
func (p *Panel) remember(s Step) {
	if p.config.Record != nil {
		p.config.Record(s)
	}
	p.keep(append(p.transitions, p.teller.Tell(s)...))
}

// keep has these transitions from now on, or the last of them.
func (p *Panel) keep(all []Transition) {
	p.news = p.news || len(all) > len(p.transitions)
	p.transitions = slices.Delete(all, 0, max(0, len(all)-MaxTransitions))
}

// Past gives the panel the transitions from before its start, the oldest first. It can be called once, while the panel runs.
func (p *Panel) Past(ts []Transition) {
	select {
	case p.pasts <- ts:
	case <-p.ended:
	}
}

// Events is the document of that name, without last_update: the last transitions, the oldest first. It does not wait: while
// there is something that the journal should hold first the error is [ErrUnwritten]. Changed is called when that is over.
func (p *Panel) Events(ctx context.Context) (json.RawMessage, error) {
	a, err := ask(ctx, p, p.histories)
	if err == nil {
		err = a.err
	}
	return a.document, err
}

func (p *Panel) history() answer {
	if !p.quiet() {
		p.owed = true
		return answer{err: ErrUnwritten}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)                                                                       // which would make five characters more of some
	err := e.Encode(map[string][]Transition{"events": append([]Transition{}, p.transitions...)}) // [] and not null
	return answer{bytes.TrimSpace(b.Bytes()), err}                                               // though a Transition has nothing that JSON lacks
}
