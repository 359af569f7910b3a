// Package hubtest is a hub for the tests of other projects: of a device that speaks MQTT, or of an
// app that speaks REST. It keeps everything in memory, ends with its test, and has the faults
// that hubs and networks have.
//
//	h := hubtest.Start(t)
//	lamp := h.AddDevice("lamp")
//	h.MustPut(lamp.ID, "desired", `{"on":true}`) // as an app would
//	// start the device on h.MQTT() as lamp.ID
//	h.DropAnswers(1) // the network loses an answer
//	h.Await(lamp.ID, "current", func(doc twin.Document) bool { return strings.Contains(string(doc.Data), `"on":true`) })
//
// There are two kinds of ways to the hub. [Hub.MQTT], [Hub.MQTTS], [Hub.WS] and [Hub.REST] are addresses
// on loopback, for programs and for whatever wants an address. [Hub.Dial] and
// [Hub.HTTPClient] go over net.Pipe: with them hub and device can live in one
// testing/synctest bubble, where hours pass in no time. Start the hub inside the bubble
// then, and leave the addresses alone. The example shows it.
//
// The faults: [Hub.DropAnswers], [Hub.DelayAnswers] and [Hub.DropNotices] over MQTT, [Hub.CutConnections],
// [Hub.BlackHole], [Hub.Stop] and [Hub.Restart]. Do, Await and the Must methods go past them all.
//
// For tests in other languages there is the command hub dev.
package hubtest

import (
	"cmp"
	"context"
	"crypto/rand"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// BaseURL is what [Hub.HTTPClient] finds the REST API under.
const BaseURL = "http://hub.test" + restPath

const restPath = "/iot/v1/regions/" + hub.DefaultRegion

// A Hub is a running hub. It is safe for concurrent use, but for methods that fail
// the test: they belong to the test's goroutine.
type Hub struct {
	Token    string            // opens the REST API: the value of X-Auth-Token
	Registry registry.Registry // devices and tokens

	t      testing.TB
	config hub.Config
	direct *hub.Hub // serves nothing: for Do while stopped
	faults *faults
	client *http.Client

	mu        sync.Mutex
	running   *hub.Hub               // nil while stopped
	doors     map[side]*pipeListener // of the running hub
	serving   sync.WaitGroup         // the goroutines of doors
	links     map[*link]struct{}     // open connections
	linked    sync.WaitGroup         // their goroutines
	loopback  map[side]net.Listener  // opened on first use
	accepting sync.WaitGroup         // their goroutines
}

// A side is one of the ways into the hub.
type side string

const (
	mqttSide  side = "mqtt"
	mqttsSide side = "mqtts"
	restSide  side = "rest"
	wsSide    side = "ws"
)

// Start starts a hub with a token and no device. Options change its configuration
// before that: another store, a logger, the other hubs on the same store.
func Start(t testing.TB, options ...func(*hub.Config)) *Hub {
	t.Helper()
	documents, devices := docstore.NewMemory(), registry.NewMemory()
	devices.DeleteAll = documents.DeleteAll
	h := &Hub{
		t:        t,
		config:   hub.Config{Documents: documents, Registry: devices},
		faults:   new(faults),
		links:    make(map[*link]struct{}),
		loopback: make(map[side]net.Listener),
	}
	for _, option := range options {
		option(&h.config)
	}
	h.Registry = h.config.Registry
	h.client = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return h.dial(ctx, restSide) },
	}}
	alone := h.config
	alone.Peers = nil // which the running hub listens to
	direct, err := hub.New(alone)
	if err != nil {
		t.Fatal(err)
	}
	h.direct = direct
	token, secret, err := registry.NewToken("hubtest-" + rand.Text()) // others may share the registry
	if err == nil {
		err = h.Registry.AddToken(context.Background(), token)
	}
	if err != nil {
		t.Fatal(err)
	}
	h.Token = secret
	h.Restart()
	t.Cleanup(h.end)
	return h
}

// end leaves no goroutine behind.
func (h *Hub) end() {
	h.client.CloseIdleConnections()
	h.Stop()
	h.mu.Lock()
	for _, l := range h.loopback {
		l.Close()
	}
	h.mu.Unlock()
	h.accepting.Wait()
	h.linked.Wait()
	if err := h.direct.Close(); err != nil {
		h.t.Errorf("closing the hub: %v", err)
	}
}

// Stop ends the hub as if its process were killed: connections break and answers
// under way are lost. What was written stays for Restart. Until then, connections
// are refused.
func (h *Hub) Stop() {
	h.t.Helper()
	h.mu.Lock()
	running := h.running
	h.running = nil
	h.mu.Unlock()
	if running == nil {
		return
	}
	h.CutConnections()
	if err := running.Close(); err != nil {
		h.t.Errorf("closing the hub: %v", err)
	}
	h.serving.Wait()
}

// Restart starts the hub again with the same documents, devices and tokens. A
// running hub is stopped first.
func (h *Hub) Restart() {
	h.t.Helper()
	h.Stop()
	next, err := hub.New(h.config)
	if err != nil {
		h.t.Fatal(err)
	}
	mqtt, mqtts, rest, ws := newPipeListener(), newPipeListener(), newPipeListener(), newPipeListener()
	h.serving.Go(func() {
		if err := next.ServeMQTT(mqtt); err != nil {
			h.t.Errorf("serving MQTT: %v", err)
		}
	})
	h.serving.Go(func() {
		if err := next.ServeMQTT(overTLS(next, mqtts)); err != nil {
			h.t.Errorf("serving MQTT over TLS: %v", err)
		}
	})
	h.serving.Go(func() {
		if err := next.ServeREST(rest); err != nil {
			h.t.Errorf("serving REST: %v", err)
		}
	})
	h.serving.Go(func() {
		if err := next.ServeWS(ws); err != nil {
			h.t.Errorf("serving WebSocket: %v", err)
		}
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	h.running, h.doors = next, map[side]*pipeListener{mqttSide: mqtt, mqttsSide: mqtts, restSide: rest, wsSide: ws}
}

// Dial opens an MQTT connection over net.Pipe. A stopped hub refuses it with
// ECONNREFUSED.
func (h *Hub) Dial(ctx context.Context) (net.Conn, error) {
	return h.dial(ctx, mqttSide)
}

// HTTPClient reaches the REST API over net.Pipe, at [BaseURL].
func (h *Hub) HTTPClient() *http.Client { return h.client }

// MQTT is the hub's address on loopback, mqtt://127.0.0.1:PORT. It stays the same
// when the hub restarts.
func (h *Hub) MQTT() string { return "mqtt://" + h.listen(mqttSide) }

// REST is the base URL of the REST API on loopback, as the specification's IOT_API.
// It stays the same when the hub restarts.
func (h *Hub) REST() string { return "http://" + h.listen(restSide) + restPath }

// WS is the hub's address for MQTT over WebSocket on loopback, ws://127.0.0.1:PORT/mqtt.
// It stays the same when the hub restarts. The hub's console is at /console there.
// [Hub.DropAnswers], [Hub.DelayAnswers] and [Hub.DropNotices] don't touch these connections.
func (h *Hub) WS() string { return "ws://" + h.listen(wsSide) + "/mqtt" }

// AddDevice adds a device that may connect with its id alone.
func (h *Hub) AddDevice(name string) registry.Device {
	h.t.Helper()
	d, err := registry.NewDevice(name)
	if err == nil {
		d.AllowInsecure = true
		err = h.Registry.AddDevice(context.Background(), d)
	}
	if err != nil {
		h.t.Fatalf("adding device %s: %v", name, err)
	}
	return d
}

// AddToken adds a token that opens the part of the REST API that its ReadOnly and Device
// leave, and returns its secret. It sets Hash and Created itself.
func (h *Hub) AddToken(token registry.Token) (secret string) {
	h.t.Helper()
	made, secret, err := registry.NewToken(token.Name)
	if err == nil {
		token.Hash, token.Created = made.Hash, made.Created
		err = h.Registry.AddToken(context.Background(), token)
	}
	if err != nil {
		h.t.Fatalf("adding token %s: %v", token.Name, err)
	}
	return secret
}

// Do is [hub.Hub.Do], past all faults, also of a stopped hub.
func (h *Hub) Do(id twin.ID, name twin.Name, m twin.Method, payload string) (twin.Document, error) {
	return h.present().Do(context.Background(), id, name, m, []byte(payload))
}

// present is the hub that runs, whose connections hear of what changes; while there is
// none, another one on the same documents.
func (h *Hub) present() *hub.Hub {
	h.mu.Lock()
	defer h.mu.Unlock()
	return cmp.Or(h.running, h.direct)
}

// MustGet reads a document; the test fails if it is not there.
func (h *Hub) MustGet(id twin.ID, name twin.Name) twin.Document {
	h.t.Helper()
	return h.must(id, name, twin.Get, "")
}

// MustPut writes data, a JSON object, as a document.
func (h *Hub) MustPut(id twin.ID, name twin.Name, data string) twin.Document {
	h.t.Helper()
	return h.must(id, name, twin.Put, `{"data":`+data+`}`)
}

// MustPatch merges data, a JSON object, into a document.
func (h *Hub) MustPatch(id twin.ID, name twin.Name, data string) twin.Document {
	h.t.Helper()
	return h.must(id, name, twin.Patch, `{"data":`+data+`}`)
}

// MustDelete removes a document; the test fails if it is not there.
func (h *Hub) MustDelete(id twin.ID, name twin.Name) {
	h.t.Helper()
	r := httptest.NewRequest(http.MethodDelete, restPath+"/twins/"+string(id)+"/documents/"+string(name), nil)
	r.Header.Set("X-Auth-Token", h.Token)
	answer := httptest.NewRecorder()
	h.present().REST().ServeHTTP(answer, r)
	if answer.Code != http.StatusNoContent {
		h.t.Fatalf("delete of document %s: %d %s", name, answer.Code, answer.Body)
	}
}

// Await waits until a document is there and as ok wants it, and returns it. The test fails if
// that takes longer than two minutes, on the bubble's clock inside of one.
func (h *Hub) Await(id twin.ID, name twin.Name, ok func(twin.Document) bool) twin.Document {
	h.t.Helper()
	const patience, pause = 2 * time.Minute, 5 * time.Millisecond
	for end := time.Now().Add(patience); ; time.Sleep(pause) {
		doc, err := h.Do(id, name, twin.Get, "")
		switch {
		case err == nil && ok(doc):
			return doc
		case time.Now().Before(end):
		case err != nil:
			h.t.Fatalf("awaiting document %s for %v: %v", name, patience, err)
		default:
			h.t.Fatalf("awaiting document %s for %v: it has version %d, %s", name, patience, doc.Version, doc.Data)
		}
	}
}

func (h *Hub) must(id twin.ID, name twin.Name, m twin.Method, payload string) twin.Document {
	h.t.Helper()
	doc, err := h.Do(id, name, m, payload)
	if err != nil {
		h.t.Fatalf("%s of document %s: %v", m, name, err)
	}
	return doc
}

// dial opens a connection to whichever hub runs now.
func (h *Hub) dial(ctx context.Context, s side) (net.Conn, error) {
	client, outer := net.Pipe()
	if err := h.join(ctx, outer, s); err != nil {
		client.Close()
		return nil, &net.OpError{Op: "dial", Net: "pipe", Err: err}
	}
	return client, nil
}

// join puts a link between a client's connection and the running hub.
func (h *Hub) join(ctx context.Context, outer net.Conn, s side) error {
	h.mu.Lock()
	running, door := h.running != nil, h.doors[s]
	h.mu.Unlock()
	if !running {
		outer.Close()
		return syscall.ECONNREFUSED
	}
	inner, err := door.dial(ctx)
	if err != nil {
		outer.Close()
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	l := newLink(outer, inner, h.faults, s == mqttSide)
	if h.running == nil {
		// Stopped meanwhile: this connection has missed the cut.
		l.cut()
		return syscall.ECONNREFUSED
	}
	h.links[l] = struct{}{}
	h.linked.Go(func() {
		l.run()
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.links, l)
	})
	return nil
}

// listen opens a loopback listener the first time and returns its address.
func (h *Hub) listen(s side) string {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if l, ok := h.loopback[s]; ok {
		return l.Addr().String()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	h.loopback[s] = l
	h.accepting.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			// A stopped hub's connections end at once: the address stays taken, so
			// that nobody else gets it before the restart.
			_ = h.join(context.Background(), conn, s)
		}
	})
	return l.Addr().String()
}
