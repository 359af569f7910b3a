package graphite

// pointOverhead is about what the runtime keeps for a point beside its bytes.
const pointOverhead = 48

// A queue holds encoded points in order.
type queue struct {
	points [][]byte
	first  int // of points: those before it are gone
	size   int // bytes
}

func (q *queue) len() int { return len(q.points) - q.first }

func (q *queue) push(point []byte) {
	if q.first > len(q.points)/2 {
		n := copy(q.points, q.points[q.first:])
		clear(q.points[n:])
		q.points, q.first = q.points[:n], 0
	}
	q.points = append(q.points, point)
	q.size += cap(point) + pointOverhead
}

// pop takes the oldest point out; there must be one.
func (q *queue) pop() []byte {
	point := q.points[q.first]
	q.points[q.first] = nil
	q.first++
	q.size -= cap(point) + pointOverhead
	if q.len() == 0 {
		*q = queue{} // a flood's memory goes with it
	}
	return point
}
