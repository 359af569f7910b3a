package graphite

// A queue holds points in order.
type queue struct {
	points []queued
	first  int // of points: those before it are gone
	size   int // bytes
}

type queued struct {
	Point
	size int
}

// sizeOf is the most that a point keeps in memory: about two slots of the queue, of which up to
// half are empty, and a map that has room for eight tags. Tags count for each point, though those
// of one write share them: with one number in each write there is nothing to share.
func sizeOf(p Point) int {
	const point, key, tags, tag = 192, 24, 320, 64 // without their texts
	n := point + len(p.Name)
	if len(p.Tags) > 0 {
		n += tags
	}
	for _, k := range p.Path {
		n += key + len(k)
	}
	for name, value := range p.Tags {
		n += tag + len(name) + len(value)
	}
	return n
}

func (q *queue) len() int { return len(q.points) - q.first }

func (q *queue) push(p Point) {
	if q.first > len(q.points)/2 {
		n := copy(q.points, q.points[q.first:])
		clear(q.points[n:])
		q.points, q.first = q.points[:n], 0
	}
	size := sizeOf(p)
	q.points = append(q.points, queued{p, size})
	q.size += size
}

// pop takes the oldest point out; there must be one.
func (q *queue) pop() queued {
	oldest := q.points[q.first]
	q.points[q.first] = queued{}
	q.first++
	q.size -= oldest.size
	if q.len() == 0 {
		*q = queue{} // a flood's memory goes with it
	}
	return oldest
}
