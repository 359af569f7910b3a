package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"github.com/twinpanel/twinpanel/hub/metrics"
	"github.com/twinpanel/twinpanel/hub/peers"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/internal/netgroup"
	"github.com/twinpanel/twinpanel/twin"
)

// Limits of the MQTT endpoint.
const (
	placeTime        = 3 * time.Second  // from the connection to a place among the newcomers that are served
	connectTime      = 5 * time.Second  // from there to the end of CONNECT, a TLS handshake included
	maxConnectPacket = 64 << 10         // bytes of a CONNECT after its header
	maxPacket        = 512 << 10        // bytes of any later packet after its header
	writeTime        = 10 * time.Second // for a peer to take what it is sent
	recheckTime      = 5 * time.Minute  // between two looks whether the device of a silent connection still exists
	stopTime         = time.Second      // for the last answer, where the hub ends the connection
	acceptPause      = time.Second      // after a connection that could not be accepted
)

// Limits of the number of connections. Fewer are accepted where the process may not
// have so many files, see shares.
//
// Before its CONNECT is accepted, a connection is anybody's, so there are few of
// these. Memory for a CONNECT grows with the bytes that arrive, from piece to piece
// twice as large, and its fields are copied out of it. So the
// worst that strangers can make the hub hold is 2 × maxConnectPacket each, 64 MiB in
// all, and they have to send half as much for it. A broker behind the hub makes that 3 ×, 96 MiB. Over TLS come certificates before it, of which
// crypto/tls takes 256 KiB: 192 MiB in all, while it parses them twice that.
//
// The others wait for their turn. Nothing is read of them, so each takes 7 KiB: 70 MiB in all.
const (
	maxMQTTConns = 20000 // open at the same time; more are closed at once
	maxNewcomers = 512   // of them served before CONNECT is accepted, the take-over pause included
	maxWaiting   = 10000 // more newcomers that wait for a place among these
	maxAtAddress = 64    // newcomers from one address, so that nobody takes all places alone
)

// shares says how many connections of each kind there may be in a process that may
// have so many files open: what the reserve leaves. Each of MQTT takes so many files: two where there is a
// broker behind the hub.
func shares(files, each int) (mqtt, rest, web int) {
	free := max(0, files-fileReserve)
	web = min(webMaxConns, free/8)
	rest = min(restMaxConns, (free-web)/2)
	mqtt = min(maxMQTTConns, (free-web-rest)/each)
	return max(1, mqtt), max(1, rest), max(1, web)
}

// textFault is logged after a panic.
const textFault = "connection ended by a fault of the hub: please report it"

// Why the endpoint ends a connection or has none.
var (
	errClosed = errors.New("hub is closed")
	errFull   = errors.New("there are too many connections")
	errCrowd  = errors.New("there are too many connections from this address")
)

// An endpoint is the hub's MQTT side: a server for MQTT 3.1 and 3.1.1 that
// answers each request on the connection it came on. It knows sessions only as
// long as their connection lasts and passes nothing from one to another, but for
// the [notices] that a document has changed. What is not about twins it refuses, or a [relay] for
// each session passes it on to a broker.
//
// A connection costs one goroutine, which reads a packet, does what it asks,
// writes the answer and only then reads on. So the requests of a connection
// keep their order, a client that floods waits for itself, and a client that
// doesn't read is dropped after writeTime without anybody else noticing.
type endpoint struct {
	registry    registry.Registry
	peers       peers.Link // nil = there are no other hubs
	otherTopics OtherTopics
	origins     []string
	do          doFunc
	list        listFunc
	broker      *broker // behind the hub; nil = none
	tlsReason   func(text string) string
	seen        *seen
	logins      *logins
	metrics     *metrics.Metrics
	log         *quietLog
	closing     chan struct{}

	maxConns   int           // sessions
	maxWaiting int           // of them
	places     chan struct{} // holds one for each newcomer that is served; who comes next is the first to wait

	conns sync.WaitGroup // connections being served

	mu        sync.Mutex
	closed    bool
	listeners map[net.Listener]struct{}
	sessions  map[*session]struct{} // all of them, also before CONNECT
	plain     int                   // sessions of clients that are no device
	newcomers int                   // sessions before CONNECT is accepted, also those that wait for a place
	addresses map[netip.Prefix]int  // of them, how many of each address that counts, see package netgroup
	devices   map[twin.ID]*device
}

// A doFunc is [Hub.do]. It bounds its own time, and doesn't keep the payload.
type doFunc func(context.Context, *session, twin.ID, twin.Name, twin.Method, []byte) (twin.Document, error)

// A listFunc is [Hub.list]. It bounds its own time.
type listFunc func(context.Context, *session, twin.ID) ([]twin.Name, error)

// newEndpoint is the one of a hub, with so many connections at a time.
func newEndpoint(h *Hub, c Config, conns int) *endpoint {
	e := &endpoint{
		registry:    c.Registry,
		peers:       c.Peers,
		otherTopics: c.OtherTopics,
		origins:     c.Origins,
		do:          h.do,
		list:        h.list,
		tlsReason:   h.tlsReason,
		seen:        h.seen,
		logins:      h.logins,
		metrics:     h.metrics,
		log:         h.log,
		closing:     make(chan struct{}),
		maxConns:    conns,
		maxWaiting:  maxWaiting,
		places:      make(chan struct{}, maxNewcomers),
		listeners:   make(map[net.Listener]struct{}),
		sessions:    make(map[*session]struct{}),
		addresses:   make(map[netip.Prefix]int),
		devices:     make(map[twin.ID]*device),
	}
	if c.Upstream != nil {
		e.broker = newBroker(*c.Upstream, h.log)
	}
	return e
}

// serve accepts connections until the listener is closed, or the endpoint, which is
// no error. It closes the listener in any case. Whatever else goes wrong may pass:
// the system is out of something, a client has left already, a filter said no.
func (e *endpoint) serve(l net.Listener) error {
	defer l.Close()
	if !e.addListener(l) {
		return nil
	}
	defer e.removeListener(l)
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			if s := e.begin(conn); s != nil {
				go e.run(s)
			}
		case e.isClosed():
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accepting MQTT connections: %w", err)
		default:
			e.log.warn("", "connection not accepted", "error", err)
			select {
			case <-time.After(acceptPause):
			case <-e.closing:
			}
		}
	}
}

// serveConn serves one connection and returns when it has ended.
func (e *endpoint) serveConn(conn net.Conn) {
	if s := e.begin(conn); s != nil {
		e.run(s)
	}
}

// close stops listening and ends all connections. It waits for requests under
// way, which still get their answer.
func (e *endpoint) close() {
	e.mu.Lock()
	if !e.closed {
		e.closed = true
		close(e.closing)
	}
	for l := range e.listeners {
		l.Close()
	}
	for s := range e.sessions {
		s.stop(errClosed)
	}
	e.mu.Unlock()
	e.conns.Wait()
}

func (e *endpoint) isClosed() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closed
}

func (e *endpoint) addListener(l net.Listener) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.listeners[l] = struct{}{}
	}
	return !e.closed
}

func (e *endpoint) removeListener(l net.Listener) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.listeners, l)
}

// begin makes a session of a connection, or closes it and returns nil where the
// endpoint is closed or full. A session that has begun must be run.
func (e *endpoint) begin(conn net.Conn) *session {
	s := newSession(e, conn)
	s.address = netgroup.OfRemote(conn.RemoteAddr().String())
	e.mu.Lock()
	crowd := e.addresses[s.address]
	var reason error
	switch {
	case e.closed:
		reason = errClosed
	case len(e.sessions) >= e.maxConns, e.newcomers >= cap(e.places)+e.maxWaiting:
		reason = errFull
	case crowd >= maxAtAddress:
		reason = errCrowd
	default:
		defer e.mu.Unlock()
		e.sessions[s] = struct{}{}
		e.arrived(s, 1)
		e.conns.Add(1)
		return s
	}
	e.mu.Unlock()
	tellReason(conn, reason)
	conn.Close()
	switch reason {
	case errFull:
		e.metrics.Connect("full")
		e.logFull(conn)
	case errCrowd:
		e.metrics.Connect("full")
		e.log.stranger(slog.LevelWarn, s.address.String(), "connection closed: too many of its address are before CONNECT", "remote", conn.RemoteAddr(), "connections", crowd)
	}
	return nil
}

// logFull is about a connection that is closed because there are too many.
func (e *endpoint) logFull(conn net.Conn) {
	devices, plain, newcomers := e.connections()
	e.log.warn("connections", "connection closed: there are too many", "remote", conn.RemoteAddr(), "connections", devices+plain+newcomers, "before_connect", newcomers)
}

// arrived counts s among the newcomers (1), or no more (-1). endpoint.mu is held.
func (e *endpoint) arrived(s *session, n int) {
	e.newcomers += n
	if s.placed {
		s.placed = false
		<-e.places
	}
	if !s.address.IsValid() {
		return
	}
	if e.addresses[s.address] += n; e.addresses[s.address] == 0 {
		delete(e.addresses, s.address)
	}
}

// run serves a session to its end. A panic ends this connection only: what one
// client sends must not stop the alarms of all others.
func (e *endpoint) run(s *session) {
	defer e.conns.Done()
	defer func() {
		s.conn.Close()
		if ws, ok := s.conn.(*webSocketConn); ok && s.device == "" {
			<-ws.carried // a stranger counts until he is gone
		}
		if r := s.relay.Load(); r != nil {
			r.close()
		}
		s.notices.close()
		e.leave(s)
		if p := recover(); p != nil {
			s.logPanic(p)
		}
	}()
	s.serve()
}

// logPanic is called while the stack still shows where it happened.
func (s *session) logPanic(p any) {
	s.log(slog.LevelError, textFault,
		"panic", p, "stack", string(debug.Stack()))
}
