package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/pires/go-proxyproto"
)

func TestBalancersAreAddressesAndNetworks(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.10": "192.0.2.10/32", "10.1.0.0/24": "10.1.0.0/24", "2001:db8::1": "2001:db8::1/128", "2001:db8::/32": "2001:db8::/32", "::ffff:192.0.2.10": "192.0.2.10/32",
		"": "", "balancer.example": "", "192.0.2.10:80": "", "10.1.0.0/33": "", "10.1.0.0/": "", "fe80::1%eth0": "", "*": "",
	} {
		got, err := parseBalancers([]string{text})
		switch {
		case want == "" && err == nil:
			t.Errorf("%q is taken for %v", text, got)
		case want != "" && (err != nil || len(got) != 1 || got[0].String() != want):
			t.Errorf("%q: got %v, %v; want %s", text, got, err, want)
		}
	}
}

// A front is a balanced listener whose connections are pipes.
type front struct {
	*balanced
	inner *pipes
	log   bytes.Buffer
}

func newFront(t *testing.T) *front {
	f := &front{inner: &pipes{offered: make(chan net.Conn), closed: make(chan struct{})}}
	f.balanced = newBalanced(f.inner, []netip.Prefix{netip.MustParsePrefix("192.0.2.10/32"), netip.MustParsePrefix("2001:db8::/64")}, slog.New(slog.NewTextHandler(&f.log, nil)))
	t.Cleanup(func() { f.Close() })
	return f
}

// pipes is a listener.
type pipes struct {
	offered chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.offered:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return nil }

func tcp(address string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address)) }

// connect connects from an address and sends something.
func (f *front) connect(from string, first []byte) (client net.Conn) {
	client, server := net.Pipe()
	f.inner.offered <- &clientConn{Conn: server, client: tcp(from)}
	go client.Write(first)
	return client
}

func header(t *testing.T, version byte, client string) []byte {
	t.Helper()
	b, err := proxyproto.HeaderProxyFromAddrs(version, tcp(client), tcp("192.0.2.1:8883")).Format()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// local begins what a balancer asks for itself.
func local(t *testing.T) []byte {
	t.Helper()
	b, err := (&proxyproto.Header{Version: 2, Command: proxyproto.LOCAL}).Format()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestClientsOfABalancerHaveTheirOwnAddresses(t *testing.T) {
	for _, tt := range []struct {
		name, from string
		first      []byte
		remote     string
		read       string
	}{
		{"version 1", "192.0.2.10:4711", append(header(t, 1, "198.51.100.7:5000"), "hello"...), "198.51.100.7:5000", "hello"},
		{"version 2", "192.0.2.10:4711", append(header(t, 2, "198.51.100.7:5000"), "hello"...), "198.51.100.7:5000", "hello"},
		{"a balancer of a network", "[2001:db8::99]:4711", append(header(t, 2, "[2001:db8:7::1]:5000"), "hello"...), "[2001:db8:7::1]:5000", "hello"},
		{"the balancer itself", "192.0.2.10:4711", append(local(t), "hello"...), "192.0.2.10:4711", "hello"},
		{"a balancer that doesn't know", "192.0.2.10:4711", []byte("PROXY UNKNOWN\r\nhello"), "192.0.2.10:4711", "hello"},
		{"somebody else is not believed", "192.0.2.11:4711", []byte("PROXY TCP4 198.51.100.7 192.0.2.1 5000 8883\r\n"), "192.0.2.11:4711", "PROXY TCP4 198.51.100.7 192.0.2.1 5000 8883\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFront(t)
				client := f.connect(tt.from, tt.first)
				defer client.Close()
				conn, err := f.Accept()
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if got := conn.RemoteAddr().String(); got != tt.remote {
					t.Errorf("it comes from %s, want %s", got, tt.remote)
				}
				got := make([]byte, len(tt.read)+1)
				n, err := io.ReadAtLeast(conn, got, len(tt.read))
				if err != nil || string(got[:n]) != tt.read {
					t.Errorf("got %q, %v; want %q", got[:n], err, tt.read)
				}
				time.Sleep(2 * proxyHeaderTime)
				go client.Write([]byte("later"))
				if n, err := conn.Read(got); err != nil || n == 0 {
					t.Errorf("after the time for a header: %v", err)
				}
			})
		})
	}
}

// Whoever guesses tokens behind a balancer has to wait; others behind it don't.
func TestLimitsHoldForEachClientOfABalancer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	token := strings.TrimSpace(output(t, dir, "token", "add", "app"))
	p, err := startHub(dir, "data", "--balancer", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop(os.Interrupt)
	ask := func(from, token string) int {
		t.Helper()
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			var d net.Dialer
			conn, err := d.DialContext(ctx, network, address)
			if err == nil {
				_, err = conn.Write(header(t, 2, from))
			}
			return conn, err
		}}}
		r, err := http.NewRequestWithContext(t.Context(), "GET", p.rest+"/devices", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Auth-Token", token)
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	for i := 0; ask("198.51.100.1:5000", uuid.NewString()) != http.StatusTooManyRequests; i++ {
		if i == 100 {
			t.Fatal("one client can try a hundred tokens")
		}
	}
	if got := ask("198.51.100.2:5000", token); got != http.StatusOK {
		t.Errorf("another client gets %d, want 200", got)
	}
	if got := ask("198.51.100.2:5000", uuid.NewString()); got != http.StatusUnauthorized {
		t.Errorf("another client's first wrong token gets %d, want 401", got)
	}
}

// What is no header ends the connection, and is told once a minute.
func TestBalancersWithoutAHeader(t *testing.T) {
	for name, first := range map[string][]byte{
		"something else": []byte("\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00"),
		"half a header":  []byte("PROXY TCP4 198.51"),
		"a wrong one":    []byte("PROXY TCP4 198.51.100.7 nobody 5000 8883\r\n"),
		"too long":       []byte("PROXY " + strings.Repeat("X", 300)),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFront(t)
				for range 3 {
					client := f.connect("192.0.2.10:4711", first)
					if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
						t.Errorf("got %v, want the end of the connection", err)
					}
				}
				synctest.Wait()
				if log := f.log.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "remote=192.0.2.10:4711") || !strings.Contains(log, "send-proxy-v2") {
					t.Errorf("log is %q", log)
				}
			})
		})
	}
}

// A balancer that only looks whether the hub listens is not worth a line.
func TestBalancerThatSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFront(t)
		f.connect("192.0.2.10:4711", nil).Close()
		looks := f.connect("192.0.2.10:4711", local(t))
		synctest.Wait()
		looks.Close()
		silent := f.connect("192.0.2.10:4712", nil)

		// It holds up nobody.
		began := time.Now()
		other := f.connect("192.0.2.10:4713", header(t, 2, "198.51.100.7:5000"))
		defer other.Close()
		conn, err := f.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if took := time.Since(began); took != 0 {
			t.Errorf("another waits for %v", took)
		}
		if _, err := silent.Read(make([]byte, 1)); !errors.Is(err, io.EOF) || time.Since(began) != proxyHeaderTime {
			t.Errorf("it ends with %v after %v", err, time.Since(began))
		}
		if f.log.Len() > 0 {
			t.Errorf("log is %q", &f.log)
		}
	})
}

func TestBalancedListenerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFront(t)
		waiting := f.connect("192.0.2.10:4711", header(t, 1, "198.51.100.7:5000")) // nobody accepts it
		silent := f.connect("192.0.2.10:4712", nil)
		direct := f.connect("192.0.2.11:4713", nil)
		synctest.Wait()
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Errorf("closing twice: %v", err)
		}
		if _, err := f.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v, want that it is closed", err)
		}
		for _, client := range []net.Conn{waiting, silent, direct} {
			if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("got %v, want the end of the connection", err)
			}
		}
	})
}
