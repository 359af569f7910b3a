package link

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
)

// A Backend is a server behind a balancer, and the link that leads to it.
type Backend struct {
	Link   *Link
	Server func() string // where it is at the moment; empty = nowhere
}

// A Balancer spreads TCP connections over backends, one after the other. It knows nothing of what is spoken on them. A backend that
// takes no connection is passed over.
type Balancer struct {
	backends []Backend
	turn     atomic.Uint32
	work     sync.WaitGroup
}

// NewBalancer returns one that doesn't listen yet.
func NewBalancer(backends ...Backend) *Balancer { return &Balancer{backends: backends} }

// Listen takes connections on a loopback port until ctx ends.
func (b *Balancer) Listen(ctx context.Context) (address string, err error) {
	return listen(ctx, &b.work, b.carry)
}

func (b *Balancer) carry(c *net.TCPConn) (err error) {
	err = ErrCut
	first := int(b.turn.Add(1))
	for i := range b.backends {
		backend := b.backends[(first+i)%len(b.backends)]
		if err = backend.Link.Carry(c, backend.Server()); err == nil {
			return nil
		}
	}
	return err
}

// Wait returns when nothing is left of Listen. Its context must have ended before.
func (b *Balancer) Wait() { b.work.Wait() }
