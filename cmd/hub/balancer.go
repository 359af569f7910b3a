package main

import (
	"bufio"
	"bytes"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/twinpanel/twinpanel/internal/cli"
)

const (
	proxyHeaderTime = 5 * time.Second // from a balancer's connection to the end of its header
	proxyHeaders    = 512             // connections of balancers that wait for it, or for the hub to take them
	proxyLogPause   = time.Minute     // between two lines about headers that are none
)

// parseBalancers reads addresses and networks.
func parseBalancers(texts []string) (all []netip.Prefix, err error) {
	for _, text := range texts {
		var p netip.Prefix
		if strings.Contains(text, "/") {
			p, err = netip.ParsePrefix(text)
		} else {
			var a netip.Addr
			if a, err = netip.ParseAddr(text); err == nil && a.Zone() == "" {
				p = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen())
			}
		}
		if err != nil || !p.IsValid() {
			return nil, cli.Hint(cli.Usagef("--balancer is %q, which is no IP address and no network", text), "write what the balancer's connections come from, as in 192.0.2.10 or 10.1.0.0/24")
		}
		all = append(all, p)
	}
	return all, nil
}

// A balanced listener accepts connections. Those of balancers come with their clients' addresses, which a header of the PROXY
// protocol tells, version 1 or 2 (haproxy.org, proxy-protocol.txt). Nobody else is believed, nor asked.
type balanced struct {
	net.Listener
	balancers []netip.Prefix
	log       *slog.Logger

	accepted chan accepted // unbuffered
	closing  chan struct{}
	close    func() error

	mu   sync.Mutex
	told time.Time // when the log was last told of a header that is none
}

type accepted struct {
	conn net.Conn
	err  error
}

func newBalanced(l net.Listener, balancers []netip.Prefix, log *slog.Logger) *balanced {
	b := &balanced{Listener: l, balancers: balancers, log: log, accepted: make(chan accepted), closing: make(chan struct{})}
	b.close = sync.OnceValue(func() error {
		close(b.closing)
		return l.Close()
	})
	go b.run()
	return b
}

// Accept implements [net.Listener].
func (b *balanced) Accept() (net.Conn, error) {
	select {
	case a := <-b.accepted:
		return a.conn, a.err
	case <-b.closing:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (b *balanced) Close() error { return b.close() }

// run takes connections until the listener is closed. One whose header is late holds up nobody.
func (b *balanced) run() {
	slots := make(chan struct{}, proxyHeaders)
	for {
		conn, err := b.Listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			b.Close()
			return
		case err != nil || !b.isBalancer(conn.RemoteAddr()):
			b.hand(conn, err)
		default:
			slots <- struct{}{}
			go func() {
				defer func() { <-slots }()
				b.receive(conn)
			}()
		}
	}
}

// hand waits until somebody accepts.
func (b *balanced) hand(conn net.Conn, err error) {
	select {
	case b.accepted <- accepted{conn, err}:
	case <-b.closing:
		if conn != nil {
			conn.Close()
		}
	}
}

func (b *balanced) isBalancer(remote net.Addr) bool {
	at, err := netip.ParseAddrPort(remote.String())
	return err == nil && slices.ContainsFunc(b.balancers, func(p netip.Prefix) bool { return p.Contains(at.Addr().Unmap().WithZone("")) })
}

// receive hands on a balancer's connection without its header.
func (b *balanced) receive(conn net.Conn) {
	conn.SetReadDeadline(time.Now().Add(proxyHeaderTime))
	in := bufio.NewReaderSize(conn, 256)
	if _, err := in.Peek(1); err != nil {
		conn.Close() // the balancer looks whether anybody is there
		return
	}
	header, err := proxyproto.Read(in)
	if err != nil {
		conn.Close()
		b.tell(conn.RemoteAddr(), err)
		return
	}
	c := &clientConn{Conn: conn, client: conn.RemoteAddr()}
	switch {
	case header.Command.IsLocal(): // the balancer's own
		if _, err := in.Peek(1); err != nil {
			conn.Close() // again, it only looks
			return
		}
	case header.SourceAddr != nil:
		c.client = header.SourceAddr
	}
	conn.SetReadDeadline(time.Time{})
	rest, _ := in.Peek(in.Buffered())
	c.rest = bytes.Clone(rest)
	b.hand(c, nil)
}

// tell says in the log, now and then, what is wrong with a balancer.
func (b *balanced) tell(remote net.Addr, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := time.Now(); b.told.IsZero() || now.Sub(b.told) >= proxyLogPause {
		b.told = now
		b.log.Warn("connection of a balancer closed: it doesn't begin with a header of the PROXY protocol", "remote", remote, "error", err,
			"hint", "let the balancer send one (send-proxy-v2 in HAProxy, proxy_protocol on in nginx), or take its address out of --balancer")
	}
}

// A clientConn is a connection of a client behind a balancer.
type clientConn struct {
	net.Conn
	client net.Addr
	rest   []byte // what came together with the header, and is to be read first
}

// RemoteAddr is the client's.
func (c *clientConn) RemoteAddr() net.Addr { return c.client }

// NetConn is the balancer's connection, as [crypto/tls.Conn.NetConn] is the one below.
func (c *clientConn) NetConn() net.Conn { return c.Conn }

// Read implements [net.Conn].
func (c *clientConn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.rest)
	if c.rest = c.rest[n:]; len(c.rest) == 0 {
		c.rest = nil
	}
	return n, nil
}
