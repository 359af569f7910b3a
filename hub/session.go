package hub

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

// How a connection ends. Those that a client's author or operator has to act
// on say what to do.
var (
	errBye        = errors.New("client disconnected")
	errGone       = errors.New("connection lost")
	errSilent     = errors.New("nothing heard for one and a half keep-alive intervals")
	errSlowPacket = fmt.Errorf("packet not complete within %v", packetTime)
	errNotReading = fmt.Errorf("client took nothing for %v", writeTime)
	errTooLarge   = fmt.Errorf("packet longer than %d bytes", maxPacket)
	errUnexpected = errors.New("packet of a type that a client has no reason to send")
	errQoS2       = errors.New("publish at QoS 2: use QoS 0 or 1")
	errRetain     = errors.New("publish with the retain flag: the hub keeps no messages, clear the flag")
	errOtherTopic = errors.New("publish outside " + twin.Prefix + ": the hub is no broker; --other-topics drop ignores such messages")
	errNoTwin     = errors.New("a request for a twin's document from a client of the broker that is no device: neither its client id nor its user name is a device's id, see hub device list")
	errOutcome    = errors.New("outcome of a write is unknown, so neither answer would be true")
	errUndecided  = errors.New("request failed by the hub's own trouble, so an acknowledgement would not be true")
)

// A session is one connection of a client, from the first byte to the last.
//
// Its goroutine alone uses the fields above stopping. Any goroutine may write
// and stop. Where there is a broker behind the hub, see relay for the rest.
type session struct {
	endpoint *endpoint
	conn     net.Conn
	in       packetReader

	device    twin.ID // empty until CONNECT has shown it, and where it is a client of the broker's alone
	proof     proof   // by which it is that device
	name      string  // of the device
	clientID  string
	multiple  bool // the device may have several connections
	keepAlive time.Duration
	filters   filters
	requests  int // answered or not
	dropped   int // publishes without any effect
	ahead     ahead

	address netip.Prefix // that it counts for as a newcomer, see package netgroup
	placed  bool         // is one of the newcomers that are served

	// epoch is the one of [registry.Device] that the connection was made under. Its own goroutine sets
	// it, once, with endpoint.mu held.
	epoch int64

	// Guarded by endpoint.mu.
	pausing  bool // before its CONNACK, see takeOverPause
	admitted bool // CONNECT is accepted: no newcomer any more

	stopping sync.Once
	reason   error         // to end, good once stopped is closed
	stopped  chan struct{} // closed when the session has to end
	ended    chan struct{} // closed when it has ended

	notices notices

	out   sender
	relay atomic.Pointer[relay] // what leads on to the broker; nil = there is none, or not yet
}

func newSession(e *endpoint, conn net.Conn) *session {
	conn = prompt(conn)
	s := &session{endpoint: e, conn: conn, epoch: unknownEpoch, stopped: make(chan struct{}), ended: make(chan struct{})}
	s.in.source, s.out = s, newSender(s.writeNow)
	return s
}

// serve runs the session to its end and logs it.
func (s *session) serve() {
	err := s.takePlace()
	if err == nil {
		err = s.apart(s.connect)
	}
	s.endpoint.metrics.Connect(connectOutcome(err))
	if err != nil {
		tellReason(s.conn, err)
		s.logRefused(err)
		return
	}
	err = s.loop()
	if errors.Is(err, errFault) { // is logged
		return
	}
	tellReason(s.conn, err)
	if byBroker(err) {
		s.logBroker("disconnected", err)
		return
	}
	level := slog.LevelInfo
	if isFault(err) {
		level = slog.LevelWarn
	}
	s.log(level, s.who()+" disconnected", "reason", err, "requests", s.requests, "dropped", s.dropped)
}

// who is at the other end, in a word: a device, or a client of the broker's that is none.
func (s *session) who() string {
	if s.device == "" {
		return "client"
	}
	return "device"
}

// isFault tells whether a connection ended by somebody's fault, as opposed to
// what happens to connections on any day.
func isFault(err error) bool {
	for _, usual := range []error{errBye, errGone, errSilent, errTakenOver, errOld, errRemoved, errClosed} {
		if errors.Is(err, usual) {
			return false
		}
	}
	return !isRefused(err)
}

// log writes a line about the session's device, or about its address as long as
// there is no device.
func (s *session) log(level slog.Level, msg string, attrs ...any) {
	log := s.endpoint.log
	if s.device == "" {
		log.stranger(level, hostOf(s.conn.RemoteAddr().String()), msg, append(s.attrs(), attrs...)...)
		return
	}
	key := logKey{logBudget{level: level}, string(s.device)}
	log.write(key, msg, append(s.attrs(), attrs...))
}

// attrs say in the log which session it is about.
func (s *session) attrs() []any {
	if s.device == "" {
		return []any{"remote", s.conn.RemoteAddr()}
	}
	return []any{"device", s.name, "id", shortID(s.device)}
}

// loop does what the client asks, packet by packet, until something ends it.
func (s *session) loop() error {
	for !s.isStopped() {
		var by time.Time
		if s.keepAlive > 0 {
			by = time.Now().Add(s.keepAlive + s.keepAlive/2) // [MQTT-3.1.2-24]
		}
		if err := s.await(by); err != nil {
			return err
		}
		first, length, err := s.in.header(by)
		if err != nil {
			return s.readError(err)
		}
		if err := s.take(first, length); err != nil {
			return err
		}
		if s.in.begun() {
			runtime.Gosched() // others' packets come between
		}
	}
	return s.reason
}

// take takes the rest of a packet and does what it asks.
func (s *session) take(first byte, length int) error {
	if s.device != "" {
		s.endpoint.seen.device(s.device)
	}
	if r := s.relay.Load(); r != nil && first>>4 == packetPublish {
		if twins, err := s.in.isTwins(length); err != nil {
			return s.readError(err)
		} else if !twins {
			return r.publish(first, length)
		}
	}
	if length > maxPacket {
		return errTooLarge
	}
	body, err := s.in.body(length)
	if err != nil {
		return s.readError(err)
	}
	return s.handle(first, body)
}

// await waits for the next packet to begin, at the latest until by (zero = without
// limit). Every recheckTime it looks whether the device may still use the connection: a
// client with a long keep-alive, or with none, may say nothing for days.
func (s *session) await(by time.Time) error {
	for {
		if time.Since(s.proof.checked) >= recheckTime {
			if err := s.verify(); err != nil {
				return err
			}
		}
		check := s.proof.checked.Add(recheckTime)
		if !by.IsZero() && by.Before(check) {
			check = by
		}
		err := s.in.wait(check)
		switch {
		case err == nil:
			return nil
		case s.isStopped(), check.Equal(by), !errors.Is(err, os.ErrDeadlineExceeded):
			return s.readError(err)
		}
	}
}

// handle does what one packet asks. Every error ends the connection.
func (s *session) handle(first byte, body []byte) error {
	flags := first & 0x0f
	switch first >> 4 {
	case packetPublish:
		p, err := decodePublish(flags, body)
		if err != nil {
			return err
		}
		return s.publish(p)
	case packetSubscribe:
		p, err := decodeSubscribe(flags, body)
		if err != nil {
			return err
		}
		return s.subscribe(p)
	case packetUnsubscribe:
		p, err := decodeUnsubscribe(flags, body)
		if err != nil {
			return err
		}
		return s.unsubscribe(p)
	case packetPingreq:
		if err := decodeEmpty(flags, body); err != nil {
			return err
		}
		return s.ping()
	case packetDisconnect:
		if err := decodeEmpty(flags, body); err != nil {
			return err
		}
		if r := s.relay.Load(); r != nil {
			r.bye()
		}
		return errBye
	case packetPuback, packetPubrec, packetPubrel, packetPubcomp:
		if r := s.relay.Load(); r != nil {
			return r.acknowledge(first, body)
		}
	}
	return errUnexpected // a second CONNECT among them [MQTT-3.1.0-2]
}

// stop makes the session end. A request under way is finished, and the client has
// stopTime to take its answer.
func (s *session) stop(reason error) {
	s.stopping.Do(func() {
		s.reason = reason
		close(s.stopped)
		s.conn.SetReadDeadline(time.Unix(1, 0)) // long past: wakes the reader
		s.conn.SetWriteDeadline(time.Now().Add(stopTime))
		if r := s.relay.Load(); r != nil {
			r.interrupt()
		}
	})
}

func (s *session) isStopped() bool {
	select {
	case <-s.stopped:
		return true
	default:
		return false
	}
}

// readBy implements timedReader. Looking at stopped after the deadline is set
// makes sure that this deadline can't hide the one that stop sets.
func (s *session) readBy(b []byte, by time.Time) (int, error) {
	s.conn.SetReadDeadline(by)
	if s.isStopped() {
		return 0, s.reason
	}
	return s.conn.Read(b)
}

// readError says in our words why there is nothing more to read.
func (s *session) readError(err error) error {
	var malformed *malformedError
	switch {
	case s.isStopped():
		return s.reason
	case errors.As(err, &malformed):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded) && s.in.waiting:
		return errSilent
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errSlowPacket
	case errors.Is(err, io.EOF):
		return errGone
	}
	return fmt.Errorf("%w: %w", errGone, err)
}

// write sends b in one piece. After an error nothing more is sent.
func (s *session) write(b []byte) error { return s.out.packet(b) }

// writeNow is for out.
func (s *session) writeNow(b []byte) error {
	s.conn.SetWriteDeadline(time.Now().Add(writeTime))
	if s.isStopped() { // see readBy
		s.conn.SetWriteDeadline(time.Now().Add(stopTime))
	}
	_, err := s.conn.Write(b)
	switch {
	case err == nil:
		if _, ok := s.conn.(promptConn); ok {
			s.conn.SetWriteDeadline(time.Time{}) // reading TLS may have to write
		}
		return nil
	case s.isStopped():
		return s.reason
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errNotReading
	}
	return fmt.Errorf("%w: %w", errGone, err)
}
