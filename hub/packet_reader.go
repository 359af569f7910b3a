package hub

import "time"

const (
	smallPacket = 512              // bytes of a packet that need no memory beside the connection's own
	firstPiece  = 4 << 10          // bytes that a larger packet gets at first
	packetTime  = 60 * time.Second // from a packet's first byte to its last
)

// A packetReader cuts a connection's bytes into packets. It keeps a small
// buffer, enough for most requests; a larger packet gets memory of its own,
// which grows with the bytes that arrive, not with the length that is claimed.
// What is only passed on, see relay, is never in memory as a whole.
type packetReader struct {
	source  timedReader
	by      time.Time // when the packet must be complete; zero = no limit
	waiting bool      // nothing of the packet is here yet
	start   int       // small[start:end] has arrived and was not taken
	end     int
	small   [smallPacket]byte

	head    [5]byte // the header that was taken last, as it came
	headLen int
}

// A timedReader reads what there is, at the latest until a given time (zero =
// without limit). It returns an error or at least one byte.
type timedReader interface {
	readBy(b []byte, by time.Time) (int, error)
}

// header waits for a packet and returns its first byte and remaining length.
// The whole packet must arrive by then, and within packetTime once it has begun.
func (r *packetReader) header(by time.Time) (first byte, length int, err error) {
	r.by, r.waiting = by, r.start == r.end
	for i := range 4 {
		if err := r.need(i + 2); err != nil {
			return 0, 0, err
		}
		c := r.small[r.start+i+1]
		length |= int(c&0x7f) << (7 * i)
		if c < 0x80 {
			first = r.small[r.start]
			r.headLen = copy(r.head[:], r.small[r.start:r.start+i+2])
			r.start += i + 2
			return first, length, nil
		}
	}
	return 0, 0, errLength
}

// wait returns when something of a packet is here, and takes nothing of it.
func (r *packetReader) wait(by time.Time) error {
	if r.start < r.end {
		return nil
	}
	r.waiting = true
	return r.more(by)
}

// begun tells whether something of the next packet is here.
func (r *packetReader) begun() bool { return r.start < r.end }

// room tells whether the small buffer can take more.
func (r *packetReader) room() bool { return r.end-r.start < len(r.small) }

// more reads once into what room the small buffer has, see room.
func (r *packetReader) more(by time.Time) error {
	if r.end == len(r.small) {
		r.end = copy(r.small[:], r.small[r.start:r.end])
		r.start = 0
	}
	if r.start == r.end {
		r.start, r.end = 0, 0
	}
	n, err := r.source.readBy(r.small[r.end:], by)
	r.end += n
	return err
}

// body returns the rest of a packet, of the length its header gave. The bytes
// are good until the next header.
func (r *packetReader) body(length int) ([]byte, error) {
	if length <= len(r.small) {
		if err := r.need(length); err != nil {
			return nil, err
		}
		b := r.small[r.start : r.start+length]
		r.start += length
		return b, nil
	}
	b := make([]byte, min(length, firstPiece))
	n := copy(b, r.small[r.start:r.end])
	r.start += n
	for n < length {
		if n == len(b) {
			b = append(make([]byte, 0, min(length, 2*n)), b...)
			b = b[:cap(b)]
		}
		k, err := r.read(b[n:])
		if err != nil {
			return nil, err
		}
		n += k
	}
	return b, nil
}

// need reads until n bytes are in the small buffer.
func (r *packetReader) need(n int) error {
	if r.start == r.end {
		r.start, r.end = 0, 0
	}
	if r.start+n > len(r.small) {
		r.end = copy(r.small[:], r.small[r.start:r.end])
		r.start = 0
	}
	for r.end-r.start < n {
		k, err := r.read(r.small[r.end:])
		if err != nil {
			return err
		}
		r.end += k
	}
	return nil
}

// read reads once. The clock of packetTime starts with the first read that
// finds a packet begun, so a packet that comes in one piece costs one deadline.
func (r *packetReader) read(b []byte) (int, error) {
	if !r.waiting {
		if limit := time.Now().Add(packetTime); r.by.IsZero() || limit.Before(r.by) {
			r.by = limit
		}
	}
	n, err := r.source.readBy(b, r.by)
	if n > 0 {
		r.waiting = false
	}
	return n, err
}
