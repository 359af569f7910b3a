package link

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// An echo is a server that sends back every line, and counts those that it has seen.
type echo struct {
	address string
	lines   atomic.Int32
	came    chan struct{} // a value for each line
}

func newEcho(t *testing.T) *echo {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	e := &echo{address: l.Addr().String(), came: make(chan struct{}, 100)}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for r := bufio.NewReader(c); ; {
					line, err := r.ReadString('\n')
					if err != nil {
						return
					}
					e.lines.Add(1)
					e.came <- struct{}{}
					io.WriteString(c, line)
				}
			}()
		}
	}()
	return e
}

// lead makes a link to an echo and a connection through it.
func lead(t *testing.T) (*Link, *echo, *client) {
	t.Helper()
	l, e := New(), newEcho(t)
	ctx, stop := context.WithCancel(t.Context())
	address, err := l.Listen(ctx, func() string { return e.address })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		l.Close()
	})
	c := dial(t, address)
	c.say(t)
	c.hear(t)
	<-e.came
	return l, e, c
}

type client struct {
	net.Conn
	address string
	r       *bufio.Reader
}

func dial(t *testing.T, address string) *client {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &client{c, address, bufio.NewReader(c)}
}

func (c *client) say(t *testing.T) {
	t.Helper()
	if _, err := io.WriteString(c, "hello\n"); err != nil {
		t.Fatal(err)
	}
}

func (c *client) hear(t *testing.T) {
	t.Helper()
	if line, err := c.r.ReadString('\n'); err != nil || line != "hello\n" {
		t.Fatalf("heard %q, %v", line, err)
	}
}

// hearsNothing: for a moment nothing comes. What is there to come would come at once.
func (c *client) hearsNothing(t *testing.T) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if line, err := c.r.ReadString('\n'); err == nil {
		t.Fatalf("heard %q", line)
	}
	c.SetReadDeadline(time.Time{})
}

// refuses: a connection to the address is reset, at once or as soon as it is there.
func refuses(t *testing.T, address string) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err == nil {
		defer c.Close()
		_, err = io.ReadAll(c)
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("ended with %v, want a reset", err)
	}
}

// isReset: the connection ends with a reset.
func (c *client) isReset(t *testing.T) {
	t.Helper()
	if _, err := c.r.ReadString('\n'); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("ended with %v, want a reset", err)
	}
}

func TestBlockedLinkDeliversLater(t *testing.T) {
	l, e, c := lead(t)
	l.Set(State{Hold: true})
	c.say(t)
	c.hearsNothing(t)
	if n := e.lines.Load(); n != 1 {
		t.Errorf("the server has seen %d lines, want 1", n)
	}
	l.Set(State{})
	c.hear(t)
}

func TestBlockedLinkDeliversWhatIsLeftOfAClosedConnection(t *testing.T) {
	l, e, c := lead(t)
	l.Set(State{Hold: true})
	c.say(t)
	c.hearsNothing(t)
	c.Close()
	l.Set(State{})
	<-e.came
}

func TestMuteLinkDeliversRequests(t *testing.T) {
	l, e, c := lead(t)
	l.Set(State{Mute: true})
	c.say(t)
	<-e.came
	c.hearsNothing(t)
	l.Set(State{})
	c.hear(t)
}

func TestSlowLinkDelivers(t *testing.T) {
	l, _, c := lead(t)
	l.Set(State{Delay: time.Millisecond, Rate: 5000})
	c.say(t)
	c.hear(t)
	l.Set(State{Delay: time.Hour})
	c.say(t)
	c.hearsNothing(t)
	l.Set(State{})
	c.hear(t)
}

func TestCutLinkResets(t *testing.T) {
	l, _, c := lead(t)
	l.Set(State{Cut: true})
	c.isReset(t)
	refuses(t, c.address)
	l.Set(State{})
	again := dial(t, c.address)
	again.say(t)
	again.hear(t)
}

func TestResetOfABlockedLinkLosesWhatWasUnderWay(t *testing.T) {
	l, e, c := lead(t)
	l.Set(State{Hold: true})
	c.say(t)
	c.hearsNothing(t)
	l.Reset()
	c.isReset(t)
	l.Set(State{})
	again := dial(t, c.address)
	again.say(t)
	again.hear(t)
	if n := e.lines.Load(); n != 2 {
		t.Errorf("the server has seen %d lines, want 2", n)
	}
}

func TestBalancerPassesOverABackendThatIsGone(t *testing.T) {
	working, e := New(), newEcho(t)
	down, cut := New(), New()
	cut.Set(State{Cut: true})
	nowhere := func() string { return "" }
	b := NewBalancer(Backend{down, nowhere}, Backend{working, func() string { return e.address }}, Backend{cut, func() string { return e.address }})
	ctx, stop := context.WithCancel(t.Context())
	address, err := b.Listen(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for range 6 {
		c := dial(t, address)
		c.say(t)
		c.hear(t)
	}
	working.Set(State{Cut: true})
	refuses(t, address)
	stop()
	b.Wait()
	working.Close()
}
