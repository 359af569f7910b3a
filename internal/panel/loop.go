package panel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/twinpanel/twinpanel/statemachine"
	"github.com/twinpanel/twinpanel/twin"
)

const (
	// sirenWaits is how long the siren waits for the journal.
	sirenWaits = 100 * time.Millisecond
	// journalSlow is when a write that has no outcome counts as failed, so that telling goes on.
	journalSlow = 5 * time.Second
	// journalRetry is the pause after a failed write.
	journalRetry = 5 * time.Second
	// The siren's level is looked at this often.
	checkSounding = time.Second
	checkSilent   = 10 * time.Second
)

var errJournalSlow = errors.New("a write has had no outcome for 5 s")

// loop is what only Run's goroutine touches.
type loop struct {
	start time.Time
	state statemachine.State

	sounding   bool // the level that the siren was given
	waiting    bool // the siren is to sound, and waits for the journal
	sirenErr   error
	handed     int // number of the last entry handed to the journal
	settled    int // number of the last entry with an outcome
	journalErr error
	untrusted  bool // the journal was unreadable, and nobody has said since what to be

	told     json.RawMessage // the document when Changed was called last
	shown    string          // the word when Show was called last
	reason   string          // why desired is unreadable; logged when it changes
	due      *time.Timer     // the state machine's
	patience *time.Timer     // with the journal, while waiting
	retry    *time.Timer     // of the journal
	check    *time.Timer     // of the siren
}

// begin is what happens before anything else can.
func (p *Panel) begin() {
	p.start = time.Now()
	p.due = stopped()
	p.patience = stopped()
	p.retry = stopped()
	p.check = stopped()
	p.setSiren(false)
	if p.journalErr != nil && !p.untrusted {
		p.retry.Reset(journalRetry)
	}
	p.log.Info("started", "state", p.state.Word())
}

func stopped() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// turn waits for one thing to happen and deals with it. It is false when ctx has ended.
func (p *Panel) turn(ctx context.Context) bool {
	questions := p.questions
	if p.settled < p.handed {
		questions = nil // nothing is told before the journal has had its say
	}
	select {
	case <-ctx.Done():
		return false
	case in := <-p.inputs:
		p.input(in)
	case <-p.due.C:
		p.step(statemachine.Event{Kind: statemachine.TimePassed})
	case r := <-p.journal.results:
		p.written(r)
	case <-p.patience.C:
		p.sound()
	case <-p.retry.C:
		p.again()
	case <-p.check.C:
		p.checkSiren()
	case reply := <-questions:
		reply <- answer{p.document(), p.status()}
	}
	p.tell()
	return true
}

// input steps the state machine and logs what it doesn't tell by itself.
func (p *Panel) input(in input) {
	switch e := in.event; e.Kind {
	case statemachine.ContactRead:
		log := p.log.Info
		if e.Reading == statemachine.Fault {
			log = p.log.Warn
		}
		log("contact read", "contact", p.config.Contacts[e.Contact].Name, "reading", e.Reading.String())
	case statemachine.DesiredUnreadable:
		if reason := in.problem.Error(); reason != p.reason {
			p.reason = reason
			if errors.Is(in.problem, twin.ErrDocumentNotFound) {
				p.log.Info("desired is not written yet, nothing changes")
			} else {
				p.log.Warn("desired is unreadable, nothing changes", "reason", reason)
			}
		}
	case statemachine.DesiredRead:
		p.reason = ""
		p.untrusted = false
	case statemachine.LocalCommand:
		p.untrusted = false
	}
	p.step(in.event)
}

// step applies an event now and carries out what follows, in the order that matters.
func (p *Panel) step(e statemachine.Event) {
	e.At = time.Since(p.start)
	var out statemachine.Output
	p.state, out = statemachine.Step(p.state, e)
	if !out.Siren {
		p.silence()
	}
	if out.Save {
		p.save()
	}
	if out.Siren {
		p.soundSoon()
	}
	if out.Due != 0 {
		p.due.Reset(out.Due - time.Since(p.start))
	} else {
		p.due.Stop()
	}
	p.logNotes(e, out.Notes)
}

// logNotes writes a line for each thing that happened, and who wanted it.
func (p *Panel) logNotes(e statemachine.Event, notes []statemachine.Note) {
	for _, n := range notes {
		var about []any
		switch {
		case n.Contact != statemachine.NoContact:
			about = []any{"contact", p.config.Contacts[n.Contact].Name}
		case n.What != statemachine.Armed && n.What != statemachine.Disarmed:
		case e.Kind == statemachine.LocalCommand:
			about = []any{"by", "a command at the panel"}
		default:
			about = []any{"by", "desired", "version", e.Version}
		}
		p.log.Info(string(n.What), about...)
	}
}

// silence turns the siren off at once.
func (p *Panel) silence() {
	p.waiting = false
	p.patience.Stop()
	if p.sounding {
		p.setSiren(false)
	}
}

// soundSoon turns the siren on when the journal has an outcome, or when patience ends.
func (p *Panel) soundSoon() {
	switch {
	case p.sounding || p.waiting:
	case p.settled == p.handed:
		p.setSiren(true)
	default:
		p.waiting = true
		p.patience.Reset(sirenWaits)
	}
}

// sound ends the wait.
func (p *Panel) sound() {
	if p.waiting {
		p.waiting = false
		p.patience.Stop()
		p.setSiren(true)
	}
}

func (p *Panel) setSiren(on bool) {
	p.sounding = on
	p.sirenSays(p.config.Siren.Set(on))
}

func (p *Panel) checkSiren() {
	p.sirenSays(p.config.Siren.Check())
}

// sirenSays takes note of how the siren does, and when to look again.
func (p *Panel) sirenSays(err error) {
	if err != nil && p.sirenErr == nil {
		p.log.Error("siren does not obey", "sounding", p.sounding, "error", err)
	} else if err == nil && p.sirenErr != nil {
		p.log.Info("siren obeys again", "sounding", p.sounding)
	}
	p.sirenErr = err
	if p.sounding || err != nil {
		p.check.Reset(checkSounding)
	} else {
		p.check.Reset(checkSilent)
	}
}

// save hands the state to the journal.
func (p *Panel) save() {
	p.handed++
	p.journal.save(entry{p.handed, p.state.Saved()})
	p.retry.Reset(journalSlow)
}

// written takes the outcome of a write. Only that of the last entry says how the journal does.
func (p *Panel) written(r result) {
	if r.n < p.handed {
		return
	}
	p.journalSays(r.err)
	p.settled = p.handed
	if r.err != nil {
		p.retry.Reset(journalRetry)
	} else {
		p.retry.Stop()
	}
	p.sound()
}

// again is due when the last entry has had no outcome for long, or failed a while ago.
func (p *Panel) again() {
	if p.settled < p.handed {
		p.journalSays(errJournalSlow)
		p.settled = p.handed
		return
	}
	p.save()
}

func (p *Panel) journalSays(err error) {
	if err != nil && p.journalErr == nil {
		p.log.Error("journal cannot be written; guarding goes on, but a power cut may lose what is armed now", "error", err)
	} else if err == nil && p.journalErr != nil {
		p.log.Info("journal can be written again")
	}
	p.journalErr = err
}

// tell says that there is something new, once it may be told.
func (p *Panel) tell() {
	if p.settled < p.handed {
		return
	}
	if doc := p.document(); doc != nil && !bytes.Equal(doc, p.told) {
		p.told = doc
		p.config.Changed()
	}
	word := ""
	if p.state.Known() {
		word = p.state.Word()
	}
	if word != p.shown {
		p.shown = word
		p.config.Show(word)
	}
}
