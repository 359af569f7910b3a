package postgres

import (
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// What a proxy does with the connections through it.
const (
	passes  = iota
	severs  // ends a connection when the server answers, so that nobody hears the answer
	refuses // ends every connection at once, also those there are
	forgets // hands over nothing more through the connections there are, as after a change of the network; new ones pass
)

// A proxy stands between a hub and its database.
type proxy struct {
	listener  net.Listener
	server    string
	does      atomic.Int32
	forgotten atomic.Int64 // as many of conns, from the first
	mu        sync.Mutex
	conns     []net.Conn
	wg        sync.WaitGroup
}

// startProxy returns a proxy and the URL of the database behind it.
func startProxy(t *testing.T, database string) (*proxy, string) {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, server: u.Host}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.set(refuses)
		p.wg.Wait()
	})
	u.Host = l.Addr().String()
	return p, u.String()
}

func (p *proxy) set(does int32) {
	p.does.Store(does)
	p.mu.Lock()
	defer p.mu.Unlock()
	if does == forgets {
		p.forgotten.Store(int64(len(p.conns)))
	}
	if does == refuses {
		for _, c := range p.conns {
			c.Close()
		}
		p.conns = nil
	}
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil || p.does.Load() == refuses {
			client.Close()
			if server != nil {
				server.Close()
			}
			continue
		}
		p.mu.Lock()
		n := int64(len(p.conns))
		p.conns = append(p.conns, client, server)
		p.mu.Unlock()
		p.wg.Go(func() {
			io.Copy(server, client)
			server.Close()
		})
		p.wg.Go(func() { p.answer(n, client, server) })
	}
}

// answer hands over what the server says.
func (p *proxy) answer(number int64, client, server net.Conn) {
	defer client.Close()
	buffer := make([]byte, 1<<16)
	for {
		n, err := server.Read(buffer)
		if err != nil || p.does.Load() == severs {
			return
		}
		if number < p.forgotten.Load() {
			continue
		}
		if _, err := client.Write(buffer[:n]); err != nil {
			return
		}
	}
}
