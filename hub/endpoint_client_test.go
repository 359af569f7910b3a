package hub

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// The devices of the tests.
const (
	panelID  twin.ID = "11111111-1111-4111-8111-111111111111"
	otherID  twin.ID = "22222222-2222-4222-8222-222222222222"
	multiID  twin.ID = "33333333-3333-4333-8333-333333333333" // several connections
	secureID twin.ID = "44444444-4444-4444-8444-444444444444" // not without a certificate
	nobodyID twin.ID = "99999999-9999-4999-8999-999999999999" // not registered
)

// A testServer is a hub with a memory store, its devices and its log.
type testServer struct {
	*Hub
	t         testing.TB
	registry  registry.Registry
	documents docstore.Store
	log       *logBuffer
}

// newTestServer starts a hub. change may alter its configuration.
func newTestServer(t testing.TB, change func(*Config)) *testServer {
	t.Helper()
	s := &testServer{t: t, registry: registry.NewMemory(), documents: docstore.NewMemory(), log: new(logBuffer)}
	for _, d := range []registry.Device{
		{ID: panelID, Name: "panel", AllowInsecure: true},
		{ID: otherID, Name: "other", AllowInsecure: true},
		{ID: multiID, Name: "multi", AllowInsecure: true, AllowMultipleConnections: true},
		{ID: secureID, Name: "secure"},
	} {
		if err := s.registry.AddDevice(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	c := Config{Documents: s.documents, Registry: s.registry, Logger: slog.New(slog.NewTextHandler(s.log, nil))}
	if change != nil {
		change(&c)
	}
	var err error
	if s.Hub, err = New(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// put writes a document as REST would.
func (s *testServer) put(id twin.ID, name twin.Name, payload string) {
	s.t.Helper()
	if _, err := s.Do(context.Background(), id, name, twin.Put, []byte(payload)); err != nil {
		s.t.Fatal(err)
	}
}

// A logBuffer keeps what was logged.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// take returns what was logged since the last call.
func (l *logBuffer) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.b.Reset()
	return l.b.String()
}

// A rawClient is bytes over a pipe, for use in a synctest bubble. It reads what
// the hub sends all the time, unless it is deaf.
type rawClient struct {
	t    testing.TB
	conn net.Conn

	mu     sync.Mutex
	got    []byte
	closed bool
}

// dial opens a connection that has sent nothing yet.
func (s *testServer) dial() *rawClient {
	c := s.dialDeaf()
	go c.read()
	return c
}

// dialDeaf opens a connection that never reads.
func (s *testServer) dialDeaf() *rawClient {
	ours, theirs := net.Pipe()
	go s.ServeConn(theirs)
	s.t.Cleanup(func() { ours.Close() })
	return &rawClient{t: s.t, conn: ours}
}

func (c *rawClient) read() {
	b := make([]byte, 64<<10)
	for {
		n, err := c.conn.Read(b)
		c.mu.Lock()
		c.got = append(c.got, b[:n]...)
		c.closed = err != nil
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// send writes bytes. That the hub closes meanwhile is for take to see.
func (c *rawClient) send(packets ...[]byte) {
	for _, p := range packets {
		if _, err := c.conn.Write(p); err != nil {
			return
		}
	}
}

// take waits until everything is quiet and returns what came since the last
// call, in hexadecimal, with "closed" at the end if the hub has closed.
func (c *rawClient) take() string {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := fmt.Sprintf("%x", c.got)
	c.got = nil
	if c.closed {
		s = strings.TrimSpace(s + " closed")
	}
	return s
}

// want compares what came with an expectation, as take has it.
func (c *rawClient) want(want string) {
	c.t.Helper()
	if got := c.take(); got != want {
		c.t.Errorf("got  %s\nwant %s", got, want)
	}
}

// connect connects as a device and subscribes to all answers.
func (s *testServer) connect(id twin.ID) *rawClient {
	s.t.Helper()
	c := s.dial()
	c.send(connectPacket(string(id), 60))
	c.want("20020000")
	c.send(subscribePacket(1, "$SCW/twins/#"))
	c.want("9003000100")
	return c
}

// packet builds a packet: the length is added, strings get theirs, bytes and numbers
// stand as they are.
func packet(first byte, fields ...any) []byte {
	var body []byte
	for _, f := range fields {
		switch f := f.(type) {
		case string:
			body = binary.BigEndian.AppendUint16(body, uint16(len(f)))
			body = append(body, f...)
		case []byte:
			body = append(body, f...)
		case uint16:
			body = binary.BigEndian.AppendUint16(body, f)
		case int:
			body = append(body, byte(f))
		default:
			panic(fmt.Sprintf("field of type %T", f))
		}
	}
	return append(appendLength([]byte{first}, len(body)), body...)
}

func connectPacket(clientID string, keepAlive uint16) []byte {
	return packet(0x10, "MQTT", 4, 0x02, keepAlive, clientID)
}

func subscribePacket(id uint16, filters ...string) []byte {
	fields := []any{id}
	for _, f := range filters {
		fields = append(fields, f, 0)
	}
	return packet(0x82, fields...)
}

// publishPacket is a PUBLISH at QoS 0, or with an id at QoS 1.
func publishPacket(topic string, id uint16, payload string) []byte {
	if id == 0 {
		return packet(0x30, topic, []byte(payload))
	}
	return packet(0x32, topic, id, []byte(payload))
}

// answer is what the hub sends for a PUBLISH, as take has it.
func answer(topic, payload string) string {
	return fmt.Sprintf("%x", publishPacket(topic, 0, payload))
}
