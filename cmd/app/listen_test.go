package main

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
)

// A queue is a listener whose connections a test makes.
type queue struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (q *queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.closed:
		return nil, io.EOF
	}
}

func (q *queue) Close() error   { close(q.closed); return nil }
func (q *queue) Addr() net.Addr { return nil }

// A caller is a connection of somebody.
type caller struct {
	net.Conn
	from net.TCPAddr
}

func (c *caller) RemoteAddr() net.Addr { return &c.from }

// A hall is a bounded listener whose server keeps all connections.
type hall struct {
	*boundedListener
	queue   *queue
	entered chan net.Conn
}

func newHall(t *testing.T) *hall {
	q := &queue{make(chan net.Conn, 1000), make(chan struct{})}
	h := &hall{newBoundedListener(q), q, make(chan net.Conn, 1000)}
	go func() {
		defer close(h.entered)
		for {
			conn, err := h.Accept()
			if err != nil {
				return
			}
			h.entered <- conn
		}
	}()
	t.Cleanup(func() {
		h.Close()
		if err := h.Close(); err != nil {
			t.Errorf("closing twice: %v", err)
		}
		for range h.entered {
		}
	})
	return h
}

// call makes connections from an address, and returns those that were let in.
func (h *hall) call(t *testing.T, n int, from string) (in []net.Conn) {
	t.Helper()
	for range n {
		here, there := net.Pipe()
		t.Cleanup(func() { here.Close() })
		h.queue.conns <- &caller{there, net.TCPAddr{IP: net.ParseIP(from), Port: 50000}}
	}
	synctest.Wait()
	for len(h.entered) > 0 {
		in = append(in, <-h.entered)
	}
	return in
}

func TestListenerBoundsAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t)
		for _, tt := range []struct {
			from string
			want int
		}{
			{"192.0.2.7", maxPeerConns},
			{"192.0.2.7", 0},
			{"::ffff:192.0.2.7", 0},
			{"192.0.2.8", 10},
			{"2001:db8::1", 10},
			{"2001:db8::ffff:1", maxPeerConns - 10}, // of the same household
		} {
			n := 10
			if tt.want > n {
				n = maxPeerConns + 10
			}
			if in := h.call(t, n, tt.from); len(in) != tt.want {
				t.Errorf("%d of %s got in, want %d", len(in), tt.from, tt.want)
			}
		}
	})
}

func TestListenerBoundsConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t)
		in := h.call(t, maxConns+10, "127.0.0.1") // a proxy's
		if len(in) != maxConns {
			t.Fatalf("%d got in, want %d", len(in), maxConns)
		}
		for range 2 {
			in[0].Close() // twice gives one place back
		}
		if more := h.call(t, 0, ""); len(more) != 1 {
			t.Errorf("%d got in after one had left", len(more))
		}
		for _, conn := range in[1:] {
			conn.Close()
		}
		if more := h.call(t, 0, ""); len(more) != 9 {
			t.Errorf("%d got in after all had left, want 9", len(more))
		}
	})
}
