package check

import (
	"cmp"
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
// rules above, and covers what becomes of a document after its deletion. Those with a deletion come first.
func (c *Checker) Sample(l Limits, random *rand.Rand) (s Sampling, found []Violation) {
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

// operations are the first events of a document, at most so many. What ends after the first one that is left out has an unknown outcome:
// it may show what that one did.
func operations(events []*history.Event, most int) []porcupine.Operation {
	events = slices.Clone(events)
	slices.SortStableFunc(events, func(a, b *history.Event) int { return cmp.Compare(a.Call, b.Call) })
	until := int64(never)
	if len(events) > most {
		until, events = events[most].Call, events[:most]
	}
	var ops []porcupine.Operation
	for _, e := range events {
		op := porcupine.Operation{ClientId: len(ops), Input: e, Call: e.Call, Output: e.Outcome, Return: e.Return}
		if e.Outcome != history.Unknown && e.Return >= until || e.Outcome == history.Unknown {
			op.Output, op.Return = history.Unknown, never
		}
		if op.Output == history.Failed || op.Output == history.Unknown && e.Kind == history.Get {
			continue
		}
		ops = append(ops, op)
	}
	return ops
}

// A register is a document in the model.
type register struct {
	version uint32
	data    history.Data
}

// model is a document with versions. A write of unknown outcome is done when it can be; at the end of the order that means nothing.
var model = porcupine.Model{
	Init: func() any { return register{} },
	Step: func(s, input, output any) (bool, any) {
		return s.(register).step(input.(*history.Event), output.(history.Outcome))
	},
}

func (r register) step(e *history.Event, o history.Outcome) (bool, any) {
	fits := (e.If == 0 || e.If == r.version) && (e.Kind != history.Patch || r.version > 0)
	next := register{r.version + 1, r.data.After(e.Kind, e.ID)}
	if e.Kind == history.Delete {
		fits, next = r.version > 0, register{}
	}
	switch o {
	case history.Absent:
		return r.version == 0, r
	case history.Mismatch:
		return r.version == e.Version && e.If != r.version, r
	case history.Unknown:
		if fits {
			return true, next
		}
		return true, r
	}
	switch e.Kind {
	case history.Get:
		return r == register{e.Version, e.Data}, r
	case history.Delete:
		return fits, next
	}
	return fits && next == register{e.Version, e.Data}, next
}
