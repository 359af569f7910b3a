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
	events = slices.Clone(events)
	slices.SortStableFunc(events, func(a, b *history.Event) int { return cmp.Compare(a.Call, b.Call) })
	until := int64(never)
	if len(events) > most {
		until, events = events[most].Call, events[:most]
	}
	shown, complete := shownWrites(events, until)
	k := newKnown(events, until)
	var ops []porcupine.Operation
	turns := map[history.Kind]int{}
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
			in.known = k
			if e.If == 0 {
				turns[e.Kind]++
				in.turn = turns[e.Kind]
			}
		}
		if e.Return < until {
			k.add(e)
		}
		ops = append(ops, porcupine.Operation{ClientId: len(ops), Input: in, Call: e.Call, Return: end})
	}
	return ops
}

// shownWrites are the writes that some answer until then says are the last ones, with what they made of the document. It is complete if they are
// all there can be up to the last version, and there was no deletion.
func shownWrites(events []*history.Event, until int64) (shown map[uint32]register, complete bool) {
	shown = map[uint32]register{}
	highest, deleted := 0, false
	for _, e := range events {
		deleted = deleted || e.Kind == history.Delete
		if e.Return >= until {
			continue
		}
		if v, ok := version(e); ok {
			highest = max(highest, int(v))
		}
		if e.Outcome == history.OK && e.Version > 0 {
			shown[e.Data.Last] = register{e.Version, e.Data}
		}
	}
	return shown, !deleted && len(shown) >= highest
}
