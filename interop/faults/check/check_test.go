package check

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/interop/faults/history"
)

const second = int64(time.Second)

// A script makes events that follow each other, one a second, unless a test moves them.
type script struct {
	events []*history.Event
	data   history.Data
	now    int64
}

func (s *script) add(e history.Event) *history.Event {
	s.now += second
	e.Document, e.Process = "1/shared", cmp.Or(e.Process, "app-1")
	e.Call, e.Return = s.now, s.now+second/2
	s.events = append(s.events, &e)
	return &e
}

// write is one that is acknowledged, and done on what the writes before have made.
func (s *script) write(k history.Kind, id, ifVersion, version uint32) *history.Event {
	s.data = s.data.After(k, id)
	s.data.Of = "1/shared"
	return s.add(history.Event{Kind: k, ID: id, If: ifVersion, Outcome: history.OK, Version: version, Data: s.data})
}

// lost is a write of unknown outcome; done tells whether later ones shall build on it.
func (s *script) lost(k history.Kind, id, ifVersion uint32, done bool) *history.Event {
	if done {
		s.data = s.data.After(k, id)
	}
	return s.add(history.Event{Kind: k, ID: id, If: ifVersion, Outcome: history.Unknown})
}

func (s *script) get(version uint32) *history.Event {
	return s.add(history.Event{Kind: history.Get, Outcome: history.OK, Version: version, Data: s.data})
}

func (s *script) answer(k history.Kind, o history.Outcome, id, ifVersion, version uint32) *history.Event {
	return s.add(history.Event{Kind: k, Outcome: o, ID: id, If: ifVersion, Version: version})
}

// connect is a connection of the one device.
func (s *script) connect(conn uint64) *history.Event {
	e := s.add(history.Event{Kind: history.Connect, Outcome: history.OK, Device: "d", Conn: conn, Process: "panel-1", Watches: "1/shared"})
	e.Document = ""
	return e
}

func (s *script) on(conn uint64, e *history.Event) *history.Event {
	e.Device, e.Conn, e.Process = "d", conn, "panel-1"
	return e
}

func (s *script) check() []Violation {
	c := New(30 * second)
	rand.Shuffle(len(s.events), func(i, j int) { s.events[i], s.events[j] = s.events[j], s.events[i] })
	for _, e := range s.events {
		c.Add(e)
	}
	return c.Check()
}

const (
	get, put, patch, del = history.Get, history.Put, history.Patch, history.Delete
)

func TestViolationsAreFound(t *testing.T) {
	for name, c := range map[string]struct {
		rule Rule
		play func(*script)
	}{
		"acknowledged write lost": {Stale, func(s *script) {
			s.write(put, 1, 0, 1)
			before := s.data
			s.write(put, 2, 0, 2)
			s.data = before
			s.get(1)
		}},
		"lost write's version given again": {Twice, func(s *script) {
			s.write(put, 1, 0, 1)
			before := s.data
			s.write(put, 2, 0, 2)
			s.data = before
			s.write(put, 3, 0, 2)
		}},
		"one version acknowledged to two at the same time": {Twice, func(s *script) {
			s.write(put, 1, 0, 1)
			before := s.data
			a := s.write(put, 2, 1, 2)
			s.data = before
			b := s.write(put, 3, 1, 2)
			b.Call, b.Return = a.Call, a.Return
		}},
		"one write makes two versions": {Twice, func(s *script) {
			s.write(put, 1, 0, 1)
			s.get(2)
		}},
		"one write of unknown outcome makes two versions": {Twice, func(s *script) {
			s.lost(put, 1, 0, true)
			s.get(1)
			s.get(2)
		}},
		"version skipped": {Skipped, func(s *script) {
			s.write(put, 1, 0, 1)
			s.write(put, 2, 0, 3)
		}},
		"version skipped, the write of unknown outcome came later": {Skipped, func(s *script) {
			s.write(put, 1, 0, 1)
			s.write(put, 2, 0, 3)
			s.lost(put, 3, 0, false)
		}},
		"version skipped, the write of unknown outcome was for another one": {Skipped, func(s *script) {
			s.write(put, 1, 0, 1)
			s.lost(put, 3, 7, false)
			s.write(put, 2, 0, 3)
		}},
		"two versions skipped for one write of unknown outcome": {Skipped, func(s *script) {
			s.write(put, 1, 0, 1)
			s.lost(put, 3, 0, false)
			s.write(put, 2, 0, 4)
		}},
		"stale get": {Stale, func(s *script) {
			s.write(put, 1, 0, 1)
			old := s.get(1)
			s.write(put, 2, 0, 2)
			s.add(*old)
		}},
		"get finds nothing": {Stale, func(s *script) {
			s.write(put, 1, 0, 1)
			s.answer(get, history.Absent, 0, 0, 0)
		}},
		"stale mismatch": {Stale, func(s *script) {
			s.write(put, 1, 0, 1)
			s.write(put, 2, 0, 2)
			s.answer(put, history.Mismatch, 3, 7, 1)
		}},
		"stale refusal of a patch": {Stale, func(s *script) {
			s.write(put, 1, 0, 1)
			s.answer(patch, history.Absent, 2, 0, 0)
		}},
		"writes change places in time": {Order, func(s *script) {
			s.write(put, 1, 0, 1)
			late := s.write(put, 2, 0, 2)
			s.write(put, 3, 0, 3)
			late.Call, late.Return = s.now+second, s.now+2*second
		}},
		"write of unknown outcome done before it began": {Order, func(s *script) {
			s.write(put, 1, 0, 1)
			late := s.lost(put, 2, 0, true)
			shown := s.get(2)
			s.write(put, 3, 0, 3)
			late.Call, late.Return = s.now+second, s.now+2*second
			shown.Call, shown.Return = s.now+3*second, s.now+4*second
		}},
		"versioned write on another version": {Exact, func(s *script) {
			s.write(put, 1, 0, 1)
			s.write(put, 2, 0, 2)
			s.write(put, 3, 1, 3)
		}},
		"versioned write of unknown outcome on another version": {Exact, func(s *script) {
			s.write(put, 1, 0, 1)
			s.write(put, 2, 0, 2)
			s.lost(put, 3, 1, true)
			s.get(3)
		}},
		"mismatch with the version that was asked for": {Exact, func(s *script) {
			s.write(put, 1, 0, 1)
			s.answer(put, history.Mismatch, 2, 1, 1)
		}},
		"mismatch without a question": {Exact, func(s *script) {
			s.write(put, 1, 0, 1)
			s.answer(put, history.Mismatch, 2, 0, 1)
		}},
		"refused write done": {Undone, func(s *script) {
			s.write(put, 1, 0, 1)
			e := s.lost(put, 2, 7, true)
			e.If, e.Outcome, e.Version = 7, history.Mismatch, 1
			s.get(2)
		}},
		"write done that the hub says has failed": {Undone, func(s *script) {
			s.write(put, 1, 0, 1)
			s.lost(put, 2, 0, true).Outcome = history.Failed
			s.get(2)
		}},
		"a version shown with two contents": {Changed, func(s *script) {
			s.write(put, 1, 0, 1)
			s.write(patch, 2, 0, 2)
			s.data.Put = 2
			s.get(2)
		}},
		"patch merged into an old version": {Content, func(s *script) {
			s.write(put, 1, 0, 1)
			old := s.data
			s.write(put, 2, 0, 2)
			s.data = old
			s.write(patch, 3, 0, 3)
		}},
		"patch loses another patch": {Content, func(s *script) {
			s.write(put, 1, 0, 1)
			old := s.data
			s.write(patch, 2, 0, 2)
			s.data = old
			s.write(patch, 3, 0, 3)
		}},
		"patch merged into an old version, past a gap": {Content, func(s *script) {
			s.write(put, 1, 0, 1)
			old := s.data
			s.write(put, 2, 0, 2)
			s.lost(patch, 4, 0, false)
			s.data = old
			s.write(patch, 3, 0, 4)
		}},
		"patch makes a document": {Content, func(s *script) { s.write(patch, 1, 0, 1) }},
		"written by nobody":      {Nobody, func(s *script) { s.data.Put, s.data.Last = 7, 7; s.get(1) }},
		"shown before it was written": {Nobody, func(s *script) {
			e := s.write(put, 1, 0, 1)
			s.get(1)
			e.Call, e.Return = s.now+second, s.now+2*second
		}},
		"acknowledgement for another write": {Own, func(s *script) {
			s.write(put, 1, 0, 1)
			s.write(put, 2, 0, 2).Data.Last = 1
		}},
		"another document": {Own, func(s *script) { s.write(put, 1, 0, 1).Data.Of = "2/shared" }},
		"answer that fits nothing": {Own, func(s *script) {
			s.answer(get, history.Wrong, 0, 0, 0)
		}},
		"message that nobody asked for": {Own, func(s *script) {
			s.add(history.Event{Kind: history.Stray, Conn: 3})
		}},
		"connection refused": {Known, func(s *script) { s.connect(0).Outcome = history.Denied }},
		"request denied":     {Known, func(s *script) { s.answer(get, history.Denied, 0, 0, 0) }},
		"answer on a connection beside a newer one": {Old, func(s *script) {
			s.connect(1)
			s.connect(2)
			s.on(1, s.write(put, 1, 0, 1))
		}},
		"refusal on a connection beside a newer one": {Old, func(s *script) {
			s.connect(1)
			s.connect(2)
			s.on(1, s.answer(get, history.Absent, 0, 0, 0))
		}},
		"deleted document is back": {Deleted, func(s *script) {
			s.write(put, 1, 0, 1)
			s.answer(del, history.OK, 0, 0, 0)
			s.get(1)
		}},
		"no notice of the last change": {Told, func(s *script) {
			s.connect(1)
			s.write(put, 1, 0, 1)
			s.on(1, s.get(1)).Noticed = true
			s.write(put, 2, 0, 2)
			s.now += 40 * second
			s.get(2)
		}},
		"no notice at all": {Told, func(s *script) {
			s.write(put, 1, 0, 1)
			s.connect(1)
			s.now += 40 * second
			s.on(1, s.add(history.Event{Kind: history.Closed}))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var s script
			c.play(&s)
			for _, v := range s.check() {
				if v.Rule == c.rule {
					return
				}
			}
			t.Errorf("not found: %q in\n%s", c.rule, s.String())
		})
	}
}

func TestWhatMayHappenIsNoViolation(t *testing.T) {
	for name, play := range map[string]func(*script){
		"nothing": func(s *script) {},
		"puts, patches, gets and refusals": func(s *script) {
			s.answer(get, history.Absent, 0, 0, 0)
			s.answer(put, history.Mismatch, 9, 3, 0)
			s.answer(patch, history.Absent, 8, 0, 0)
			s.write(put, 1, 0, 1)
			s.get(1)
			s.write(patch, 2, 1, 2)
			s.write(patch, 3, 0, 3)
			s.answer(patch, history.Mismatch, 4, 2, 3)
			s.answer(put, history.Failed, 5, 0, 0)
			s.get(3)
			s.write(put, 6, 3, 4)
			s.get(4)
		},
		"unknown outcomes: done and shown, done and not shown, not done": func(s *script) {
			s.write(put, 1, 0, 1)
			s.lost(patch, 2, 0, true)
			s.get(2)
			s.lost(patch, 3, 2, true)
			s.lost(put, 4, 0, false)
			s.write(patch, 5, 0, 4)
			s.lost(put, 6, 17, false)
			s.get(4)
		},
		"write of unknown outcome done long after it was given up": func(s *script) {
			late := s.lost(put, 2, 0, false)
			s.write(put, 1, 0, 1)
			s.write(put, 3, 0, 2)
			s.data = s.data.After(put, late.ID)
			s.get(3)
		},
		"get sees a write that is still under way": func(s *script) {
			s.write(put, 1, 0, 1)
			w := s.write(put, 2, 0, 2)
			s.get(2)
			w.Return = s.now + second
		},
		"get under way sees the version before": func(s *script) {
			s.write(put, 1, 0, 1)
			g := s.get(1)
			s.write(put, 2, 0, 2)
			g.Return = s.now + second
		},
		"document begins anew after its deletion": func(s *script) {
			s.write(put, 1, 0, 1)
			s.write(put, 2, 0, 2)
			s.answer(del, history.OK, 0, 0, 0)
			s.answer(get, history.Absent, 0, 0, 0)
			s.data = history.Data{}
			s.write(put, 3, 0, 1)
			s.get(1)
		},
		"newer connection": func(s *script) {
			s.connect(1)
			s.on(1, s.write(put, 1, 0, 1))
			s.on(1, s.add(history.Event{Kind: history.Closed}))
			s.connect(2)
			s.on(1, s.answer(put, history.Unknown, 2, 0, 0))
			s.on(1, s.answer(put, history.Failed, 3, 0, 0))
			s.on(2, s.write(put, 4, 0, 2))
		},
		"two connections at the same time": func(s *script) {
			a := s.connect(1)
			b := s.connect(2)
			a.Return = b.Return - 1
			s.on(1, s.write(put, 1, 0, 1))
			s.on(2, s.write(put, 2, 0, 2))
		},
		"notices": func(s *script) {
			s.connect(1)
			s.on(1, s.answer(get, history.Absent, 0, 0, 0)).Noticed = true
			s.write(put, 1, 0, 1)
			s.write(put, 2, 0, 2)
			s.on(1, s.get(2)).Noticed = true
			s.now += 40 * second
			s.write(put, 3, 0, 3)
			s.on(1, s.add(history.Event{Kind: history.Closed}))
		},
		"connection with a version not told that ended soon": func(s *script) {
			s.connect(1)
			s.write(put, 1, 0, 1)
			s.on(1, s.add(history.Event{Kind: history.Closed}))
			s.now += 40 * second
			s.get(1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var s script
			play(&s)
			for _, v := range s.check() {
				t.Errorf("found: %v in\n%s", v, s.String())
			}
		})
	}
}

func (s *script) String() string {
	var b strings.Builder
	for _, e := range s.events {
		fmt.Fprintln(&b, describe(e))
	}
	return b.String()
}
