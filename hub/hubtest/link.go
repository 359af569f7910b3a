package hubtest

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"
)

// CutConnections breaks all open connections. New ones work.
func (h *Hub) CutConnections() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.links {
		l.cut()
	}
}

// BlackHole makes the network take every byte and deliver none, in both
// directions, on connections that are open and on new ones, until it is switched
// off. A connection that has lost bytes never works again.
func (h *Hub) BlackHole(on bool) {
	h.faults.mu.Lock()
	defer h.faults.mu.Unlock()
	h.faults.blackHole = on
}

// DropNotices loses every change notice until it is switched off: the hub is then like one
// that has none, or has lost them.
func (h *Hub) DropNotices(on bool) {
	h.faults.mu.Lock()
	defer h.faults.mu.Unlock()
	h.faults.noNotices = on
}

// DropAnswers loses the next n answers to MQTT requests. The requests themselves
// are done. Change notices are no answers.
func (h *Hub) DropAnswers(n int) {
	h.faults.mu.Lock()
	defer h.faults.mu.Unlock()
	h.faults.drop = n
}

// DelayAnswers makes each answer to an MQTT request arrive d later; 0 ends it.
// Answers that are under way keep their delay, and overtake nothing.
func (h *Hub) DelayAnswers(d time.Duration) {
	h.faults.mu.Lock()
	defer h.faults.mu.Unlock()
	h.faults.delay = d
}

// faults are what the network does at the moment.
type faults struct {
	mu        sync.Mutex
	blackHole bool
	noNotices bool
	drop      int
	delay     time.Duration
}

func (f *faults) swallows() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.blackHole
}

func (f *faults) losesNotices() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.noNotices
}

// answer says what happens to an answer.
func (f *faults) answer() (drop bool, delay time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.drop > 0 {
		f.drop--
		return true, 0
	}
	return false, f.delay
}

// A link is the network between a client and the hub.
type link struct {
	outer, inner net.Conn // towards the client, towards the hub
	faults       *faults
	mqtt         bool
	done         chan struct{}
	cutOnce      sync.Once

	mu   sync.Mutex
	lost bool // bytes were lost: nothing passes any more
}

func newLink(outer, inner net.Conn, f *faults, mqtt bool) *link {
	return &link{outer: outer, inner: inner, faults: f, mqtt: mqtt, done: make(chan struct{})}
}

// cut ends the link; it may be called several times.
func (l *link) cut() {
	l.cutOnce.Do(func() {
		close(l.done)
		l.outer.Close()
		l.inner.Close()
	})
}

// hangUp is called when one side has ended. The other side learns it unless the
// network is a black hole: then it has to find out for itself.
func (l *link) hangUp(side net.Conn) {
	if l.passes() {
		l.cut()
		return
	}
	side.Close()
}

// passes says whether what is under way arrives.
func (l *link) passes() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = l.lost || l.faults.swallows()
	return !l.lost
}

// A parcel is bytes under way to the client.
type parcel struct {
	bytes []byte
	due   time.Time
}

// run carries bytes until either side ends or the link is cut.
func (l *link) run() {
	var wg sync.WaitGroup
	parcels := make(chan parcel, 1024)
	wg.Go(l.carryUp)
	wg.Go(func() { l.collect(parcels) })
	wg.Go(func() { l.deliver(parcels) })
	wg.Wait()
}

// carryUp carries what the client sends.
func (l *link) carryUp() {
	defer l.hangUp(l.outer)
	buf := make([]byte, 4096)
	for {
		n, err := l.outer.Read(buf)
		if err != nil {
			return
		}
		if !l.passes() {
			continue
		}
		if _, err := l.inner.Write(buf[:n]); err != nil {
			return
		}
	}
}

// collect takes what the hub sends at once, so that a delay looks like the network's
// and not like a client that doesn't read.
func (l *link) collect(parcels chan<- parcel) {
	defer close(parcels)
	from := bufio.NewReader(l.inner)
	for {
		next := readChunk
		if l.mqtt {
			next = readPacket
		}
		b, err := next(from)
		if err != nil {
			return
		}
		p := parcel{bytes: b, due: time.Now()}
		if l.mqtt {
			switch topic := topicOf(b); {
			case strings.Contains(topic, "/response/"):
				drop, delay := l.faults.answer()
				if drop {
					continue
				}
				p.due = p.due.Add(delay)
			case topic != "" && l.faults.losesNotices():
				continue
			}
		}
		select {
		case parcels <- p:
		case <-l.done:
			return
		}
	}
}

// deliver hands over what is due, in order.
func (l *link) deliver(parcels <-chan parcel) {
	defer l.hangUp(l.inner)
	for p := range parcels {
		if wait := time.Until(p.due); wait > 0 {
			select {
			case <-time.After(wait):
			case <-l.done:
				return
			}
		}
		if !l.passes() {
			continue
		}
		if _, err := l.outer.Write(p.bytes); err != nil {
			return
		}
	}
}

// readChunk reads what there is.
func readChunk(r *bufio.Reader) ([]byte, error) {
	if _, err := r.Peek(1); err != nil {
		return nil, err
	}
	b := make([]byte, r.Buffered())
	_, err := io.ReadFull(r, b)
	return b, err
}

// readPacket reads one MQTT packet: a byte with its type, the length of the rest in
// groups of seven bits, and the rest.
func readPacket(r *bufio.Reader) ([]byte, error) {
	first, err := r.ReadByte()
	if err != nil {
		return nil, err
	}
	packet := []byte{first}
	for length, shift := 0, 0; ; shift += 7 {
		b, err := r.ReadByte()
		if err != nil {
			return nil, err
		}
		if shift > 21 {
			return nil, errors.New("hub sent a packet length of more than four bytes")
		}
		packet = append(packet, b)
		length |= int(b&0x7f) << shift
		if b < 0x80 {
			header := len(packet)
			packet = append(packet, make([]byte, length)...)
			_, err = io.ReadFull(r, packet[header:])
			return packet, err
		}
	}
}

// topicOf is the topic of a PUBLISH, empty for any other packet.
func topicOf(packet []byte) string {
	if packet[0]>>4 != 3 {
		return ""
	}
	rest := packet[1:]
	for rest[0]&0x80 != 0 { // of the length
		rest = rest[1:]
	}
	rest = rest[1:]
	n := int(binary.BigEndian.Uint16(rest))
	return string(rest[2 : 2+n])
}

// A pipeListener is a net.Listener for net.Pipe.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) dial(ctx context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, syscall.ECONNREFUSED
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements net.Listener.
func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }
