package transcript

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twinpanel/twinpanel/statemachine"
)

// Late is how late a real panel's clock may be, in a run that begins with a start.
const Late = 100 * time.Millisecond

// A Step is what came of a line, or of time alone before it.
type Step struct {
	Line    Line // of time alone, one with Event TimePassed and no text
	N       int  // number of the line, from 1
	House   House
	Event   statemachine.Event // with the time since the panel's start
	Before  statemachine.State
	After   statemachine.State
	Notes   []statemachine.Note
	Wall    time.Time // by the remarks, where they say so
	Foreign bool      // of Start: the journal held something else than the run before it had left there
}

// Play reads a transcript's events and writes the whole transcript anew. The error names the line.
func Play(text string) (string, error) {
	p := newPlayer(nil)
	err := p.play(text)
	return p.text(), err
}

// Steps plays a transcript and returns each step with what came of it.
func Steps(text string) ([]Step, error) {
	var steps []Step
	err := Each(text, func(s Step) { steps = append(steps, s) })
	return steps, err
}

// Each plays a transcript and calls f with each step. It is much lighter than [Steps] for a long one.
func Each(text string, f func(Step)) error {
	p := newPlayer(nil)
	p.silent, p.heard = true, f
	return p.play(text)
}

// WhatIf plays a transcript with other rules: the new transcript, and what happened in it. A later run begins with what the
// journal would hold, unless somebody had changed the journal between the two.
func WhatIf(text string, change func(*statemachine.Rules)) (string, []Step, error) {
	told, err := Steps(text)
	if err != nil {
		return "", nil, err
	}
	p := newPlayer(change)
	var steps []Step
	p.heard = func(s Step) { steps = append(steps, s) }
	for _, s := range told {
		if s.Foreign {
			p.foreign = append(p.foreign, s.N)
		}
	}
	err = p.play(text)
	return p.text(), steps, err
}

// A player is a transcript while it is played.
type player struct {
	change  func(*statemachine.Rules) // nil = as told
	foreign []int                     // starts whose journal was somebody else's, while there is a change

	reader *reader
	out    strings.Builder
	silent bool // write nothing
	heard  func(Step)
	n      int // the line

	running   bool
	recorded  bool // the run began with a start
	told      bool // the rules are in the output
	house     House
	state     statemachine.State
	saved     statemachine.Saved // what the journal holds
	due       time.Duration      // since start
	siren     bool
	start     time.Duration // story time at which this run of the panel began
	wall      time.Time     // of the last line that said it
	wallStory time.Duration // and its story time
}

func newPlayer(change func(*statemachine.Rules)) *player {
	return &player{change: change, reader: newReader(), heard: func(Step) {}}
}

func (p *player) play(text string) error {
	for line := range strings.SplitSeq(strings.TrimRight(text, " \t\r\n"), "\n") {
		p.n++
		l, err := p.reader.read(line)
		if err == nil {
			err = p.line(l)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", p.n, err)
		}
	}
	return nil
}

// text is the transcript so far, without empty lines at its end.
func (p *player) text() string {
	text := strings.TrimRight(p.out.String(), "\n")
	if text == "" {
		return ""
	}
	return text + "\n"
}

func (p *player) line(l Line) error {
	if wall := l.Wall(); l.Kind >= Event && !wall.IsZero() {
		p.wall, p.wallStory = wall, l.At
	}
	switch l.Kind {
	case Answer: // made anew
	case Blank:
		p.print(l)
	case Rules:
		if p.change != nil {
			house, err := p.changed(l.House)
			if err != nil {
				return err
			}
			l.Text = house.String()
		}
		p.told = true
		p.print(l)
	case Start:
		return p.startRun(l)
	default:
		return p.happen(l)
	}
	return nil
}

// changed are the rules of a house with the change.
func (p *player) changed(h House) (House, error) {
	if p.change != nil {
		p.change(&h.Rules)
	}
	return h, h.Rules.Validate()
}

// begin takes the rules that hold now.
func (p *player) begin() error {
	house, err := p.changed(p.reader.house)
	if err != nil {
		return err
	}
	if p.change != nil && !p.told {
		p.told = true
		fmt.Fprintln(&p.out, house)
	}
	p.house, p.running = house, true
	return nil
}

// startRun begins a run with what the line says of the journal, or with what it would hold.
func (p *player) startRun(l Line) error {
	first := !p.running
	left := p.saved
	if !first {
		left = rename(left, p.house.Contacts, p.reader.house.Contacts)
	}
	left.Prepaid = l.Saved.Prepaid // a charge ahead, which no line before tells of
	before := p.state
	if err := p.begin(); err != nil {
		return err
	}
	rules := p.house.Rules
	held := statemachine.Restore(rules, l.Saved)
	foreign := !first && held.Saved() != statemachine.Restore(rules, left).Saved()
	if p.change != nil && !first && !slices.Contains(p.foreign, p.n) {
		if l.At > 0 { // the run goes on, and its state with it
			return nil
		}
		held = statemachine.Restore(rules, left)
		l.Text = "0s start " + Saved(p.house.Contacts, held.Saved())
	}
	p.print(l)
	p.state, p.saved = held, held.Saved()
	p.recorded, p.start, p.due, p.siren = true, 0, 0, false
	p.step(Step{Line: l, Before: before, Foreign: foreign, Event: statemachine.Event{At: l.At}})
	return nil
}

// rename brings what is said of contacts over to others of the same name.
func rename(s statemachine.Saved, from, to []string) statemachine.Saved {
	waits := s.Waits
	s.Waits = [statemachine.MaxContacts]bool{}
	for i, name := range to {
		if old := slices.Index(from, name); old >= 0 {
			s.Waits[i] = waits[old]
		}
	}
	return s
}

// happen does what is due before an event, and then the event.
func (p *player) happen(l Line) error {
	if !p.running {
		if err := p.begin(); err != nil {
			return err
		}
		p.state = statemachine.New(p.house.Rules)
	}
	late := time.Duration(0)
	if p.recorded {
		late = Late
	}
	for p.due != 0 && p.start+p.due+late < l.At {
		p.timeAlone(p.start + p.due)
	}
	e := l.Event
	e.At = l.At - p.start
	switch l.Kind {
	case PowerCut:
		p.print(l)
		return p.powerCut(l)
	case Stop:
		p.print(l)
		p.silence()
		p.due = 0
		p.step(Step{Line: l, Event: e, Before: p.state})
		return nil
	}
	s := Step{Line: l, Event: e, Before: p.state}
	after, out := statemachine.Step(p.state, e)
	if p.change != nil && p.recorded && e.Kind == statemachine.TimePassed && after == p.state {
		return nil // it was due by the other rules
	}
	p.print(l)
	p.apply(s, after, out, "")
	return nil
}

// timeAlone does what is due at a time that no line tells of.
func (p *player) timeAlone(at time.Duration) {
	l := Line{Kind: Event, At: at}
	prefix := fmt.Sprintf("at %v: ", at)
	if p.change != nil && p.recorded {
		l.Text = at.String() + " time passes"
		if wall := p.wallAt(at); !wall.IsZero() {
			l.Remark = Remark(wall)
		}
		p.print(l)
		prefix = ""
	}
	e := statemachine.Event{At: at - p.start}
	after, out := statemachine.Step(p.state, e)
	p.apply(Step{Line: l, Event: e, Before: p.state}, after, out, prefix)
}

// Remark is the wall clock's time behind an event.
func Remark(t time.Time) string { return "# " + t.Format("2006-01-02T15:04:05.000Z07:00") }

func (p *player) wallAt(at time.Duration) time.Time {
	if p.wall.IsZero() {
		return p.wall
	}
	return p.wall.Add(at - p.wallStory)
}

func (p *player) powerCut(l Line) error {
	before, left, names := p.state, p.saved, p.house.Contacts
	p.silence()
	if err := p.begin(); err != nil {
		return err
	}
	p.start, p.due, p.recorded = l.At, 0, false
	p.state = statemachine.Restore(p.house.Rules, rename(left, names, p.house.Contacts))
	p.saved = p.state.Saved()
	p.say("", "restarts as "+Saved(p.house.Contacts, p.saved))
	p.step(Step{Line: l, Before: before})
	return nil
}

func (p *player) silence() {
	if p.siren {
		p.siren = false
		p.say("", "siren off")
	}
}

// apply takes the outcome of a step and writes it.
func (p *player) apply(s Step, after statemachine.State, out statemachine.Output, prefix string) {
	p.state, p.due, p.siren, p.saved = after, out.Due, out.Siren, after.Saved()
	s.Notes = out.Notes
	p.step(s)
	if p.silent {
		return
	}
	for _, answer := range Answers(p.house.Contacts, s.Before, after, out.Notes) {
		p.say(prefix, answer)
	}
}

func (p *player) step(s Step) {
	s.N, s.House, s.After, s.Wall = p.n, p.house, p.state, p.wallAt(s.Line.At)
	p.heard(s)
}

func (p *player) print(l Line) {
	if !p.silent {
		fmt.Fprintln(&p.out, l)
	}
}

func (p *player) say(prefix, answer string) {
	if !p.silent {
		fmt.Fprintf(&p.out, "    %s%s\n", prefix, answer)
	}
}

// Answers is what a panel makes of an event, in words, a line for each.
func Answers(contacts []string, before, after statemachine.State, notes []statemachine.Note) []string {
	var lines []string
	if before.Ringing() && !after.Ringing() {
		lines = append(lines, "SIREN OFF")
	}
	for _, n := range notes {
		if n.Contact == statemachine.NoContact {
			lines = append(lines, string(n.What))
		} else {
			lines = append(lines, contacts[n.Contact]+": "+string(n.What))
		}
	}
	if before.Saved() != after.Saved() {
		lines = append(lines, "journal: "+Saved(contacts, after.Saved()))
	}
	if !before.Ringing() && after.Ringing() {
		lines = append(lines, "SIREN ON")
	}
	if after.Word() != before.Word() {
		lines = append(lines, "state: "+after.Word())
	}
	return lines
}
