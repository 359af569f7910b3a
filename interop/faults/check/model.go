package check

import (
	"github.com/anishathalye/porcupine"

	"github.com/twinpanel/twinpanel/interop/faults/history"
)

// Known is what answers say about versions until the history is cut off.
type known struct {
	taken     map[uint32]bool // before the first deletion: these are by writes that somebody was shown
	highest   uint32          // version of all
	cut       int64           // when somebody asked for that deletion
	deletions int
	certain   bool   // there was one
	again     uint32 // the highest version that an answer may have seen after it
}

func newKnown(events []*history.Event, until int64) *known {
	k := &known{taken: map[uint32]bool{}, cut: never}
	for _, e := range events {
		if e.Kind == history.Delete {
			k.cut = min(k.cut, e.Call)
			k.certain = k.certain || e.Outcome == history.OK && e.Return < until
			k.deletions++
		}
	}
	for _, e := range events {
		if v, ok := version(e); ok && k.cut <= e.Return && e.Return < until {
			k.again = max(k.again, v)
		}
	}
	return k
}

// add takes the answer of an operation over.
func (k *known) add(e *history.Event) {
	v, ok := version(e)
	if ok {
		k.highest = max(k.highest, v)
	}
	if e.Outcome == history.OK && e.Return < k.cut {
		k.taken[v] = true
	}
}

// An operation is an event as the search sees it.
type operation struct {
	*history.Event
	outcome history.Outcome
	shown   register // of a get or write that is OK

	// Of a write of unknown outcome that nobody was shown:
	known *known
	turn  int // its number among those of its kind that ask for no version, from 1; 0 = it asks for one
}

// A register is a document in the model.
type register struct {
	version uint32
	data    history.Data
}

// A searched is a register in the search.
type searched struct {
	register
	again         bool // after a deletion
	blurred       bool // made by a write that nobody was shown: data don't matter
	puts, patches int  // turns of the last writes that nobody was shown
}

// model is a document with versions.
var model = porcupine.Model{
	Init: func() any { return searched{} },
	Step: func(s, input, _ any) (bool, any) {
		return s.(searched).step(input.(operation))
	},
}

func (r searched) step(o operation) (bool, any) {
	switch {
	case o.outcome == history.Absent:
		return r.version == 0, r
	case o.outcome == history.Mismatch:
		return r.version == o.Version && o.If != r.version, r
	case o.Kind == history.Delete && (o.outcome == history.OK || r.version > 0):
		return r.version > 0, searched{again: true, puts: r.puts, patches: r.patches}
	case o.Kind == history.Delete:
		return true, r
	case o.outcome == history.Unknown:
		return r.unseen(o)
	case o.Kind == history.Get:
		return r.version == o.shown.version && (r.blurred || r.data == o.shown.data), r
	}
	next := register{r.version + 1, r.data.After(o.Kind, o.ID)}
	if r.blurred {
		next.data = o.shown.data
	}
	ok := o.fits(r.version) && next == o.shown
	r.register, r.blurred = next, false
	return ok, r
}

// fits tells whether a write can be done on a version.
func (o operation) fits(version uint32) bool {
	return (o.If == 0 || o.If == version) && (o.Kind != history.Patch || version > 0)
}

// unseen is a write of unknown outcome that nobody was shown. It can stand for a version that nobody was shown, or mean nothing at the end. Those of
// a kind that ask for no version can stand for each other, so they are taken in their order; one whose turn has passed isn't needed any more.
func (r searched) unseen(o operation) (bool, any) {
	turn := &r.puts
	if o.Kind == history.Patch {
		turn = &r.patches
	}
	k := o.known
	switch {
	case o.turn > 0 && o.turn < *turn:
		return true, r
	case r.again && k.deletions == 1 && r.version >= k.again:
		return true, r
	case !r.again && k.taken[r.version+1]:
		return false, r
	case !r.again && k.deletions == 0 && r.version >= k.highest:
		return true, r
	case !r.again && k.certain && r.version >= k.highest:
		return false, r // perhaps after the deletion
	case !o.fits(r.version):
		return true, r
	}
	*turn = max(*turn, o.turn)
	r.register, r.blurred = register{version: r.version + 1}, true
	return true, r
}
