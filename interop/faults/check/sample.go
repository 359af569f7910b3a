package check

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/twinpanel/twinpanel/interop/faults/history"
)

// A Sampling is what a search for an order has come to.
type Sampling struct {
	Samples    int // documents
	Events     int // in them
	Unfinished int // samples for which the time was not enough
}

// Limits of a search.
type Limits struct {
	Samples int           // documents
	Events  int           // of each, from its beginning
	Time    time.Duration // for each
}

// Sample looks, for some documents, for an order of all events that explains all answers, as porcupine does. It knows nothing of the
// rules above, and covers what becomes of a document after its deletion. Half of the documents are such, if there are enough. When ctx ends, it takes no
// further document.
func (c *Checker) Sample(ctx context.Context, l Limits, random *rand.Rand) (s Sampling, found []Violation) {
	names := c.Documents()
	random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	half := l.Samples / 2
	var deleted, others []string
	for _, n := range names {
		if slices.ContainsFunc(c.documents[n], func(e *history.Event) bool { return e.Kind == history.Delete }) {
			deleted = append(deleted, n)
		} else {
			others = append(others, n)
		}
	}
	chosen := others[:min(len(others), max(half, l.Samples-len(deleted)))]
	chosen = append(chosen, deleted[:min(len(deleted), l.Samples-len(chosen))]...)
	for _, name := range chosen {
		if ctx.Err() != nil {
			break
		}
		ops := operations(c.documents[name], l.Events)
		s.Samples++
		s.Events += len(ops)
		switch porcupine.CheckOperationsTimeout(model, ops, l.Time) {
		case porcupine.Illegal:
			found = append(found, Violation{Linear, name, "porcupine finds none"})
		case porcupine.Unknown:
			s.Unfinished++
		}
	}
	return s, found
}

// operations are the first events of a document, at most so many. What ends after the first one that is left out may show what that one did,
// so it has no outcome here.
//
// A write whose outcome its client doesn't know, but which somebody was shown, has that outcome, with an open end: otherwise the search would
// try it everywhere. One that nobody was shown can come at the very end, where it means nothing; so it is left out, unless it may be needed to
// explain a version that nobody was shown, or what a deletion found.
func operations(events []*history.Event, most int) []porcupine.Operation {
	shown, complete := shownWrites(events)
	events = slices.Clone(events)
	slices.SortStableFunc(events, func(a, b *history.Event) int { return cmp.Compare(a.Call, b.Call) })
	until, cut := int64(never), int64(never)
	for _, e := range events {
		if e.Kind == history.Delete {
			cut = min(cut, e.Call)
		}
	}
	if len(events) > most {
		until, events = events[most].Call, events[:most]
	}
	var ops []porcupine.Operation
	taken := map[uint32]bool{}
	for _, e := range events {
		in := operation{Event: e, outcome: e.Outcome, shown: register{e.Version, e.Data}}
		end := e.Return
		if e.Outcome == history.Unknown || e.Return >= until {
			in.outcome, end = history.Unknown, never
		}
		made, known := shown[e.ID]
		switch {
		case in.outcome == history.Failed, in.outcome == history.Unknown && e.Kind == history.Get:
			continue
		case in.outcome == history.Unknown && e.Kind.IsWrite() && known:
			in.outcome, in.shown = history.OK, made
		case in.outcome == history.Unknown && complete:
			continue
		case in.outcome == history.Unknown && e.Kind.IsWrite():
			in.taken = taken
		}
		if e.Outcome == history.OK && e.Return < cut {
			taken[e.Version] = true
		}
		ops = append(ops, porcupine.Operation{ClientId: len(ops), Input: in, Call: e.Call, Return: end})
	}
	return ops
}

// shownWrites are the writes that some answer says are the last ones, with what they made of the document. It is complete if they are all there
// can be up to the last version, and there was no deletion.
func shownWrites(events []*history.Event) (shown map[uint32]register, complete bool) {
	shown = map[uint32]register{}
	highest, deleted := 0, false
	for _, e := range events {
		deleted = deleted || e.Kind == history.Delete
		if v, ok := version(e); ok {
			highest = max(highest, int(v))
		}
		if e.Outcome == history.OK && e.Version > 0 {
			shown[e.Data.Last] = register{e.Version, e.Data}
		}
	}
	return shown, !deleted && len(shown) >= highest
}

// An operation is an event as the search sees it.
type operation struct {
	*history.Event
	outcome history.Outcome
	shown   register        // of a get or write that is OK
	taken   map[uint32]bool // of a write that nobody was shown: versions before the deletion that are other writes'
}

// A register is a document in the model.
type register struct {
	version uint32
	data    history.Data
}

// A searched is a register that may have been deleted.
type searched struct {
	register
	again bool // after a deletion
}

// model is a document with versions. A write of unknown outcome is done when it can be; at the end of the order that means nothing.
var model = porcupine.Model{
	Init: func() any { return searched{} },
	Step: func(s, input, _ any) (bool, any) {
		return s.(searched).step(input.(operation))
	},
}

func (r searched) step(o operation) (bool, any) {
	fits := (o.If == 0 || o.If == r.version) && (o.Kind != history.Patch || r.version > 0)
	next := searched{register{r.version + 1, r.data.After(o.Kind, o.ID)}, r.again}
	switch o.Kind {
	case history.Delete:
		fits, next = r.version > 0, searched{again: true}
	case history.Get:
		next = r
	}
	switch {
	case o.outcome == history.Absent:
		return r.version == 0, r
	case o.outcome == history.Mismatch:
		return r.version == o.Version && o.If != r.version, r
	case o.outcome == history.Unknown && !r.again && o.taken[r.version+1]:
		return false, r // here it can neither be done nor come last
	case o.outcome == history.Unknown && !fits:
		return true, r
	case o.outcome == history.Unknown || o.Kind == history.Delete:
		return fits, next
	}
	return fits && next.register == o.shown, next
}
