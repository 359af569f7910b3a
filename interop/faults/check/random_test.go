package check

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/interop/faults/history"
)

// A world does random requests on one document as a hub does them, each at one moment between its call and its
// return, which other requests overlap.
type world struct {
	random *rand.Rand
	now    register
	clock  int64
	events []*history.Event
}

// step does a request. Some have no outcome for whoever asked, and of these some are not done.
func (w *world) step(id uint32, deletes bool) {
	kinds := []history.Kind{get, put, patch}
	if deletes && w.random.IntN(40) == 0 {
		kinds = []history.Kind{del}
	}
	w.clock += 10
	e := &history.Event{Kind: kinds[w.random.IntN(len(kinds))], Document: "1/life-1", Call: w.clock - w.random.Int64N(40), Return: w.clock + 1 + w.random.Int64N(40)}
	if e.Kind.IsWrite() {
		e.ID = id
		if w.random.IntN(2) == 0 {
			e.If = w.now.version - uint32(w.random.IntN(2))
		}
	}
	w.events = append(w.events, e)
	unknown := w.random.IntN(10) == 0
	if unknown && w.random.IntN(2) == 0 {
		e.Outcome = history.Unknown
		return
	}
	switch {
	case w.now.version == 0 && e.Kind != put:
		e.Outcome = history.Absent
	case e.If != 0 && e.If != w.now.version:
		e.Outcome, e.Version = history.Mismatch, w.now.version
	case e.Kind == del:
		e.Outcome, w.now = history.OK, register{}
	default:
		if e.Kind.IsWrite() {
			w.now = register{w.now.version + 1, w.now.data.After(e.Kind, e.ID)}
		}
		e.Outcome, e.Version, e.Data = history.OK, w.now.version, w.now.data
	}
	if unknown {
		e.Outcome, e.Version, e.Data = history.Unknown, 0, history.Data{}
	}
}

func newWorld(seed uint64, steps int, deletes bool) *world {
	w := &world{random: rand.New(rand.NewPCG(seed, 0)), clock: 100}
	for i := range steps {
		w.step(uint32(i+1), deletes)
	}
	return w
}

func (w *world) checker() *Checker {
	c := New(1)
	for _, e := range w.events {
		clone := *e
		c.Add(&clone)
	}
	return c
}

func limits() Limits { return Limits{Samples: 10, Events: 200, Time: 10 * time.Second} }

func TestRightHistoriesOfAllKinds(t *testing.T) {
	for seed := range uint64(120) {
		w := newWorld(seed, 150, seed%2 == 0)
		c := w.checker()
		found := c.Check()
		s, more := c.Sample(t.Context(), limits(), w.random)
		for _, v := range append(found, more...) {
			t.Fatalf("seed %d: found: %v", seed, v)
		}
		if s.Samples != 1 || s.Unfinished != 0 {
			t.Fatalf("seed %d: sampled %+v", seed, s)
		}
	}
}

// Where a search ends before the history does, what was under way then may have come much later.
func TestRightHistoriesThatAreCutOff(t *testing.T) {
	for seed := range uint64(40) {
		w := newWorld(seed, 150, seed%2 == 0)
		c := w.checker()
		l := limits()
		for l.Events = 1; l.Events < 150; l.Events++ {
			s, found := c.Sample(t.Context(), l, w.random)
			if len(found) > 0 || s.Unfinished > 0 {
				t.Fatalf("seed %d, the first %d events: %+v, found: %v", seed, l.Events, s, found)
			}
		}
	}
}

// A change of an answer that the rules let pass must have an order that explains it, as porcupine sees it, and the other way round: a
// history that has none violates a rule.
func TestRulesAndSearchAgree(t *testing.T) {
	wrong := 0
	for seed := range uint64(300) {
		w := newWorld(seed, 60, false)
		e := w.events[w.random.IntN(len(w.events))]
		other := w.events[w.random.IntN(len(w.events))]
		switch {
		case e.Kind == get && other.Version > 0 && other.Outcome == history.OK:
			e.Outcome, e.Version, e.Data = history.OK, other.Version, other.Data
		case e.Outcome == history.OK && e.Kind.IsWrite():
			e.Outcome, e.Version, e.Data = history.Failed, 0, history.Data{}
		case e.Outcome == history.Mismatch:
			e.Version = other.Version
		default:
			e.Call, e.Return = other.Call, other.Return
		}
		c := w.checker()
		found := c.Check()
		_, more := c.Sample(t.Context(), limits(), w.random)
		if (len(found) > 0) != (len(more) > 0) {
			// Next to a version that nobody was shown, both are content with less, and not with the same; see afterGap and unseen.
			if !hasGap(c) {
				t.Errorf("seed %d: the rules find %v, the search %v", seed, found, more)
			}
		}
		if len(found) > 0 {
			wrong++
		}
	}
	if wrong < 50 {
		t.Errorf("only %d histories were wrong", wrong)
	}
}

func hasGap(c *Checker) bool {
	d := newDocument("1/life-1", c.documents["1/life-1"])
	d.check()
	versions := 0
	for v := range d.states {
		versions = max(versions, int(v))
	}
	return versions > len(d.states)
}

func TestSearchFindsWhatWasPlantedAfterADeletion(t *testing.T) {
	var s script
	s.write(put, 1, 0, 1)
	s.answer(del, history.OK, 0, 0, 0)
	s.data = history.Data{}
	s.write(put, 2, 0, 1)
	s.write(patch, 3, 0, 2)
	old := s.get(2)
	s.write(put, 4, 0, 3)
	s.add(*old)
	c := New(1)
	for _, e := range s.events {
		c.Add(e)
	}
	_, found := c.Sample(t.Context(), limits(), rand.New(rand.NewPCG(1, 1)))
	if !slices.ContainsFunc(found, func(v Violation) bool { return v.Rule == Linear }) {
		t.Error("a stale get after the deletion was not found")
	}
}
