package panel

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/twinpanel/twinpanel/sensor"
	"github.com/twinpanel/twinpanel/statemachine"
)

const (
	// sirenWaits is how long the siren waits for the journal. A ring that begins with a start of the panel waits for
	// journalSlow: a supply that breaks down whenever the siren starts must not ring more often than was charged.
	sirenWaits = 100 * time.Millisecond
	// journalSlow is when a write that has no outcome counts as failed, so that telling goes on.
	journalSlow = 5 * time.Second
	// journalRetry is the pause after a failed write.
	journalRetry = 5 * time.Second
	// The siren's level is looked at this often.
	checkSounding = time.Second
	checkSilent   = 10 * time.Second
	// aliveEvery is how often the loop says that it turns, and looks at the clock.
	aliveEvery = 2 * time.Second
)

var errJournalSlow = errors.New("a write has had no outcome for 5 s")

// loop is what only Run's goroutine touches.
type loop struct {
	start time.Time
	slept time.Duration // before the start
	clock clock
	state statemachine.State
	key   sensor.Reading // of the key switch

	sounding   bool // the level that the siren was given
	waiting    bool // the siren is to sound, and waits for the journal
	fromStart  bool // this ring or entry delay began with what a start found, not with a door that was seen to open
	sirenErr   error
	handed     int // number of the last entry handed to the journal
	settled    int // number of the last entry with an outcome
	prepaid    int // number of the entry that charged the next ring ahead; 0 = none did
	needed     int // number of the entry that the siren waits for
	journalErr error
	hangs      bool // the last write has had no outcome for journalSlow
	untrusted  bool // the journal was unreadable, and nobody has said since what to be

	test *sirenTest // nil = the siren is not being tested

	teller      *Teller
	transitions []Transition // the last ones, the oldest first
	news        bool         // Changed has not been called since the last one

	told     json.RawMessage // the document when Changed was called last
	owed     bool            // somebody asked for the document too early
	shown    string          // the word when Show was called last
	reason   string          // why desired is unreadable; logged when it changes
	due      *time.Timer     // the state machine's
	patience *time.Timer     // with the journal, while waiting
	retry    *time.Timer     // of the journal
	check    *time.Timer     // of the siren
	alive    *time.Ticker
}

// begin is what happens before anything else can.
func (p *Panel) begin() {
	p.start, p.slept = time.Now(), suspended()
	p.lookAtClock()
	p.due = stopped()
	p.patience = stopped()
	p.retry = stopped()
	p.check = stopped()
	p.alive = time.NewTicker(aliveEvery)
	p.checkSiren()
	if p.journalErr != nil && !p.untrusted {
		p.retry.Reset(journalRetry)
	}
	p.config.Alive()
	p.remember(Step{Time: p.config.Now(), Before: p.state, After: p.state})
	p.log.Info("started", "state", p.state.Word())
}

func (p *Panel) lookAtClock() {
	p.clock.look(p.config.Now(), time.Since(p.start)+suspended()-p.slept)
}

func stopped() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// turn waits for one thing to happen and deals with it. It is false when ctx has ended.
func (p *Panel) turn(ctx context.Context) bool {
	statuses := p.statuses
	if !p.quiet() {
		statuses = nil
	}
	select {
	case <-ctx.Done():
		return false
	case in := <-p.inputs:
		p.take(in)
	case contact := <-p.moves:
		p.prepay(contact)
	case r := <-p.keys:
		p.turnKey(r)
	case <-p.due.C:
		in := input{event: statemachine.Event{Kind: statemachine.TimePassed}}
		p.logNotes(in, p.step(in))
	case r := <-p.journal.results:
		p.written(r)
		if p.settled >= p.needed {
			p.endWait()
		}
	case <-p.patience.C:
		p.endWait()
	case <-p.retry.C:
		p.retryJournal()
	case <-p.folderLost:
		p.save()
	case <-p.check.C:
		p.checkSiren()
	case <-p.alive.C:
		p.lookAtClock()
		p.config.Alive()
	case reply := <-p.sirenTests:
		p.beginTest(reply)
	case <-p.testOver():
		p.endTest(nil)
	case reply := <-p.documents:
		reply <- p.answer()
	case past := <-p.pasts:
		p.keep(append(past, p.transitions...))
	case reply := <-p.histories:
		reply <- p.history()
	case reply := <-statuses:
		reply <- p.status()
	}
	p.announce()
	return true
}

// quiet says that the journal has had its say on everything, so that it may be told.
func (p *Panel) quiet() bool { return p.settled == p.handed }

// take steps the state machine, and only then writes lines: first about the input, then about what came of it.
func (p *Panel) take(in input) {
	e := in.event
	if e.Kind == statemachine.DesiredRead || e.Kind == statemachine.LocalCommand {
		p.untrusted = false
	}
	notes := p.step(in)
	switch e.Kind {
	case statemachine.ContactRead:
		log := p.log.Info
		if e.Reading == statemachine.Fault {
			log = p.log.Warn
		}
		log("contact read", "contact", p.config.Contacts[e.Contact].Name, "reading", e.Reading.String())
	case statemachine.DesiredUnreadable, statemachine.DesiredMissing:
		if reason := in.problem.Error(); reason != p.reason {
			p.reason = reason
			if e.Kind == statemachine.DesiredMissing {
				p.log.Info("desired is not written yet, nothing changes")
			} else {
				p.log.Warn("desired is unreadable, nothing changes", "reason", reason)
			}
		}
	case statemachine.DesiredRead:
		p.reason = ""
	}
	p.logNotes(in, notes)
}

// step applies an input's event now and carries out what follows, in the order that matters.
func (p *Panel) step(in input) []statemachine.Note {
	e := in.event
	e.At = time.Since(p.start).Truncate(time.Millisecond) // as a black box writes it, so that a replay is exact
	before := p.state
	var out statemachine.Output
	p.state, out = statemachine.Step(before, e)
	if p.state.Armed() {
		p.endTest(errTestCut)
	}
	if !out.Siren && p.test == nil {
		p.silence()
	}
	prepaid := p.prepaid
	if out.Siren || !p.state.Armed() {
		p.prepaid = 0
	}
	if out.Save {
		p.save()
	}
	switch {
	case !alarmed(p.state):
		p.fromStart = false
	case !alarmed(before):
		p.fromStart = e.Kind == statemachine.ContactRead && before.Reading(e.Contact) == statemachine.Unknown
	}
	if out.Siren {
		p.ring(cmp.Or(prepaid, p.handed))
	}
	if out.Due != 0 {
		p.due.Reset(out.Due - time.Since(p.start))
	} else {
		p.due.Stop()
	}
	p.remember(Step{Event: e, Time: p.config.Now(), By: in.by, Asker: in.asker, Before: before, After: p.state, Notes: out.Notes})
	return out.Notes
}

// alarmed says that somebody has come in: the siren sounds, or is about to.
func alarmed(s statemachine.State) bool { return s.Word() == "ringing" || s.Word() == "entry_delay" }

// logNotes writes a line for each thing that happened, and who wanted it.
func (p *Panel) logNotes(in input, notes []statemachine.Note) {
	for _, n := range notes {
		var about []any
		switch {
		case n.Contact != statemachine.NoContact:
			about = []any{"contact", p.config.Contacts[n.Contact].Name}
		case n.What != statemachine.Armed && n.What != statemachine.Disarmed:
		case in.event.Kind == statemachine.LocalCommand:
			about = []any{"by", in.by.Words()}
		default:
			about = []any{"by", "desired", "version", in.event.Version}
			if in.asker != "" {
				about = append(about, "asked_by", string(in.asker))
			}
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

// prepay charges the ring that begins if a contact that has moved settles there. It is done once for each ring.
func (p *Panel) prepay(contact int) {
	if p.prepaid == 0 && p.state.MayRing(contact) {
		p.prepaid = p.handed + 1
		p.save()
	}
}

// ring turns the siren on when the journal has had its say on the entry that charges it, or when patience ends.
func (p *Panel) ring(charge int) {
	if p.sounding || p.waiting {
		return
	}
	p.needed = charge
	switch {
	case p.settled >= p.needed:
		p.setSiren(true)
	default:
		p.waiting = true
		patience := sirenWaits
		if p.fromStart {
			patience = journalSlow
		}
		p.patience.Reset(patience)
	}
}

// endWait turns the siren on, if it waits.
func (p *Panel) endWait() {
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
	if p.quiet() {
		p.retry.Reset(journalSlow)
	}
	p.handed++
	saved := p.state.Saved()
	if p.prepaid != 0 {
		saved = saved.Prepay()
	}
	p.journal.save(entry{p.handed, saved})
	if p.hangs { // which is told; more of it keeps nobody waiting
		p.settled = p.handed
	}
}

// written takes the outcome of a write. Only that of the last entry says how the journal does.
func (p *Panel) written(r result) {
	p.hangs = false
	if r.n < p.handed {
		p.settled = max(p.settled, r.n)
		p.retry.Reset(journalSlow)
		return
	}
	p.journalSays(r.err)
	p.settled = p.handed
	if r.err != nil {
		p.retry.Reset(journalRetry)
	} else {
		p.retry.Stop()
	}
}

// retryJournal is due when the disk has had no answer for long, or failed a while ago.
func (p *Panel) retryJournal() {
	if p.quiet() {
		p.save()
		return
	}
	p.hangs = true
	p.settled = p.handed
	p.journalSays(errJournalSlow)
	p.endWait()
}

func (p *Panel) journalSays(err error) {
	if err != nil && p.journalErr == nil {
		p.log.Error("journal cannot be written; guarding goes on, but a power cut may lose what is armed now", "error", err)
	} else if err == nil && p.journalErr != nil {
		p.log.Info("journal can be written again")
	}
	p.journalErr = err
}

// answer is the document to publish, or why there is none now.
func (p *Panel) answer() answer {
	doc := p.document(p.left())
	switch {
	case !p.quiet():
		p.owed = true
		return answer{err: ErrUnwritten}
	case doc == nil:
		return answer{err: ErrUnknown}
	}
	return answer{document: doc}
}

// announce says that there is something new, once it may be told. That time passes is not new.
func (p *Panel) announce() {
	if !p.quiet() {
		return
	}
	if doc := p.document(nil); doc != nil && (p.owed || p.news || !bytes.Equal(doc, p.told)) {
		p.told, p.owed, p.news = doc, false, false
		p.config.Changed()
	}
	word := ""
	if p.state.Known() {
		word = p.state.Word()
	}
	if word != p.shown {
		p.shown = word
		p.config.Show(word, len(p.faults()) > 0)
	}
}
