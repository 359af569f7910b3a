package main

import (
	"net"
	"net/netip"
	"sync"
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
		if peer := peerOf(conn); b.enter(peer) {
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

// peerOf is whose connections are counted together: an address, or the /64 that one household has of IPv6. This computer is nobody.
func peerOf(conn net.Conn) netip.Prefix {
	at, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil || at.Addr().Unmap().IsLoopback() {
		return netip.Prefix{}
	}
	address, bits := at.Addr().Unmap().WithZone(""), 32
	if address.Is6() {
		bits = 64
	}
	p, _ := address.Prefix(bits) // of a valid address, and no more bits than it has
	return p
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
