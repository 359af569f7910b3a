package main

import (
	"net"
	"net/netip"
	"sync"

	"github.com/twinpanel/twinpanel/internal/netgroup"
)

// Connections that are open at a time: more wait to be accepted. One address may have a part of them, but for this computer's
// own, which is a reverse proxy's.
const (
	maxConns     = 256
	maxPeerConns = 64
)

// A boundedListener bounds the connections that are open.
type boundedListener struct {
	net.Listener
	slots  chan struct{} // holds one for each connection
	closed chan struct{}
	close  func() error

	mu    sync.Mutex
	peers map[netip.Prefix]int // how many each has
}

func newBoundedListener(l net.Listener) *boundedListener {
	b := &boundedListener{Listener: l, slots: make(chan struct{}, maxConns), closed: make(chan struct{}), peers: make(map[netip.Prefix]int)}
	b.close = sync.OnceValue(func() error {
		close(b.closed)
		return l.Close()
	})
	return b
}

func (b *boundedListener) Close() error { return b.close() }

func (b *boundedListener) Accept() (net.Conn, error) {
	select {
	case b.slots <- struct{}{}:
	case <-b.closed:
		return nil, net.ErrClosed
	}
	for {
		conn, err := b.Listener.Accept()
		if err != nil {
			<-b.slots
			return nil, err
		}
		if peer := netgroup.OfRemote(conn.RemoteAddr().String()); b.enter(peer) {
			return &boundedConn{conn, sync.OnceFunc(func() { b.leave(peer) })}, nil
		}
		conn.Close()
	}
}

// enter counts a connection, unless its peer has enough. The zero prefix is not counted.
func (b *boundedListener) enter(peer netip.Prefix) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.peers[peer] >= maxPeerConns {
		return false
	}
	if peer.IsValid() {
		b.peers[peer]++
	}
	return true
}

func (b *boundedListener) leave(peer netip.Prefix) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.peers[peer]--; b.peers[peer] <= 0 {
		delete(b.peers, peer)
	}
	<-b.slots
}

// A boundedConn gives its place back when it is closed.
type boundedConn struct {
	net.Conn
	leave func()
}

func (c *boundedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
