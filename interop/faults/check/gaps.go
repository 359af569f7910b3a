package check

import (
	"cmp"
	"slices"

	"github.com/twinpanel/twinpanel/interop/faults/history"
)

// Gaps are the versions that nobody was shown. Each needs a write of unknown outcome of its own that
// nobody was shown either.
type gaps struct {
	deadline  map[uint32]int64            // of the next version that was shown: when it, or a newer one, was known first
	next      func(v uint32) uint32       // that version
	versioned map[uint32][]*history.Event // by the version they make
	others    []*history.Event            // sorted by call
	ready     int                         // of others, how many were called before the deadline of the gap before
	used      int                         // of those
}

// newGaps takes the versions that were shown, sorted.
func (d *document) newGaps(versions []uint32) *gaps {
	g := &gaps{deadline: map[uint32]int64{}, versioned: map[uint32][]*history.Event{}}
	known := map[uint32]int64{} // first answers with a version
	for _, e := range d.events {
		if v, ok := version(e); ok && e.Return < d.cut {
			if at, there := known[v]; !there || e.Return < at {
				known[v] = e.Return
			}
		}
		made, shown := d.made[e.ID]
		switch {
		case !e.Kind.IsWrite():
		case shown && d.states[made].data.Last == e.ID: // no gap
		case shown:
			g.versioned[made] = append(g.versioned[made], e)
		case e.Outcome != history.Unknown:
		case e.If != 0:
			g.versioned[e.If+1] = append(g.versioned[e.If+1], e)
		default:
			g.others = append(g.others, e)
		}
	}
	earliest := int64(never)
	for _, v := range slices.Backward(versions) {
		earliest = min(earliest, known[v])
		g.deadline[v] = earliest
	}
	g.next = func(v uint32) uint32 {
		i, _ := slices.BinarySearch(versions, v)
		return versions[i]
	}
	slices.SortFunc(g.others, func(a, b *history.Event) int { return cmp.Compare(a.Call, b.Call) })
	return g
}

// fill finds a write for a version. Gaps come in rising order. A write must have been called before its version was known;
// so what can stand for one gap can for all later ones, and it is right to take any.
func (g *gaps) fill(v uint32) bool {
	deadline := g.deadline[g.next(v)]
	for _, w := range g.versioned[v] {
		if w.Call < deadline {
			return true // no other gap can have it
		}
	}
	for g.ready < len(g.others) && g.others[g.ready].Call < deadline {
		g.ready++
	}
	if g.used == g.ready {
		return false
	}
	g.used++
	return true
}
