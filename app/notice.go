package app

import (
	"slices"
	"time"
)

// A Notice tells somebody who doesn't look.
type Notice struct {
	Kind   Kind
	Urgent bool   // it is about an alarm, now or just missed
	Title  string // one line
	Text   string // a few sentences
	Click  string // URL of the page; may be empty
}

// Kind is what a notice is about.
type Kind string

// The kinds.
const (
	KindRinging     Kind = "ringing"
	KindRang        Kind = "rang" // it rang and is silent again, before anybody could be told
	KindRingOver    Kind = "ring_over"
	KindSilent      Kind = "silent" // as [Silent]
	KindUnreachable Kind = "unreachable"
	KindBack        Kind = "back" // the panel
	KindHubAway     Kind = "hub_away"
	KindHubBack     Kind = "hub_back"
	KindFault       Kind = "fault"
	KindFaultOver   Kind = "fault_over"
	KindTest        Kind = "test"
)

// Times of notices.
const (
	hold       = 30 * time.Second // all but alarms is told of after this, and whatever is over only if it stays so for as long
	ringHold   = 10 * time.Second // what happened may come before what is: a ring that seems over may just begin
	noticeRest = 10 * time.Minute // between two notices that the same thing has begun again
)

// What a condition can be.
const (
	notJudged   = ""
	fine        = "fine"
	isUnusual   = "unusual" // the hub is away, or there is a fault
	unreachable = "unreachable"
	isSilent    = "silent"
)

// Subjects of notices. Those of faults have the fault's word, those of doors the contact's name behind them.
const (
	ofRing  = "ring"
	ofPanel = "panel"
	ofHub   = "hub"
	ofFault = "fault "
	ofDoor  = "door "
)

// A condition is what is known about one subject.
type condition struct {
	is      string
	number  int       // how often its beginning, or its getting worse, was seen; 0: it was found so, and may be as it was before the app's start
	first   time.Time // when it began; being fine for less than hold is no end
	changed time.Time
}

func (c *condition) see(is string, now time.Time) {
	if is == c.is {
		return
	}
	if is != fine {
		if c.is != notJudged {
			c.number++
		}
		if c.is == notJudged || c.is == fine && (c.first.IsZero() || now.Sub(c.changed) >= hold) {
			c.first = now
		}
	}
	c.is, c.changed = is, now
}

// A situation is what is worth telling, whether it was told or not. What can't be known now stays as it was.
type situation struct {
	view       View
	panel, hub condition
	faults     map[string]condition // by subject
	judged     time.Time            // when the faults were known first; zero: they aren't yet
	ring       rings
}

// rings are what is known of them.
type rings struct {
	condition            // its number counts those whose beginning was seen
	at        time.Time  // when it began, as far as that is known
	by        string     // the contact that began it
	starts    []ringSeen // in the document events, newest first
	heard     time.Time  // when the newest of them was first seen there
	events    bool       // there are events
}

// A ringSeen is the start of a ring, as the panel tells of it.
type ringSeen struct {
	at time.Time // by the panel's clock
	by string
}

// see takes a view.
func (s *situation) see(v View, now time.Time) {
	s.view = v
	lives := v.lives() && v.Known != nil
	switch {
	case v.Hub != nil:
		s.hub.see(isUnusual, now)
	case v.Row != Checking:
		s.hub.see(fine, now)
	}
	switch {
	case v.Silence != nil:
		s.panel.see(isSilent, now)
	case v.Row == Unreachable || v.Row == NeverSeen || v.Row == Unintelligible:
		if s.panel.is != isSilent { // only a sign of life ends a silence
			s.panel.see(unreachable, now)
		}
	case lives:
		s.panel.see(fine, now)
	}
	s.ring.readEvents(v.Events, now)
	// Whether a ring is still going on when the app can listen again takes a heartbeat to know: too long for an alarm.
	if lives || s.ring.is != notJudged && v.Row == Checking && v.Known != nil && v.Known.Ringing {
		s.ring.read(v.Known, now)
	}
	if lives {
		s.readFaults(v.Known, now)
	}
}

func (s *situation) readFaults(k *Known, now time.Time) {
	if s.judged.IsZero() {
		s.judged, s.faults = now, make(map[string]condition)
	}
	here := faultsOf(k)
	for _, subject := range here {
		c := s.faults[subject]
		c.see(isUnusual, now)
		s.faults[subject] = c
	}
	for subject, c := range s.faults {
		if slices.Contains(here, subject) {
			continue
		}
		c.see(fine, now)
		s.faults[subject] = c
		if now.Sub(c.changed) >= hold {
			delete(s.faults, subject) // what isn't here is fine
		}
	}
}

// faultsOf are the subjects of all that is broken.
func faultsOf(k *Known) []string {
	var all []string
	for _, word := range k.Faults {
		all = append(all, ofFault+word)
	}
	for _, d := range k.Doors {
		if d.Is == "fault" {
			all = append(all, ofDoor+d.Name)
		}
	}
	return all
}

// fault is what is known of a fault that may be over.
func (s *situation) fault(subject string) condition {
	if c, ok := s.faults[subject]; ok || s.judged.IsZero() {
		return c
	}
	return condition{is: fine, changed: s.judged}
}

// read learns whether it rings.
func (r *rings) read(k *Known, now time.Time) {
	if !k.Ringing {
		r.see(fine, now)
		return
	}
	r.see(isUnusual, now)
	r.at, r.by = k.RangAt, k.RangBy
}

// readEvents learns which rings the panel tells of.
func (r *rings) readEvents(events []Event, now time.Time) {
	if len(events) == 0 {
		return // they can't be read at the moment, or never could
	}
	r.events = true
	var starts []ringSeen
	for _, e := range events {
		if e.What == "ring started" {
			starts = append(starts, ringSeen{e.Time, e.Contact})
		}
	}
	if len(starts) > 0 && (len(r.starts) == 0 || !starts[0].at.Equal(r.starts[0].at)) {
		r.heard = now
	}
	r.starts = starts
}
