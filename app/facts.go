package app

import (
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

// facts are what a watcher has learned, with when it did so on its own clock. Nothing in them is a conclusion: that is [look]'s.
type facts struct {
	started time.Time // the app's start
	listens time.Time // since when the panel could be heard without a gap; zero: since the start
	woke    time.Time // when the app itself last went on after it had stood still; zero: it never did
	current reading
	desired reading
	events  reading
	trouble *Trouble  // why the last reads failed; nil: the hub answers
	rang    time.Time // when the panel was first seen to ring, of a ring that goes on; zero: it doesn't ring, or the app found it ringing
	ours    bool      // this app put desired
	done    bool      // the panel was seen to do what desired asks for
}

// A reading is a document as the hub had it last.
type reading struct {
	twin.Document           // of the last answer that had one
	found         bool      // false: the last answer was that there is none
	read          time.Time // the last answer of either kind; zero: there was none yet
	first         time.Time // when this version was seen first
	moved         time.Time // when a version was last seen to take a lower one's place; zero: not since the app listens
}

// learn takes an answer of the hub. It says whether the version is another one. Only one that goes up has just been
// written: one that goes down may be of an older database that somebody put in the hub's place.
func (r *reading) learn(doc twin.Document, found bool, now time.Time) (changed bool) {
	switch {
	case !found:
		changed = r.found
	case r.read.IsZero():
		r.first = now
	case !r.found || doc.Version != r.Version:
		r.first, r.moved, changed = now, time.Time{}, true
		if doc.Version > r.Version {
			r.moved = now
		}
	}
	if found {
		r.Document = doc
	}
	r.found, r.read = found, now
	return changed
}

// learnCurrent takes an answer about the panel's document. It says whether that is another one than before.
func (f *facts) learnCurrent(doc twin.Document, found bool, now time.Time) (changed bool) {
	before := f.current
	if changed = f.current.learn(doc, found, now); changed {
		switch was := before.ringing(); {
		case !f.current.ringing():
			f.rang = time.Time{}
		case !was:
			f.rang = now
		}
	}
	if f.wasDeaf(before, now) {
		f.listens, f.current.moved = now, time.Time{}
	}
	f.done = f.done || f.doing()
	return changed
}

// wasDeaf says whether the app couldn't hear the panel for so long before now that a panel which spoke meanwhile may be
// silent again, and one that didn't may have been unable to.
func (f *facts) wasDeaf(before reading, now time.Time) bool {
	switch {
	case before.read.IsZero():
		return false
	case f.woke.After(before.read):
		return true
	}
	c, _ := parseCurrent(before.Data)
	return f.trouble != nil && now.Sub(before.read) >= c.beat*3/2
}

// wake says that the app goes on after it stood still, or its computer did. How long ago anything was, nobody knows: the
// clock that nobody can set may have stood still, too.
func (f *facts) wake(now time.Time) {
	f.listens, f.woke, f.current.moved = now, now, time.Time{}
}

// learnDesired takes an answer about the document desired: to a put of this app, or to a get.
func (f *facts) learnDesired(doc twin.Document, found bool, ours bool, now time.Time) {
	if first := f.desired.read.IsZero(); f.desired.learn(doc, found, now) || first {
		f.ours, f.done = ours, false
	}
}

// doing says whether the panel does what desired asks for, or did until somebody at the panel decided otherwise.
func (f *facts) doing() bool {
	if !f.desired.found || !f.current.found {
		return false
	}
	d, ok := parseDesired(f.desired.Data)
	c, err := parseCurrent(f.current.Data)
	if !ok || err != nil {
		return false
	}
	if c.taken != 0 {
		return c.taken == f.desired.Version
	}
	return c.armed == d.armed
}

// ringing says whether a document current tells of a ring.
func (r *reading) ringing() bool {
	c, err := parseCurrent(r.Data)
	return r.found && err == nil && c.ringing
}
