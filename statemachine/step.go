package statemachine

import "time"

// Step applies an event, then what is due at its time: a disarm cancels what was due in
// the same step.
func Step(s State, e Event) (State, Output) {
	m := machine{State: s, now: e.At}
	switch e.Kind {
	case ContactRead:
		m.contact(e.Contact, e.Reading)
	case DesiredRead:
		m.desired(e.Version, e.Armed)
	case DesiredMissing:
		m.none = m.saved.Seen == 0
	case LocalCommand:
		m.saved.Local = true
		m.arm(e.Armed)
	}
	for m.phase != quiet && m.due() <= m.now {
		m.timeUp()
	}
	return m.State, Output{
		Siren: m.phase == ringing,
		Save:  m.saved != s.saved,
		Due:   m.due(),
		Notes: m.notes,
	}
}

// A machine is a state in the middle of a step.
type machine struct {
	State
	now   time.Duration
	notes []Note
}

func (m *machine) note(w What, contact int) { m.notes = append(m.notes, Note{w, contact}) }

func (m *machine) desired(version uint32, armed bool) {
	another := m.none || m.saved.Seen != 0 && version != m.saved.Seen
	m.none = false
	m.saved.Seen = version
	if m.saved.Local && !another {
		return
	}
	m.saved.Local = false
	m.arm(armed)
}

func (m *machine) arm(armed bool) {
	switch {
	case armed == m.saved.Armed:
	case !armed:
		m.note(Disarmed, NoContact)
		if m.phase == ringing {
			m.note(RingStopped, NoContact)
		}
		m.saved = Saved{Local: m.saved.Local, Seen: m.saved.Seen}
		m.phase = quiet
	case m.rules.ExitDelay > 0:
		m.saved.Armed = true
		m.phase, m.until = exiting, m.now+m.rules.ExitDelay
		m.note(Armed, NoContact)
		m.note(ExitStarted, NoContact)
		// A restart ends the delay with nothing known of the doors. Until the end decides
		// better, the journal says that each has to be seen closed first.
		for i := range m.rules.Contacts {
			m.saved.Waits[i] = true
		}
	default:
		m.saved.Armed = true
		m.note(Armed, NoContact)
		m.waitForClosed()
	}
}

func (m *machine) contact(i int, now Reading) {
	if i < 0 || i >= m.rules.Contacts {
		return
	}
	before := m.readings[i]
	m.readings[i] = now
	if !m.saved.Armed || m.phase == exiting {
		return
	}
	if before == Unknown {
		m.resume()
	}
	waits := m.saved.Waits[i]
	switch {
	case now == Closed && waits:
		m.saved.Waits[i] = false
		m.note(Guarded, i)
	case now != Closed && (before == Closed || before == Unknown) && !waits:
		m.trigger(i)
	}
}

// resume goes on with what a restart cut off.
func (m *machine) resume() {
	switch {
	case m.phase != quiet:
	case m.saved.Charged > 0 && m.saved.Charged < m.rules.SirenLimit:
		m.note(RingResumed, NoContact)
		m.phase, m.until = ringing, m.now
		m.charge()
	case m.saved.Charged > 0:
		m.endRing()
	case m.saved.Entering:
		m.saved.Entering = false
		m.trigger(NoContact)
	}
}

func (m *machine) trigger(contact int) {
	switch {
	case m.phase != quiet:
	case m.saved.Rings >= m.rules.MaxRings:
		m.note(TriggerIgnored, contact)
	case m.rules.EntryDelay > 0:
		m.startEntry(contact)
	default:
		m.startRing(contact)
	}
}

func (m *machine) startEntry(contact int) {
	m.note(EntryStarted, contact)
	m.saved.Entering = true
	m.phase, m.until = entering, m.now+m.rules.EntryDelay
}

func (m *machine) startRing(contact int) {
	m.note(RingStarted, contact)
	m.saved.Entering = false
	m.saved.Rings++
	m.phase, m.until = ringing, m.now
	m.saved.Charged, m.saved.Prepaid = m.saved.Prepaid, 0
	m.charge()
}

// charge pays for the next slice of ring time.
func (m *machine) charge() {
	paid := min(slice, m.rules.SirenLimit-m.saved.Charged)
	m.saved.Charged += paid
	m.until += paid
}

func (m *machine) endRing() {
	m.note(RingEnded, NoContact)
	m.phase = quiet
	m.saved.Charged = 0
	m.waitForClosed()
}

// timeUp does what is due in the present phase.
func (m *machine) timeUp() {
	switch m.phase {
	case exiting:
		m.note(ExitEnded, NoContact)
		m.phase = quiet
		m.waitForClosed()
	case entering:
		m.startRing(NoContact)
	case ringing:
		if m.saved.Charged < m.rules.SirenLimit {
			m.charge()
		} else {
			m.endRing()
		}
	}
}

// waitForClosed decides wait_closed of every contact by its present reading.
func (m *machine) waitForClosed() {
	for i := range m.rules.Contacts {
		m.saved.Waits[i] = m.readings[i] != Closed
		if m.saved.Waits[i] {
			m.note(WaitsForClosed, i)
		}
	}
}
