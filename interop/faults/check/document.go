package check

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/twinpanel/twinpanel/interop/faults/history"
)

// never is the time of what did not happen.
const never = math.MaxInt64

// A document is the history of one document, and what follows from it.
type document struct {
	name   string
	events []*history.Event
	writes map[uint32]*history.Event // by number
	made   map[uint32]uint32         // the version that a write made, as far as anybody was shown it
	cut    int64                     // when somebody asked for its deletion, or never
	states map[uint32]state          // by version, of the time before that

	rising []*history.Event // answers that had a higher version than all that had come before

	happened int // see Figures
	found    []Violation
}

// A state is a version's data and the event that has shown it first.
type state struct {
	data history.Data
	by   *history.Event
}

func newDocument(name string, events []*history.Event) *document {
	d := &document{
		name: name, events: events, cut: never,
		writes: map[uint32]*history.Event{}, made: map[uint32]uint32{}, states: map[uint32]state{},
	}
	for _, e := range events {
		if e.Kind.IsWrite() {
			d.writes[e.ID] = e
		}
		if e.Kind == history.Delete {
			d.cut = min(d.cut, e.Call)
		}
	}
	return d
}

func (d *document) violate(r Rule, format string, args ...any) {
	d.found = append(d.found, Violation{r, d.name, fmt.Sprintf(format, args...)})
}

// check applies all rules.
func (d *document) check() []Violation {
	slices.SortStableFunc(d.events, func(a, b *history.Event) int { return cmp.Compare(a.Return, b.Return) })
	for _, e := range d.events {
		d.answer(e)
		if v, ok := version(e); ok && v > 0 && (len(d.rising) == 0 || v > d.rising[len(d.rising)-1].Version) {
			d.rising = append(d.rising, e)
		}
		if e.Outcome == history.OK && e.Version > 0 {
			d.shown(e)
		}
	}
	d.times()
	d.chain()
	d.deleted()
	return d.found
}

// answer holds an answer against its own request.
func (d *document) answer(e *history.Event) {
	switch {
	case e.Outcome == history.Mismatch && (e.If == 0 || e.Version == e.If):
		d.violate(Exact, "%s", describe(e))
	case e.Outcome != history.OK || !e.Kind.IsWrite():
	case e.If != 0 && e.Version != e.If+1:
		d.violate(Exact, "%s", describe(e))
	case e.Version == 0:
		d.violate(Nobody, "%s", describe(e))
	case e.Data.Last != e.ID:
		d.violate(Own, "%s", describe(e))
	}
}

// shown holds a document that was shown to somebody against its writers, and against what others were shown.
func (d *document) shown(e *history.Event) {
	w := d.writes[e.Data.Last]
	if w == nil || w.Call >= e.Return {
		d.violate(Nobody, "%s", describe(e))
		return
	}
	switch version, known := d.made[w.ID]; {
	case known && version != e.Version:
		d.violate(Twice, "write %d has made version %d, and now: %s", w.ID, version, describe(e))
	case w.Outcome == history.OK && w.Version != e.Version:
		d.violate(Twice, "%s; and: %s", describe(w), describe(e))
	case w.Outcome != history.OK && w.Outcome != history.Unknown:
		d.violate(Undone, "%s; and: %s", describe(w), describe(e))
	case w.If != 0 && w.If+1 != e.Version:
		d.violate(Exact, "%s; and: %s", describe(w), describe(e))
	case !known && w.Outcome == history.Unknown:
		d.happened++
	}
	d.made[w.ID] = e.Version
	if e.Return >= d.cut {
		return
	}
	s, known := d.states[e.Version]
	switch {
	case !known:
		d.states[e.Version] = state{e.Data, e}
	case s.data.Last != e.Data.Last:
		d.violate(Twice, "%s; and: %s", describe(s.by), describe(e))
	case s.data != e.Data:
		d.violate(Changed, "%s; and: %s", describe(s.by), describe(e))
	}
}

// version is what an answer says about the version at some moment between call and return.
func version(e *history.Event) (v uint32, ok bool) {
	switch e.Outcome {
	case history.OK, history.Mismatch:
		return e.Version, e.Kind != history.Delete
	case history.Absent:
		return 0, true
	}
	return 0, false
}

// times holds each event of the time before the deletion against the newest version that was known when it was called.
func (d *document) times() {
	byCall := slices.Clone(d.events)
	slices.SortStableFunc(byCall, func(a, b *history.Event) int { return cmp.Compare(a.Call, b.Call) })
	var floor uint32
	var known *history.Event
	returned := 0 // of d.events, which are sorted by return
	for _, e := range byCall {
		for ; returned < len(d.events) && d.events[returned].Return < min(e.Call, d.cut); returned++ {
			r := d.events[returned]
			if v, ok := version(r); ok && v > floor {
				floor, known = v, r
			}
		}
		if e.Call >= d.cut {
			break
		}
		v, ok := version(e)
		made, makes := d.made[e.ID]
		switch {
		case e.Kind.IsWrite() && makes && d.states[made].data.Last == e.ID && made <= floor:
			d.violate(Order, "%s made version %d; but before: %s", describe(e), made, describe(known))
		case e.Return >= d.cut || !ok:
		case v < floor:
			d.violate(Stale, "%s; but before: %s", describe(e), describe(known))
		}
	}
}

// chain follows the versions from the first to the last, and lets writes of unknown outcome stand for those that nobody was shown.
func (d *document) chain() {
	versions := make([]uint32, 0, len(d.states))
	for v := range d.states {
		versions = append(versions, v)
	}
	slices.Sort(versions)
	g := d.newGaps(versions)
	before, data := uint32(0), history.Data{}
	for _, v := range versions {
		s := d.states[v]
		w := d.writes[s.data.Last]
		for missing := before + 1; missing < v; missing++ {
			if !g.fill(missing) {
				d.violate(Skipped, "version %d, before: %s", missing, describe(s.by))
				break // of many, the first one says it
			}
			d.happened++
		}
		switch {
		case v == before+1 && (w.Kind == history.Put || v > 1):
			if want := data.After(w.Kind, w.ID); want != s.data {
				d.violate(Content, "%s; version %d and the write make put %d, last write %d, slots %d", describe(s.by), before, want.Put, want.Last, want.Slots)
			}
		case v == before+1:
			d.violate(Content, "a patch made a document: %s", describe(s.by))
		default:
			d.afterGap(data, s)
		}
		before, data = v, s.data
	}
}

// afterGap: each key is as it was, or by a write that nobody was told about, or by the write itself.
func (d *document) afterGap(before history.Data, s state) {
	possible := func(now, was uint32) bool {
		w := d.writes[now]
		return now == was || now == s.data.Last || w != nil && (w.Outcome == history.Unknown || w.Return >= d.cut)
	}
	ok := possible(s.data.Put, before.Put)
	for i, id := range s.data.Slots {
		ok = ok && (id == 0 && s.data.Put != before.Put || possible(id, before.Slots[i]))
	}
	if !ok {
		d.violate(Content, "%s; before the gap: put %d, slots %d", describe(s.by), before.Put, before.Slots)
	}
}

// deleted: what was acknowledged or given up before somebody asked for the deletion is not shown to who asks after it.
func (d *document) deleted() {
	var after int64 = never
	for _, e := range d.events {
		if e.Kind == history.Delete && e.Outcome == history.OK {
			after = min(after, e.Return)
		}
	}
	for _, e := range d.events {
		if e.Outcome != history.OK || e.Call <= after || e.Version == 0 {
			continue
		}
		if w := d.writes[e.Data.Last]; w != nil && w.Outcome == history.OK && w.Return < d.cut {
			d.violate(Deleted, "%s; written before the deletion: %s", describe(e), describe(w))
		}
	}
}
