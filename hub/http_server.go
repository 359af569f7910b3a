package hub

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/twinpanel/twinpanel/internal/netgroup"
)

// Limits of the servers under the REST API and under WebSocket and console.
const (
	restMaxConns      = 1000     // connections open at the same time, half of them from one address; more wait to be accepted
	webMaxConns       = 128      // likewise; a WebSocket counts until it has a place among MQTT's
	restMaxHeader     = 16 << 10 // bytes
	restHeaderTimeout = 5 * time.Second
	restReadTimeout   = 30 * time.Second                                  // a whole request: 512 KiB at 140 kbit/s
	restWriteTimeout  = restReadTimeout + requestTimeout + 20*time.Second // from the end of the header to the end of the answer
	restIdleTimeout   = 2 * time.Minute
	webIdleTimeout    = 10 * time.Second // anybody may load the console and hold a connection by it
	restCloseTimeout  = 5 * time.Second  // for requests under way when the hub is closed
)

// An httpServer serves a handler with every limit set. When it is closed, it waits
// for requests that the store is working on, but for no client: a connection on which
// nothing has been asked yet ends at once, and so does an upload, which then gets errEnding.
// It forgets connections that have become WebSockets. It speaks TLS on the listeners that do, the handshake within
// restHeaderTimeout; who speaks plain HTTP there is told so.
type httpServer struct {
	name    string // of what it serves, for errors and the log
	http    *http.Server
	log     *quietLog
	closing context.Context // ends when the server is closed
	close   context.CancelFunc
	slots   chan struct{} // holds one for each open connection

	mu        sync.Mutex
	conns     map[net.Conn]*httpConn // open ones
	addresses map[netip.Prefix]int   // how many slots each address has that counts, see package netgroup
}

// An httpConn is what a server knows of a connection.
type httpConn struct {
	state http.ConnState
	leave func() // gives the slot back, once
}

// leaveKey is the key of an httpConn's leave in the context of its requests: a WebSocket keeps
// the slot for a while.
type leaveKey struct{}

// newHTTPServer returns a server with so many connections at a time. The caller sets its handler.
func newHTTPServer(name string, conns int, quiet *quietLog, tlsReason func(text string) string) *httpServer {
	s := &httpServer{
		name:      name,
		log:       quiet,
		slots:     make(chan struct{}, conns),
		conns:     make(map[net.Conn]*httpConn),
		addresses: make(map[netip.Prefix]int),
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true) // a WebSocket can't begin on HTTP/2
	s.closing, s.close = context.WithCancel(context.Background())
	s.http = &http.Server{
		ReadHeaderTimeout: restHeaderTimeout,
		ReadTimeout:       restReadTimeout,
		WriteTimeout:      restWriteTimeout,
		IdleTimeout:       restIdleTimeout,
		MaxHeaderBytes:    restMaxHeader,
		ErrorLog:          log.New(httpLog{s.log, tlsReason}, "", 0),
		ConnState:         s.track,
		ConnContext:       s.context,
		Protocols:         &protocols,
	}
	return s
}

// serve accepts connections until the listener fails or the server is closed, which is no error.
func (s *httpServer) serve(l net.Listener) error {
	err := s.http.Serve(&slotListener{Listener: l, server: s})
	if s.closing.Err() != nil {
		return nil
	}
	return fmt.Errorf("accepting %s connections: %w", s.name, err)
}

// shutdown ends the server. Clients that take longer than restCloseTimeout are cut off,
// which is a clean end: theirs is the fault.
func (s *httpServer) shutdown() error {
	s.close()
	s.closeFresh()
	ctx, cancel := context.WithTimeout(context.Background(), restCloseTimeout)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	s.mu.Lock()
	open := len(s.conns)
	s.mu.Unlock()
	s.log.logger.Warn(s.name+" requests cut off at the end", "connections", open, "after", restCloseTimeout)
	return s.http.Close()
}

// track is told of every change of a connection. http.Server.Shutdown closes idle
// connections, but gives a new one five seconds to ask for something.
func (s *httpServer) track(conn net.Conn, state http.ConnState) {
	s.mu.Lock()
	c := s.conns[conn]
	c.state = state
	if state == http.StateClosed || state == http.StateHijacked {
		delete(s.conns, conn)
	}
	if state == http.StateNew && s.closing.Err() != nil {
		conn.Close()
	}
	s.mu.Unlock()
	if state == http.StateClosed {
		c.leave()
	}
}

// context is that of all requests of a connection.
func (s *httpServer) context(ctx context.Context, conn net.Conn) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	return context.WithValue(ctx, leaveKey{}, s.conns[conn].leave)
}

// closeFresh closes the connections on which nothing has been asked yet.
func (s *httpServer) closeFresh() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn, c := range s.conns {
		if c.state == http.StateNew {
			conn.Close()
		}
	}
}

// A slotListener accepts as many connections as its server has slots, half of them at most from
// one address.
type slotListener struct {
	net.Listener
	server *httpServer
}

func (l *slotListener) Accept() (net.Conn, error) {
	s := l.server
	select {
	case s.slots <- struct{}{}:
	case <-s.closing.Done():
		return nil, net.ErrClosed
	}
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			<-s.slots
			return nil, err
		}
		if s.enter(conn) {
			return conn, nil
		}
		conn.Close()
		s.log.stranger(slog.LevelWarn, hostOf(conn.RemoteAddr().String()), s.name+" connection closed: too many of its address", "remote", conn.RemoteAddr())
	}
}

// enter gives a connection the slot that was taken for it, unless its address has enough.
func (s *httpServer) enter(conn net.Conn) bool {
	address := netgroup.OfRemote(conn.RemoteAddr().String())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.addresses[address] >= max(1, cap(s.slots)/2) {
		return false
	}
	if address.IsValid() {
		s.addresses[address]++
	}
	s.conns[conn] = &httpConn{leave: sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.addresses[address]--; s.addresses[address] <= 0 {
			delete(s.addresses, address)
		}
		<-s.slots
	})}
	return true
}

// A slotConn is a connection that became a WebSocket and has a slot until it is closed.
type slotConn struct {
	net.Conn
	leave func()
}

// NetConn is the connection below, as crypto/tls has it.
func (c *slotConn) NetConn() net.Conn { return c.Conn }

func (c *slotConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

// An httpLog takes the lines of net/http's own. Most are about TLS, and anybody can cause those.
type httpLog struct {
	log       *quietLog
	tlsReason func(text string) string // see [Hub.tlsReason]
}

func (l httpLog) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	about, ok := strings.CutPrefix(text, "http: TLS handshake error from ")
	remote, reason, cut := strings.Cut(about, ": ")
	switch {
	case strings.HasPrefix(text, "http: panic"):
		l.log.error("", textFault, "panic", text)
	case !ok || !cut:
		l.log.warn("", "HTTP server", "message", text)
	case reason != "EOF": // a port check
		l.log.stranger(slog.LevelInfo, hostOf(remote), "connection refused", "remote", remote, "reason", l.tlsReason(reason))
	}
	return len(line), nil
}
