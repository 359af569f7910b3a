package hub

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

// passPiece is how many bytes of a packet are in memory while it is passed on.
const passPiece = 8 << 10

// pieces are reused: a connection holds one only while it passes a packet on.
var pieces = sync.Pool{New: func() any { return new([passPiece]byte) }}

// taken is the header that was taken last.
func (r *packetReader) taken() []byte { return r.head[:r.headLen] }

// isTwins tells, of a PUBLISH whose header was just taken, whether its topic is below $SCW/twins/.
// It takes nothing.
func (r *packetReader) isTwins(length int) (bool, error) {
	const prefix = len(twin.Prefix)
	if length < 2+prefix {
		return false, nil
	}
	if err := r.need(2 + prefix); err != nil {
		return false, err
	}
	b := r.small[r.start:]
	return int(binary.BigEndian.Uint16(b)) >= prefix && string(b[2:2+prefix]) == twin.Prefix, nil
}

// publishHead takes a PUBLISH up to its payload, and checks it. p has no payload; head is what
// was taken, and good until something more is.
func (r *packetReader) publishHead(flags byte, length int) (head []byte, p publish, err error) {
	if length < 2 {
		return nil, p, errShort
	}
	if err := r.need(2); err != nil {
		return nil, p, err
	}
	n := 2 + int(binary.BigEndian.Uint16(r.small[r.start:]))
	if flags>>1&3 > 0 {
		n += 2 // the packet identifier
	}
	if n > length {
		return nil, p, errShort
	}
	if head, err = r.body(n); err != nil {
		return nil, p, err
	}
	p, err = decodePublish(flags, head)
	return head, p, err
}

// pass hands over the packet whose header was taken last: that header, what was taken behind
// it, and the next length bytes, in pieces of passPiece: so a smaller packet as a whole. Whenever something
// arrives, there is packetTime again for the rest. It stops at the first error, of its own reading or of write.
func (r *packetReader) pass(taken []byte, length int, write func([]byte) error) (readErr, writeErr error) {
	buffer := pieces.Get().(*[passPiece]byte)
	defer pieces.Put(buffer)
	piece := append(append(buffer[:0], r.taken()...), taken...)
	for {
		buffered := r.small[r.start:min(r.end, r.start+length)]
		k := min(len(buffered), cap(piece)-len(piece))
		piece = append(piece, buffered[:k]...)
		r.start, length = r.start+k, length-k
		for length > 0 && len(piece) < cap(piece) {
			r.by = time.Time{}
			free := cap(piece) - len(piece)
			n := len(piece)
			k, err := r.read(piece[n : n+min(length, free)])
			if err != nil {
				return err, nil
			}
			piece, length = piece[:n+k], length-k
		}
		if err := write(piece); err != nil {
			return nil, err
		}
		if length == 0 {
			return nil, nil
		}
		piece = piece[:0]
	}
}

// skip takes the next length bytes of a packet and forgets them.
func (r *packetReader) skip(length int) error {
	readErr, _ := r.pass(nil, length, func([]byte) error { return nil })
	return readErr
}
