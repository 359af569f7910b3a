package hubtest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/twinpanel/twinpanel/hub/hubtest"
	"github.com/twinpanel/twinpanel/twin"
)

// A client speaks just enough MQTT to get a document.
type client struct {
	net.Conn
	r *bufio.Reader
}

// connect connects and subscribes to all answers.
func connect(t *testing.T, conn net.Conn, id twin.ID) *client {
	t.Helper()
	c := &client{conn, bufio.NewReader(conn)}
	c.send(t, 0x10, "\x00\x04MQTT\x04\x02\x00\x3c"+field(string(id)))
	if got := c.packet(t); got != "\x20\x00\x00" {
		t.Fatalf("got CONNACK %q, want acceptance", got)
	}
	c.send(t, 0x82, "\x00\x01"+field("$SCW/twins/me/#")+"\x00")
	if got := c.packet(t); got != "\x90\x00\x01\x00" {
		t.Fatalf("got SUBACK %q, want QoS 0", got)
	}
	return c
}

func field(s string) string { return string([]byte{byte(len(s) >> 8), byte(len(s))}) + s }

func (c *client) send(t *testing.T, header byte, rest string) {
	t.Helper()
	if _, err := c.Write(append([]byte{header, byte(len(rest))}, rest...)); err != nil {
		t.Fatal(err)
	}
}

// get asks for the document desired.
func (c *client) get(t *testing.T) {
	t.Helper()
	c.send(t, 0x30, field("$SCW/twins/me/desired/get"))
}

func (c *client) ping(t *testing.T) {
	t.Helper()
	c.send(t, 0xc0, "")
}

// packet reads a packet of up to 127 bytes: its type and what follows the length.
func (c *client) packet(t *testing.T) string {
	t.Helper()
	var header [2]byte
	if _, err := io.ReadFull(c.r, header[:]); err != nil {
		t.Fatal(err)
	}
	rest := make([]byte, header[1])
	if _, err := io.ReadFull(c.r, rest); err != nil {
		t.Fatal(err)
	}
	return string(header[:1]) + string(rest)
}

// ended waits for the end of the connection.
func (c *client) ended(t *testing.T) {
	t.Helper()
	if _, err := c.r.ReadByte(); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v from a connection that was cut, want its end", err)
	}
}

const pong = "\xd0"

var answer = "\x30" + field("$SCW/twins/me/desired/get/response/success") + `{"version":1,"data":{"alarm_armed":true}}`

// house starts a hub with one device, a document, and a connection.
func house(t *testing.T) (*hubtest.Hub, *client) {
	h := hubtest.Start(t)
	panel := h.AddDevice("panel")
	h.MustPut(panel.ID, "desired", `{"alarm_armed":true}`)
	conn, err := h.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return h, connect(t, conn, panel.ID)
}

func TestHubAnswersOverPipe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, c := house(t)
		c.get(t)
		if got := c.packet(t); got != answer {
			t.Errorf("got %q, want %q", got, answer)
		}
		devices, err := h.Registry.Devices(t.Context())
		if err != nil || len(devices) != 1 {
			t.Fatalf("got devices %v and error %v, want one", devices, err)
		}
		path := "/twins/" + string(devices[0].ID) + "/documents/desired"
		want := fmt.Sprintf(`{"twin_id":%q,"document_name":"desired","version":1,"data":{"alarm_armed":true}}`, devices[0].ID)
		if got := get(t, h.HTTPClient(), hubtest.BaseURL+path, h.Token); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// get reads a URL, "refused" standing for a connection that could not be opened.
func get(t *testing.T, client *http.Client, url, token string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Auth-Token", token)
	answer, err := client.Do(r)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return "refused"
	}
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(body))
}

func TestStopRefusesAndRestartKeeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, c := house(t)
		devices, _ := h.Registry.Devices(t.Context())
		url := hubtest.BaseURL + "/twins/" + string(devices[0].ID)
		h.Stop()
		c.ended(t)
		if _, err := h.Dial(t.Context()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dialling a stopped hub: got %v, want %v", err, syscall.ECONNREFUSED)
		}
		if got := get(t, h.HTTPClient(), url, h.Token); got != "refused" {
			t.Errorf("REST of a stopped hub: got %s, want refused", got)
		}
		h.MustPatch(devices[0].ID, "desired", `{"alarm_armed":false}`)
		h.Restart()
		conn, err := h.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		connect(t, conn, devices[0].ID)
		if got, want := get(t, h.HTTPClient(), url, h.Token), `{"documents":[{"document_name":"desired"}]}`; got != want {
			t.Errorf("after restart: got %s, want %s", got, want)
		}
		if got := h.MustGet(devices[0].ID, "desired"); got.Version != 2 || string(got.Data) != `{"alarm_armed":false}` {
			t.Errorf("after restart: got version %d, data %s", got.Version, got.Data)
		}
	})
}

func TestCutConnectionsEndsOpenOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, c := house(t)
		h.CutConnections()
		c.ended(t)
		conn, err := h.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	})
}

func TestBlackHoleTakesEverythingAndAnswersNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, c := house(t)
		h.BlackHole(true)
		c.get(t)
		c.silent(t, time.Minute)
		h.BlackHole(false)
		c.get(t)
		c.silent(t, time.Hour) // the hub has hung up long ago, but nobody hears it

		devices, _ := h.Registry.Devices(t.Context())
		conn, err := h.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		again := connect(t, conn, devices[0].ID)
		again.get(t)
		if got := again.packet(t); got != answer {
			t.Errorf("on a new connection: got %q, want %q", got, answer)
		}
	})
}

// silent checks that nothing arrives for some time.
func (c *client) silent(t *testing.T, d time.Duration) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(d)); err != nil {
		t.Fatal(err)
	}
	if b, err := c.r.ReadByte(); err == nil {
		t.Fatalf("got a byte %#x, want silence", b)
	} else if e, ok := errors.AsType[net.Error](err); !ok || !e.Timeout() {
		t.Fatalf("got %v, want silence", err)
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
}

func TestDropAnswersLosesAnswersOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, c := house(t)
		h.DropAnswers(1)
		c.get(t)
		c.ping(t)
		if got := c.packet(t); got != pong {
			t.Errorf("got %q, want the answer to the ping alone", got)
		}
		c.get(t)
		if got := c.packet(t); got != answer {
			t.Errorf("got %q, want %q", got, answer)
		}
	})
}

// asking is a house whose connection has asked for notices of desired.
func asking(t *testing.T) (*hubtest.Hub, *client) {
	t.Helper()
	h, c := house(t)
	c.send(t, 0x82, "\x00\x02"+field("$SCW/twins/me/desired/changed")+"\x00")
	if got := c.packet(t); got != "\x90\x00\x02\x00" {
		t.Fatalf("got SUBACK %q, want QoS 0", got)
	}
	if got, want := c.packet(t), notice(1); got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
	return h, c
}

func notice(version int) string {
	return "\x30" + field("$SCW/twins/me/desired/changed") + fmt.Sprintf(`{"version":%d}`, version)
}

// The Must methods write as an app would, and faults of answers leave notices alone.
func TestNoticesAreNoAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, c := asking(t)
		devices, _ := h.Registry.Devices(t.Context())
		h.DropAnswers(1)
		h.DelayAnswers(time.Minute)
		began := time.Now()
		h.MustPut(devices[0].ID, "desired", `{}`)
		if got, want := c.packet(t), notice(2); got != want || time.Since(began) > 0 {
			t.Errorf("got %q after %v, want %q at once", got, time.Since(began), want)
		}
		c.get(t)
		c.ping(t)
		if got := c.packet(t); got != pong {
			t.Errorf("got %q, want the answer to the ping alone", got)
		}
	})
}

func TestDropNoticesLosesNoticesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, c := asking(t)
		devices, _ := h.Registry.Devices(t.Context())
		h.DropNotices(true)
		h.MustPut(devices[0].ID, "desired", `{"alarm_armed":true}`)
		synctest.Wait()
		c.get(t)
		if got, want := c.packet(t), strings.Replace(answer, `:1,`, `:2,`, 1); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		h.DropNotices(false)
		h.MustPut(devices[0].ID, "desired", `{}`)
		if got, want := c.packet(t), notice(3); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestDelayAnswersKeepsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, c := house(t)
		h.DelayAnswers(7 * time.Second)
		start := time.Now()
		c.get(t)
		c.ping(t)
		if got := c.packet(t); got != answer {
			t.Errorf("got %q, want %q", got, answer)
		}
		if got := c.packet(t); got != pong {
			t.Errorf("got %q, want the answer to the ping", got)
		}
		if got, want := time.Since(start), 7*time.Second; got != want {
			t.Errorf("answer took %v, want %v", got, want)
		}
		c.get(t)
		h.Stop() // an answer under way is lost with its connection
		c.ended(t)
	})
}

// dialWS opens a WebSocket for MQTT.
func dialWS(t *testing.T, client *http.Client, address string) net.Conn {
	t.Helper()
	ws, _, err := websocket.Dial(t.Context(), address, &websocket.DialOptions{HTTPClient: client, Subprotocols: []string{"mqtt"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.CloseNow() })
	return websocket.NetConn(context.Background(), ws, websocket.MessageBinary)
}

func TestLoopbackKeepsItsAddress(t *testing.T) {
	h := hubtest.Start(t)
	panel := h.AddDevice("panel")
	h.MustPut(panel.ID, "desired", `{"alarm_armed":true}`)
	mqtt, rest, ws := h.MQTT(), h.REST(), h.WS()
	for range 2 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(mqtt, "mqtt://"))
		if err != nil {
			t.Fatal(err)
		}
		c := connect(t, conn, panel.ID)
		c.get(t)
		if got := c.packet(t); got != answer {
			t.Errorf("got %q, want %q", got, answer)
		}
		want := `{"documents":[{"document_name":"desired"}]}`
		client := &http.Client{Transport: new(http.Transport)}
		if got := get(t, client, rest+"/twins/"+string(panel.ID), h.Token); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		web := connect(t, dialWS(t, client, ws), panel.ID) // takes over
		web.get(t)
		if got := web.packet(t); got != answer {
			t.Errorf("over WebSocket: got %q, want %q", got, answer)
		}
		client.CloseIdleConnections()
		h.Stop()
		c.ended(t)
		web.ended(t)
		h.Restart()
		if h.MQTT() != mqtt || h.REST() != rest || h.WS() != ws {
			t.Errorf("after restart: got %s, %s and %s, want %s, %s and %s", h.MQTT(), h.REST(), h.WS(), mqtt, rest, ws)
		}
	}
}
