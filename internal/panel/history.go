package panel

import (
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

// words are who it is in a sentence.
func (b By) words() string {
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
}

// maxTransitions is how many of them the document has, the last at the end.
const maxTransitions = 20

// remember keeps what came of a step, for whoever asks later.
func (p *Panel) remember(s Step) {
	if p.config.Record != nil {
		p.config.Record(s)
	}
	for _, n := range s.Notes {
		t := Transition{Time: s.Time.UTC().Truncate(time.Millisecond), What: string(n.What), Why: p.why(s, n)}
		if n.Contact != statemachine.NoContact {
			t.Contact = p.config.Contacts[n.Contact].Name
		}
		p.transitions, p.news = append(p.transitions, t), true
	}
	if over := len(p.transitions) - maxTransitions; over > 0 {
		p.transitions = slices.Delete(p.transitions, 0, over)
	}
}

// why is the reason of a note, in words.
func (p *Panel) why(s Step, n statemachine.Note) string {
	switch e := s.Event; e.Kind {
	case statemachine.DesiredRead:
		return fmt.Sprintf("desired %d", e.Version)
	case statemachine.LocalCommand:
		return s.By.words()
	case statemachine.ContactRead:
		return p.config.Contacts[e.Contact].Name + " " + e.Reading.String()
	default:
		return ""
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
	b, err := json.Marshal(map[string][]Transition{"events": append([]Transition{}, p.transitions...)}) // [] and not null
	if err != nil {
		panic(err) // a Transition has nothing that JSON lacks
	}
	return answer{document: b}
}
