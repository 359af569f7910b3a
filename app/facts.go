package app

import (
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

// facts are what a watcher has learned, with when it did so on its own clock. Nothing in them is a conclusion: that is [look]'s.
type facts struct {
	started time.Time // the app's start
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
	moved         time.Time // when a version was last seen to take another's place; zero: not since the app's start
}

// learn takes an answer of the hub. A version that goes down is another one, too: the document was made anew. It says whether the version moved.
func (r *reading) learn(doc twin.Document, found bool, now time.Time) (moved bool) {
	switch {
	case !found:
		moved = r.found
	case r.read.IsZero():
		r.first = now
	case !r.found || doc.Version != r.Version:
		r.first, r.moved, moved = now, now, true
	}
	if found {
		r.Document = doc
	}
	r.found, r.read = found, now
	return moved
}

// learnCurrent takes an answer about the panel's document. It says whether the panel gave a sign of life.
func (f *facts) learnCurrent(doc twin.Document, found bool, now time.Time) (moved bool) {
	before := f.current
	if moved = f.current.learn(doc, found, now); moved {
		switch was := before.ringing(); {
		case !f.current.ringing():
			f.rang = time.Time{}
		case !was:
			f.rang = now
		}
	}
	f.done = f.done || f.doing()
	return moved
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
