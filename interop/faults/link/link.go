// Package link carries TCP connections over a network that can be cut, blocked, made one-way and slowed at any moment.
package link

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// A State is what a link does with the bytes that come to it.
type State struct {
	Cut   bool          // connections are reset, also those that come
	Hold  bool          // nothing gets through; what was sent meanwhile arrives later
	Mute  bool          // the same, but only for what the server says
	Delay time.Duration // for each piece of data, in each direction
	Rate  int           // bytes a second, in each direction of each connection; 0 = as fast as it goes
}

const (
	pieceSize   = 16 << 10 // bytes that are read at once
	dialTimeout = 5 * time.Second
)

// A Link leads connections to their servers. The zero value isn't usable; see [New].
type Link struct {
	mu      sync.Mutex
	state   State
	changed chan struct{} // closed when state changes
	pairs   map[*pair]struct{}
	work    sync.WaitGroup
	closed  bool
}

// A pair is a client's connection and the one to its server.
type pair struct {
	client, server *net.TCPConn
	over           chan struct{}
	once           sync.Once
}

// New returns a link that lets everything through.
func New() *Link {
	return &Link{changed: make(chan struct{}), pairs: map[*pair]struct{}{}}
}

// Set makes the link behave so from now on.
func (l *Link) Set(s State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state = s
	close(l.changed)
	l.changed = make(chan struct{})
	if s.Cut {
		l.reset()
	}
}

// Reset resets all connections there are.
func (l *Link) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reset()
}

func (l *Link) reset() {
	for p := range l.pairs {
		p.reset()
	}
}

func (l *Link) get() (State, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state, l.changed
}

// ErrCut says that a link is cut at the moment.
var ErrCut = errors.New("link is cut")

// Carry connects a client with a server and returns; the connection then lasts until one of both, or the link, ends it.
// After an error the client is as it was.
func (l *Link) Carry(client *net.TCPConn, server string) error {
	if s, _ := l.get(); s.Cut {
		return ErrCut
	}
	conn, err := net.DialTimeout("tcp", server, dialTimeout)
	if err != nil {
		return err
	}
	p := &pair{client: client, server: conn.(*net.TCPConn), over: make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state.Cut || l.closed {
		conn.Close()
		return ErrCut
	}
	l.pairs[p] = struct{}{}
	var both sync.WaitGroup
	both.Go(func() { l.copy(p, p.server, p.client, false) })
	both.Go(func() { l.copy(p, p.client, p.server, true) })
	l.work.Go(func() {
		both.Wait()
		p.end()
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.pairs, p)
	})
	return nil
}

// copy passes data on until there is no more, and then tells so.
func (l *Link) copy(p *pair, to, from *net.TCPConn, answers bool) {
	b := make([]byte, pieceSize)
	for {
		n, err := from.Read(b)
		if n > 0 && !l.pass(p, n, answers) {
			return
		}
		if n > 0 {
			if _, err := to.Write(b[:n]); err != nil {
				p.reset()
				return
			}
		}
		if err != nil {
			if !l.pass(p, 0, answers) { // also an end takes its time
				return
			}
			if err != io.EOF || to.CloseWrite() != nil {
				p.reset()
			}
			return
		}
	}
}

// pass waits until n bytes may go on. It is false when the connection has ended meanwhile.
func (l *Link) pass(p *pair, n int, answers bool) bool {
	waited := false
	for {
		s, changed := l.get()
		var wait <-chan time.Time
		switch slow := s.Delay + s.transfer(n); {
		case s.Hold, s.Mute && answers:
		case slow == 0 || waited:
			return !p.isOver()
		default:
			wait = time.After(slow)
		}
		select {
		case <-wait:
			waited = true
		case <-changed:
		case <-p.over:
			return false
		}
	}
}

// transfer is how long n bytes take.
func (s State) transfer(n int) time.Duration {
	if s.Rate == 0 {
		return 0
	}
	return time.Duration(n) * time.Second / time.Duration(s.Rate)
}

// Listen takes connections on a loopback port and carries them to what server returns at that moment, until ctx ends.
// A connection that cannot be carried is reset.
func (l *Link) Listen(ctx context.Context, server func() string) (address string, err error) {
	return listen(ctx, &l.work, func(c *net.TCPConn) error { return l.Carry(c, server()) })
}

// Close resets everything and waits until it is gone. Listeners must have ended before.
func (l *Link) Close() {
	l.mu.Lock()
	l.closed = true
	l.reset()
	l.mu.Unlock()
	l.work.Wait()
}

// listen gives each connection on a loopback port to carry, and resets those that it returns an error for.
func listen(ctx context.Context, work *sync.WaitGroup, carry func(*net.TCPConn) error) (address string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	work.Go(func() {
		defer context.AfterFunc(ctx, func() { listener.Close() })()
		defer listener.Close()
		for {
			c, err := listener.Accept()
			if err != nil {
				return // ctx has ended
			}
			work.Go(func() {
				conn := c.(*net.TCPConn)
				if carry(conn) != nil {
					conn.SetLinger(0)
					conn.Close()
				}
			})
		}
	})
	return listener.Addr().String(), nil
}

func (p *pair) isOver() bool {
	select {
	case <-p.over:
		return true
	default:
		return false
	}
}

// end closes both connections.
func (p *pair) end() {
	p.once.Do(func() {
		close(p.over)
		p.client.Close()
		p.server.Close()
	})
}

// reset does so with a reset: what is under way is lost.
func (p *pair) reset() {
	p.client.SetLinger(0)
	p.server.SetLinger(0)
	p.end()
}
