package app

import (
	"slices"
	"time"
)

// Bounds of patience with a silent panel.
const (
	// grace is how long after the end of a delay or a ring the panel's word may come: as long as it takes to find a dead
	// connection and make another.
	grace = 15 * time.Second
	// DefaultSilence is how long an armed panel may be silent: longer than a router takes to start.
	DefaultSilence = 5 * time.Minute
)

// look makes a view of what was learned. An armed panel that is silent for longer than silence is taken for destroyed. It
// is the state table of docs/app.md, and nothing else decides what is shown.
func look(f facts, now time.Time, silence time.Duration) View {
	c, err := parseCurrent(f.current.Data)
	readable := f.current.found && err == nil
	v := View{Hub: f.trouble, Alive: f.alive(c, now), Events: []Event{}}
	if f.events.found {
		v.Events = parseEvents(f.events.Data)
	}
	if !f.current.moved.IsZero() {
		v.HeardMS = milliseconds(now.Sub(f.current.moved))
	}
	if readable {
		v.Known = f.known(c, v.Events, now)
		v.Silence = f.silent(c, now, silence)
	}
	v.Wish = f.wish(c, readable, now)
	v.Row = f.row(v, readable)
	return v
}

// row is the first line of the state table that fits.
func (f *facts) row(v View, readable bool) Row {
	switch {
	case v.Silence != nil:
		return Silent
	case f.trouble != nil:
		return HubAway
	case f.current.read.IsZero():
		return Checking
	case !f.current.found:
		return NeverSeen
	case !readable:
		return Unintelligible
	case v.Alive == AliveUnknown:
		return Checking
	case v.Alive == AliveNo:
		return Unreachable
	case v.Known.Ringing:
		return Ringing
	case v.Wish != nil && v.Wish.Outcome == Waiting:
		switch late := v.Wish.AgeMS >= Confirm.Milliseconds(); {
		case v.Wish.Armed && late:
			return NotArmed
		case v.Wish.Armed:
			return Arming
		case late:
			return StillArmed
		default:
			return Disarming
		}
	}
	return map[string]Row{"disarmed": Disarmed, "exit_delay": ExitDelay, "armed": Armed, "entry_delay": EntryDelay, "silenced": Silenced}[v.Known.State]
}

// alive judges by the last move of the panel's document; before there was one, by the time for which one could be heard.
func (f *facts) alive(c current, now time.Time) Alive {
	switch quiet := now.Sub(latest(f.heard(), f.listens)); {
	case quiet >= 3*c.beat:
		return AliveNo
	case f.current.moved.IsZero():
		return AliveUnknown
	case quiet >= c.beat*3/2:
		return AliveLate
	}
	return AliveYes
}

// heard is the panel's last sign of life, or the moment since when one is waited for.
func (f *facts) heard() time.Time {
	switch {
	case !f.current.moved.IsZero():
		return f.current.moved
	case !f.current.first.IsZero():
		return f.current.first
	}
	return f.started
}

func (f *facts) known(c current, events []Event, now time.Time) *Known {
	k := &Known{Armed: c.armed, Ringing: c.ringing, State: c.state, Local: c.local, Doors: c.doors, Faults: c.faults, LastUpdate: c.lastUpdate}
	if c.left != nil && endsByItself(c.state) {
		k.LeftMS = milliseconds(f.current.first.Add(*c.left).Sub(now))
	}
	if c.ringing {
		k.RangAt = f.rang
		if i := slices.IndexFunc(events, func(e Event) bool { return ringBegan(e.What) || ringEnded(e.What) }); i >= 0 && ringBegan(events[i].What) {
			k.RangBy, k.RangAt = events[i].Contact, events[i].Time
		}
	}
	return k
}

func ringBegan(what string) bool {
	return what == "ring started" || what == "ring resumed after restart"
}

func ringEnded(what string) bool {
	return what == "ring stopped" || what == "ring ended at the siren limit"
}

// endsByItself says whether a state of the panel is one that time ends.
func endsByItself(state string) bool {
	return state == "exit_delay" || state == "entry_delay" || state == "ringing"
}

// silent says why it is an alarm that nothing is heard of the panel, whatever the cause: who destroys a panel may begin with its network.
func (f *facts) silent(c current, now time.Time, longest time.Duration) *Silence {
	// Who stood still can't tell for how long the panel was silent. Whether a hub that is back had it all the time doesn't matter.
	why, quiet := "", now.Sub(latest(f.current.first, f.woke))
	switch {
	case c.state == "entry_delay" || c.state == "ringing":
		// It owes its next word at the end, and a heartbeat before.
		over := c.left != nil && now.Sub(f.current.first) >= *c.left+grace && now.Sub(f.woke) >= grace
		if over || quiet >= c.beat*3/2+grace {
			why = map[string]string{"entry_delay": "entry", "ringing": "ringing"}[c.state]
		}
	case c.armed && quiet >= max(longest, 3*c.beat):
		why = "armed"
	}
	if why == "" {
		return nil
	}
	return &Silence{Why: why, Since: f.heard()}
}

// wish is what the document desired asks for, and what became of it.
func (f *facts) wish(c current, readable bool, now time.Time) *Wish {
	d, ok := parseDesired(f.desired.Data)
	if !ok || !f.desired.found {
		return nil
	}
	w := &Wish{Armed: d.armed, By: d.by, At: f.desired.first, AgeMS: *milliseconds(now.Sub(f.desired.first)), Outcome: Waiting}
	switch taken := readable && c.taken == f.desired.Version; {
	case d.withdrawn:
		w.Armed, w.Outcome = true, Withdrawn
	case !readable:
	case c.armed == d.armed:
		w.Outcome = Done
	case c.local && (taken || c.taken == 0), f.done:
		w.Outcome = Overruled
	}
	if w.Outcome == Waiting && f.withdrawable(d) {
		w.LeftMS = milliseconds(Withdraw - now.Sub(f.desired.first))
	}
	return w
}

// withdrawable says whether a waiting wish is one that the app takes back: to arm, and made with an app. What else somebody writes
// into desired is theirs.
func (f *facts) withdrawable(d desired) bool { return d.armed && (d.by != "" || f.ours) }

// milliseconds counts what is over as 0.
func milliseconds(d time.Duration) *int64 {
	ms := max(0, d.Milliseconds())
	return &ms
}
