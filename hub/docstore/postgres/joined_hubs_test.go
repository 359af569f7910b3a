package postgres

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/internal/pgtest"
	"github.com/twinpanel/twinpanel/twin"
)

// A testHub is a hub with a database of its own making, which others share.
type testHub struct {
	*hub.Hub
	t     *testing.T
	db    *DB
	log   *lockedBuffer
	token string
}

func startHub(t *testing.T, url string) *testHub {
	t.Helper()
	db, log := openLogged(t, url)
	h, err := hub.New(hub.Config{Documents: db, Registry: db, Peers: db, Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	token, secret, err := registry.NewToken(db.link.sender)
	if err == nil {
		err = db.AddToken(t.Context(), token)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &testHub{h, t, db, log, secret}
}

// ask sends a REST request that has to succeed.
func (h *testHub) ask(method, path, body string) (answer map[string]any) {
	h.t.Helper()
	r := httptest.NewRequest(method, "/iot/v1/regions/fr-par"+path, strings.NewReader(body))
	r.Header.Set("X-Auth-Token", h.token)
	w := httptest.NewRecorder()
	h.REST().ServeHTTP(w, r)
	if w.Code/100 != 2 {
		h.t.Fatalf("%s %s: got %d %s", method, path, w.Code, w.Body)
	}
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			h.t.Fatalf("%s %s: got %s", method, path, w.Body)
		}
	}
	return answer
}

// A client is a device's connection, and what comes over it.
type client struct {
	t    *testing.T
	conn net.Conn
	in   chan string // the topic and payload of each PUBLISH, closed at the end
}

// connect connects as a device, and asks for notices of all its documents.
func (h *testHub) connect(id twin.ID) *client {
	h.t.Helper()
	conn, theirs := net.Pipe()
	go h.ServeConn(theirs)
	h.t.Cleanup(func() { conn.Close() })
	c := &client{t: h.t, conn: conn, in: make(chan string, 1000)}
	c.send(0x10, "\x00\x04MQTT\x04\x02\x00\x00", text(string(id)))
	in := bufio.NewReader(conn)
	conn.SetReadDeadline(time.Now().Add(testPatience))
	if first, body := c.read(in); first != 0x20 || body != "\x00\x00" {
		h.t.Fatalf("CONNACK: got %x %q", first, body)
	}
	c.send(0x82, "\x00\x01", text("$SCW/twins/me/+/changed"), "\x00", text("$SCW/twins/#"), "\x00")
	if first, body := c.read(in); first != 0x90 || body != "\x00\x01\x00\x00" {
		h.t.Fatalf("SUBACK: got %x %q", first, body)
	}
	conn.SetReadDeadline(time.Time{})
	go func() {
		defer close(c.in)
		for {
			first, body := c.read(in)
			if first == 0 {
				return
			}
			if first == 0x30 && len(body) > 2 {
				n := int(binary.BigEndian.Uint16([]byte(body)))
				c.in <- strings.TrimPrefix(body[2:2+n], "$SCW/twins/me/") + " " + body[2+n:]
			}
		}
	}()
	return c
}

func text(s string) string { return string(binary.BigEndian.AppendUint16(nil, uint16(len(s)))) + s }

// send sends a packet of up to 127 bytes.
func (c *client) send(first byte, parts ...string) {
	body := strings.Join(parts, "")
	c.conn.SetWriteDeadline(time.Now().Add(testPatience))
	_, _ = io.WriteString(c.conn, string([]byte{first, byte(len(body))})+body) // an end is seen when reading
}

func (c *client) read(in *bufio.Reader) (first byte, body string) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(in, head); err != nil {
		return 0, ""
	}
	b := make([]byte, head[1]) // none here has 128 bytes
	if _, err := io.ReadFull(in, b); err != nil {
		return 0, ""
	}
	return head[0], string(b)
}

// want waits for messages, in this order and no others.
func (c *client) want(messages ...string) {
	c.t.Helper()
	for _, want := range messages {
		select {
		case got, ok := <-c.in:
			if got != want || !ok {
				c.t.Fatalf("got %q, open %v; want %q", got, ok, want)
			}
		case <-time.After(testPatience):
			c.t.Fatalf("nothing comes, want %q", want)
		}
	}
}

// await waits for a message, whatever comes before it.
func (c *client) await(want string) {
	c.t.Helper()
	for end := time.After(testPatience); ; {
		select {
		case got, ok := <-c.in:
			if got == want {
				return
			}
			if !ok {
				c.t.Fatalf("the connection has ended before %q came", want)
			}
		case <-end:
			c.t.Fatalf("%q doesn't come", want)
		}
	}
}

// wantEnd waits until the hub has closed the connection.
func (c *client) wantEnd() {
	c.t.Helper()
	for end := time.After(testPatience); ; {
		select {
		case _, ok := <-c.in:
			if !ok {
				return
			}
		case <-end:
			c.t.Fatal("the connection doesn't end")
		}
	}
}

// works asks for something and wants the answer.
func (c *client) works() {
	c.t.Helper()
	c.send(0x30, text("$SCW/twins/me/nothing/get"))
	c.want(`nothing/get/response/error {"error":"document not found"}`)
}

// Two hubs on one database are one hub to their clients, also when the connection over which one hears
// the other has just been ended.
func TestTwoHubs(t *testing.T) {
	url := pgtest.URL(t)
	a, b := startHub(t, url), startHub(t, url)
	for _, d := range []registry.Device{
		{ID: panelID, Name: "panel", AllowInsecure: true},
		{ID: otherID, Name: "other", AllowInsecure: true, AllowMultipleConnections: true},
	} {
		if err := a.db.AddDevice(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	one, two := a.connect(otherID), b.connect(otherID)
	last := a.connect(panelID)
	for round, disturb := range []func(){func() {}, func() { a.db.endListeners(t) }, func() {}} {
		name := fmt.Sprint("d", round)
		disturb()

		// Take-over in both directions.
		next := b.connect(panelID)
		last.wantEnd()
		last = a.connect(panelID)
		next.wantEnd()
		last.works()

		// Notices in both directions, to all that asked but the one who wrote. After a disturbance anything may be told again.
		a.ask("PUT", "/twins/"+string(otherID)+"/documents/"+name, `{"data":{}}`)
		one.await(name + `/changed {"version":1}`)
		two.await(name + `/changed {"version":1}`)
		two.send(0x30, text("$SCW/twins/me/"+name+"/put"), `{"data":{}}`)
		two.await(name + `/put/response/success {"version":2,"data":{}}`)
		one.await(name + `/changed {"version":2}`)
		b.ask("DELETE", "/twins/"+string(otherID)+"/documents/"+name, "")
		one.await(name + `/changed {"version":0}`)
		two.await(name + `/changed {"version":0}`)

		// Presence.
		for _, h := range []*testHub{a, b} {
			for _, id := range []twin.ID{panelID, otherID} {
				eventually(t, "connected", func() bool { return h.ask("GET", "/devices/"+string(id), "")["is_connected"] == true })
			}
		}
	}
	b.ask("POST", "/devices/"+string(otherID)+"/disable", `{}`)
	one.wantEnd()
	two.wantEnd()
	b.ask("DELETE", "/devices/"+string(panelID), "")
	last.wantEnd()
	for _, h := range []*testHub{a, b} {
		eventually(t, "disconnected", func() bool { return h.ask("GET", "/devices/"+string(otherID), "")["is_connected"] == false })
	}
}

// Many panels that connect to both hubs at the same time: one connection of each survives.
func TestPanelsConnectToBothHubs(t *testing.T) {
	const panels = 50
	url := pgtest.URL(t)
	hubs := []*testHub{startHub(t, url), startHub(t, url)}
	var ids []twin.ID
	for n := range panels {
		d := registry.Device{ID: twin.ID(fmt.Sprintf("%08d-1111-4111-8111-111111111111", n)), Name: fmt.Sprint("panel", n), AllowInsecure: true}
		if err := hubs[0].db.AddDevice(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, d.ID)
	}
	ended := make(chan int, 4*panels)
	for n, id := range ids {
		for i := range 4 {
			go func() {
				conn, theirs := net.Pipe()
				go hubs[i%2].ServeConn(theirs)
				t.Cleanup(func() { conn.Close() })
				c := &client{t: t, conn: conn}
				c.send(0x10, "\x00\x04MQTT\x04\x02\x00\x00", text(string(id)))
				_, _ = io.Copy(io.Discard, conn)
				ended <- n
			}()
		}
	}
	left := make([]int, panels)
	for i := range left {
		left[i] = 4
	}
	for range 3 * panels {
		select {
		case n := <-ended:
			if left[n]--; left[n] == 0 {
				t.Fatalf("no connection of panel %d survives", n)
			}
		case <-time.After(testPatience):
			t.Fatalf("more than one connection of a panel survives: %v", left)
		}
	}
}
