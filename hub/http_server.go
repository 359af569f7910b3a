package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Limits of the servers under the REST API and under WebSocket and console.
const (
	restMaxConns      = 1000     // connections open at the same time; more wait to be accepted
	webMaxConns       = 128      // likewise; a WebSocket counts until it is one, then among MQTT's
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
// It forgets connections that have become WebSockets.
type httpServer struct {
	name    string // of what it serves, for errors and the log
	http    *http.Server
	log     *slog.Logger
	closing context.Context // ends when the server is closed
	close   context.CancelFunc
	slots   chan struct{} // holds one for each open connection

	mu    sync.Mutex
	conns map[net.Conn]http.ConnState // open ones
}

// newHTTPServer returns a server with so many connections at a time. The caller sets its handler.
func newHTTPServer(name string, conns int, log *slog.Logger) *httpServer {
	s := &httpServer{
		name:  name,
		log:   log,
		slots: make(chan struct{}, conns),
		conns: make(map[net.Conn]http.ConnState),
	}
	s.closing, s.close = context.WithCancel(context.Background())
	s.http = &http.Server{
		ReadHeaderTimeout: restHeaderTimeout,
		ReadTimeout:       restReadTimeout,
		WriteTimeout:      restWriteTimeout,
		IdleTimeout:       restIdleTimeout,
		MaxHeaderBytes:    restMaxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ConnState:         s.track,
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
	s.log.Warn(s.name+" requests cut off at the end", "connections", open, "after", restCloseTimeout)
	return s.http.Close()
}

// track is told of every change of a connection. http.Server.Shutdown closes idle
// connections, but gives a new one five seconds to ask for something.
func (s *httpServer) track(conn net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state {
	case http.StateClosed, http.StateHijacked:
		delete(s.conns, conn)
		return
	case http.StateNew:
		if s.closing.Err() != nil {
			conn.Close()
		}
	}
	s.conns[conn] = state
}

// closeFresh closes the connections on which nothing has been asked yet.
func (s *httpServer) closeFresh() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn, state := range s.conns {
		if state == http.StateNew {
			conn.Close()
		}
	}
}

// A slotListener accepts as many connections as its server has slots.
type slotListener struct {
	net.Listener
	server *httpServer
}

func (l *slotListener) Accept() (net.Conn, error) {
	select {
	case l.server.slots <- struct{}{}:
	case <-l.server.closing.Done():
		return nil, net.ErrClosed
	}
	release := sync.OnceFunc(func() { <-l.server.slots })
	conn, err := l.Listener.Accept()
	if err != nil {
		release()
		return nil, err
	}
	return &slotConn{conn, release}, nil
}

// A slotConn gives its slot back when it is closed or becomes a WebSocket.
type slotConn struct {
	net.Conn
	release func()
}

// NetConn is the connection below, as crypto/tls has it.
func (c *slotConn) NetConn() net.Conn { return c.Conn }

func (c *slotConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
