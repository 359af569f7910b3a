package statemachine

import (
	"fmt"
	"testing"
	"time"
)

// The walk goes through every state that can be reached, by every event in every state, and
// checks the alarm's promises on each step. Time is abstracted: an event comes either before
// anything more is due, or exactly when it is due. That loses nothing, for only one thing can be
// due at a time and no rule asks how much of a delay is left.

// walkRules are the households that are walked through. Short rings keep the walk small; the
// rules know no other number than the slice, which 30 s holds three times.
var walkRules = []Rules{
	{Contacts: 1, SirenLimit: 30 * time.Second, MaxRings: 2},
	{Contacts: 1, SirenLimit: 35 * time.Second, MaxRings: 1, ExitDelay: 45 * time.Second, EntryDelay: 30 * time.Second},
	{Contacts: 2, SirenLimit: 30 * time.Second, MaxRings: 2},
	{Contacts: 2, SirenLimit: 30 * time.Second, MaxRings: 2, ExitDelay: 45 * time.Second},
	{Contacts: 2, SirenLimit: 30 * time.Second, MaxRings: 2, EntryDelay: 30 * time.Second},
	{Contacts: 2, SirenLimit: 30 * time.Second, MaxRings: 2, ExitDelay: 45 * time.Second, EntryDelay: 30 * time.Second},
	{Contacts: 1, SirenLimit: 30 * time.Second, MaxRings: 3, ExitDelay: 45 * time.Second, EntryDelay: 30 * time.Second},
}

// A node is a state as it is at time 0, with what the walk counts beside it.
type node struct {
	state    State
	sounded  time.Duration // how long the siren has really sounded in this armed period, at the most
	reported bool          // a Save for "armed" has succeeded, so somebody may have been told
	prepaid  bool          // the journal has the next ring's first slice charged ahead
}

// journal is what a restart finds.
func (n node) journal() Saved {
	if n.prepaid {
		return n.state.saved.Prepay()
	}
	return n.state.saved
}

// later moves a state's clock so that now is 0.
func later(s State, now time.Duration) State {
	if s.phase == quiet {
		s.until = 0
	} else {
		s.until -= now
	}
	return s
}

func TestWalkThroughEveryState(t *testing.T) {
	for _, rules := range walkRules {
		t.Run(fmt.Sprintf("%d contacts exit %v entry %v rings %d", rules.Contacts, rules.ExitDelay, rules.EntryDelay, rules.MaxRings), func(t *testing.T) {
			w := walk{t: t, rules: rules, seen: map[node]bool{}}
			w.visit(node{state: New(rules)})
			for len(w.todo) > 0 && !t.Failed() {
				n := w.todo[len(w.todo)-1]
				w.todo = w.todo[:len(w.todo)-1]
				w.leave(n)
			}
			words := map[string]int{}
			for n := range w.seen {
				words[n.state.Word()]++
			}
			t.Logf("%d states, %d steps: %v", len(w.seen), w.steps, words)
			want := []string{"disarmed", "armed", "ringing", "silenced"}
			if rules.ExitDelay > 0 {
				want = append(want, "exit_delay")
			}
			if rules.EntryDelay > 0 {
				want = append(want, "entry_delay")
			}
			for _, word := range want {
				if words[word] == 0 {
					t.Errorf("the walk never came to a state %q", word)
				}
			}
		})
	}
}

type walk struct {
	t     *testing.T
	rules Rules
	seen  map[node]bool
	todo  []node
	steps int
}

func (w *walk) visit(n node) {
	if !w.seen[n] {
		w.seen[n] = true
		w.todo = append(w.todo, n)
	}
}

// leave takes every way out of a node.
func (w *walk) leave(n node) {
	events := []Event{{Kind: DesiredUnreadable}, {Kind: DesiredMissing}, {Kind: LocalCommand, Armed: true}, {Kind: LocalCommand}}
	for i := range w.rules.Contacts {
		for _, r := range []Reading{Closed, Open, Fault} {
			events = append(events, Event{Kind: ContactRead, Contact: i, Reading: r})
		}
	}
	// Two versions are enough: a read either has the version last seen or another one.
	for _, v := range []uint32{1, 2} {
		events = append(events, Event{Kind: DesiredRead, Version: v}, Event{Kind: DesiredRead, Version: v, Armed: true})
	}
	for _, e := range events {
		w.step(n, e) // before anything more is due
	}
	due := n.state.due()
	if due != 0 {
		w.step(n, Event{Kind: TimePassed, At: due})
		for _, e := range events {
			e.At = due
			w.step(n, e) // in the very moment
		}
	}
	for i := range w.rules.Contacts {
		w.prepay(n, i)
	}
	w.restart(n, 0)
	w.restart(n, due) // as late as can be before the next step
	w.tap(n)
}

// tap says that there is no desired, arms at the panel, and then taps for the first time: that disarms.
func (w *walk) tap(n node) {
	s, _ := Step(n.state, Event{Kind: DesiredMissing})
	s, _ = Step(s, Event{Kind: LocalCommand, Armed: true})
	e := Event{Kind: DesiredRead, Version: n.state.saved.Seen + 1}
	if s, out := Step(s, e); s.Word() != "disarmed" || out.Siren {
		w.fail(n, e, node{state: s}, "a tap was taken for an old wish")
	}
}

// step takes one step, checks it, and goes on from where it leads, or from a power cut before it was journalled.
func (w *walk) step(n node, e Event) {
	w.steps++
	next, out := Step(n.state, e)
	to := node{state: later(next, e.At), sounded: n.sounded, reported: next.saved.Armed}
	to.prepaid = n.prepaid && next.saved.Armed && !next.Ringing()
	if n.state.phase == ringing {
		to.sounded += e.At
	}
	if !next.saved.Armed {
		to.sounded = 0
	}
	w.check(n, e, to, out)
	w.visit(to)
	if out.Save { // the power fails before the journal is written; a new ring has not sounded yet
		cut := node{state: Restore(w.rules, n.journal()), sounded: n.sounded, reported: n.reported}
		if n.state.phase == ringing {
			cut.sounded += e.At
		}
		w.visit(cut)
		if n.prepaid && out.Siren { // but one that was charged ahead may have
			cut.sounded += slice
			w.visit(cut)
		}
	}
}

// prepay charges a ring ahead where that may be done: a ring follows if the contact opens.
func (w *walk) prepay(n node, contact int) {
	if n.prepaid || !n.state.MayRing(contact) {
		return
	}
	w.steps++
	to := n
	to.prepaid = true
	for _, r := range []Reading{Open, Fault} {
		if _, out := Step(n.state, Event{Kind: ContactRead, Contact: contact, Reading: r}); !out.Siren {
			w.fail(n, "prepay", to, "charged ahead, and no ring at %v", r)
		}
	}
	w.visit(to)
}

// restart cuts the power after the siren, if it rings, has sounded for a while.
func (w *walk) restart(n node, after time.Duration) {
	w.steps++
	to := node{state: Restore(w.rules, n.journal()), sounded: n.sounded, reported: n.reported}
	if n.state.phase == ringing {
		to.sounded += after
	}
	if to.state.saved != n.journal() {
		w.fail(n, "power cut", to, "a restart lost something: %+v became %+v", n.journal(), to.state.saved)
	}
	if to.state.Ringing() {
		w.fail(n, "power cut", to, "rings before the first reading")
	}
	if n.reported && !to.state.Armed() {
		w.fail(n, "power cut", to, "armed was reported and is lost")
	}
	w.visit(to)
}

func (w *walk) fail(from node, what any, to node, format string, args ...any) {
	w.t.Helper()
	w.t.Errorf("%s\nfrom  %+v\nevent %+v\nto    %+v", fmt.Sprintf(format, args...), from, what, to)
}

// check holds one step against the promises.
func (w *walk) check(from node, e Event, to node, out Output) {
	a, b := from.state, to.state
	fail := func(format string, args ...any) { w.t.Helper(); w.fail(from, e, to, format, args...) }

	// Rings only while armed; shown as ringing exactly when it rings.
	if out.Siren && !b.Armed() {
		fail("rings while disarmed")
	}
	if out.Siren != b.Ringing() || out.Siren != (b.Word() == "ringing") {
		fail("siren %v, but state %q", out.Siren, b.Word())
	}

	// Disarm silences in one step, whatever was due.
	overridden := e.Kind == DesiredRead && a.saved.Local && !a.none && (a.saved.Seen == 0 || e.Version == a.saved.Seen)
	command := (e.Kind == DesiredRead && !overridden) || e.Kind == LocalCommand
	if command && !e.Armed && (out.Siren || b.Word() != "disarmed" || out.Due != 0) {
		fail("disarm did not silence everything")
	}
	if command && b.Armed() != e.Armed {
		fail("a command was not obeyed")
	}

	// Only a command arms or disarms.
	if !command && a.Armed() != b.Armed() {
		fail("armed changed without a command")
	}

	// An unreadable desired changes nothing.
	if e.Kind == DesiredUnreadable && e.At < a.due() && (a != b || out.Save) {
		fail("an unreadable desired changed something")
	}

	// That there is none is only kept in mind, until there is one.
	if known := a; e.Kind == DesiredMissing && e.At < a.due() {
		known.none = b.none
		if known != b || out.Save {
			fail("a missing desired changed something")
		}
	}
	if e.Kind == DesiredMissing && b.none != (b.saved.Seen == 0) || b.none && b.saved.Seen != 0 {
		fail("no desired is %v, and version %d was seen", b.none, b.saved.Seen)
	}

	// Arming is silent, also with the door open.
	if !a.Armed() && out.Siren {
		fail("arming rang")
	}

	// The budget, over any restarts.
	if b.saved.Rings > w.rules.MaxRings {
		fail("ring %d of %d", b.saved.Rings, w.rules.MaxRings)
	}
	if limit := w.rules.SirenLimit * time.Duration(w.rules.MaxRings); to.sounded > limit {
		fail("rang for %v of %v", to.sounded, limit)
	}
	if b.Armed() && a.Armed() && b.saved.Rings < a.saved.Rings {
		fail("rings were given back")
	}

	// What the journal needs is announced, and a ring is charged before it sounds.
	if out.Save != (a.saved != b.saved) {
		fail("save is %v", out.Save)
	}
	if out.Siren && b.until <= 0 {
		fail("rings on time that was not charged")
	}

	// A guarded contact that goes from Closed to anything else triggers.
	if i := e.Contact; e.Kind == ContactRead && a.Armed() && a.phase == quiet && a.readings[i] == Closed && e.Reading != Closed {
		may := !a.saved.Waits[i] && a.saved.Rings < w.rules.MaxRings
		if triggered := b.Ringing() || b.Word() == "entry_delay"; triggered != may {
			fail("triggered %v, want %v", triggered, may)
		}
	}
	// So does one found not Closed after a restart.
	if i := e.Contact; e.Kind == ContactRead && a.Armed() && a.phase == quiet && a.readings[i] == Unknown && e.Reading != Closed &&
		!a.saved.Waits[i] && a.saved.Charged == 0 && a.saved.Rings < w.rules.MaxRings && !b.Ringing() && b.Word() != "entry_delay" {
		fail("found open after a restart, and silent")
	}
	// Closed always ends the wait.
	if e.Kind == ContactRead && e.Reading == Closed && b.phase != exiting && b.saved.Waits[e.Contact] {
		fail("still waits for a door that is closed")
	}

	// No state without a way out: whatever runs ends by itself, and what doesn't run is not due.
	if (b.phase == quiet) != (out.Due == 0) {
		fail("phase %v, due %v", b.phase, out.Due)
	}
	if out.Due != 0 && out.Due <= e.At {
		fail("due at %v, which has passed", out.Due)
	}
	left, runs := b.Left(0)
	if runs != (b.phase != quiet) || left < 0 {
		fail("left %v, %v in phase %v", left, runs, b.phase)
	}
	for s, now, n := b, time.Duration(0), 0; s.phase != quiet; n++ {
		if n > 100 {
			fail("time alone never ends this")
			return
		}
		now = s.due()
		s, _ = Step(s, Event{At: now})
		if s.phase != b.phase && runs { // what runs now has come to its end
			runs = false
			if now != left {
				fail("%v was left, and it took %v", left, now)
			}
		}
	}
	// From everywhere, a new wish to disarm and to arm again leads to a guarded house.
	s, _ := Step(b, Event{Kind: DesiredRead, Version: b.saved.Seen + 1})
	if s.Armed() && !b.none && b.saved.Seen == 0 { // a command at the panel, given before anything was known of desired, rules over the first
		s, _ = Step(s, Event{Kind: DesiredRead, Version: b.saved.Seen + 2})
	}
	for i := range w.rules.Contacts {
		s, _ = Step(s, Event{Kind: ContactRead, Contact: i, Reading: Closed})
	}
	s, o := Step(s, Event{Kind: DesiredRead, Version: b.saved.Seen + 3, Armed: true})
	if o.Due != 0 {
		s, _ = Step(s, Event{At: o.Due})
	}
	if s.Word() != "armed" || s.saved.Waits != [MaxContacts]bool{} {
		fail("disarming, closing and arming again leads to %q, waits %v", s.Word(), s.saved.Waits)
	}
}
