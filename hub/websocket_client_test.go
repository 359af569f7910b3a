package hub

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/coder/websocket"

	"github.com/twinpanel/twinpanel/twin"
)

// upgradeRequest asks for a WebSocket, for tests that do without the library.
const upgradeRequest = "GET /mqtt HTTP/1.1\r\nHost: hub.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"

// frame is p, up to 125 bytes, as a binary message with a mask of zeros.
func frame(p []byte) []byte {
	return append([]byte{0x82, 0x80 | byte(len(p)), 0, 0, 0, 0}, p...)
}

// A webServer is a hub whose WebSocket side is reached over net.Pipe, for use in a
// synctest bubble.
type webServer struct {
	*testServer
	door   chan net.Conn
	served chan error
}

func newWebServer(t *testing.T, change func(*Config)) *webServer {
	t.Helper()
	s := &webServer{newTestServer(t, change), make(chan net.Conn), make(chan error, 1)}
	l := &doorListener{came: s.door, closed: make(chan struct{})}
	go func() { s.served <- s.ServeWS(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-s.served; err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	return s
}

// A doorListener accepts what comes through a channel.
type doorListener struct {
	came   chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *doorListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.came:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *doorListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *doorListener) Addr() net.Addr { return &net.TCPAddr{} }

// A webClient is MQTT's bytes over the library's WebSocket client.
type webClient struct {
	t    testing.TB
	ws   *websocket.Conn
	wire net.Conn // below it

	mu     sync.Mutex
	got    []byte
	closed string // how the hub has ended the connection
}

// dialWeb opens a WebSocket that has sent nothing yet.
func (s *webServer) dialWeb() *webClient {
	s.t.Helper()
	c := s.dialDeafWeb()
	go c.read()
	return c
}

// dialDeafWeb opens a WebSocket that never reads.
func (s *webServer) dialDeafWeb() *webClient {
	s.t.Helper()
	c := &webClient{t: s.t}
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		s.door <- theirs
		c.wire = ours
		return ours, nil
	}}
	ws, _, err := websocket.Dial(context.Background(), "ws://hub.test/mqtt", &websocket.DialOptions{
		HTTPClient:   &http.Client{Transport: transport},
		Subprotocols: []string{"mqtt"},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ws.SetReadLimit(-1)
	c.ws = ws
	s.t.Cleanup(func() { ws.CloseNow() })
	return c
}

func (c *webClient) read() {
	for {
		kind, message, err := c.ws.Read(context.Background())
		c.mu.Lock()
		c.got = append(c.got, message...)
		if kind == websocket.MessageText {
			c.t.Error("got a text frame")
		}
		if err != nil {
			c.closed = "lost"
			if e, ok := errors.AsType[websocket.CloseError](err); ok {
				c.closed = strings.TrimSpace(fmt.Sprintf("%d %s", e.Code, e.Reason))
			}
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
	}
}

// send writes a message for each packet. That the hub closes meanwhile is for want to see.
func (c *webClient) send(packets ...[]byte) {
	for _, p := range packets {
		if err := c.ws.Write(context.Background(), websocket.MessageBinary, p); err != nil {
			return
		}
	}
}

// take waits until everything is quiet and returns what came since the last call, in
// hexadecimal, and how the hub has ended the connection, if it has.
func (c *webClient) take() string {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := strings.TrimSpace(fmt.Sprintf("%x %s", c.got, c.closed))
	c.got = nil
	return s
}

func (c *webClient) want(want string) {
	c.t.Helper()
	if got := c.take(); got != want {
		c.t.Errorf("got  %s\nwant %s", got, want)
	}
}

// ask sends a request without a body, as in "GET /mqtt", and returns the answer.
func (s *webServer) ask(request string, headers []string) (status int, header http.Header, body string) {
	s.t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	s.door <- theirs
	lines := append([]string{request + " HTTP/1.1", "Host: hub.test"}, headers...)
	if _, err := io.WriteString(ours, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		s.t.Fatal(err)
	}
	r, err := http.ReadResponse(bufio.NewReader(ours), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	var b []byte
	if r.StatusCode != http.StatusSwitchingProtocols {
		if b, err = io.ReadAll(r.Body); err != nil {
			s.t.Fatal(err)
		}
	}
	return r.StatusCode, r.Header, strings.TrimSpace(string(b))
}

// connectWeb connects as a device and subscribes to all answers.
func (s *webServer) connectWeb(id twin.ID, keepAlive uint16) *webClient {
	s.t.Helper()
	c := s.dialWeb()
	c.send(connectPacket(string(id), keepAlive))
	c.want("20020000")
	c.send(subscribePacket(1, "$SCW/twins/#"))
	c.want("9003000100")
	return c
}
