package hub_test

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/conformance"
	"github.com/twinpanel/twinpanel/hub/docstore/postgres"
	"github.com/twinpanel/twinpanel/hub/docstore/sqlite"
	"github.com/twinpanel/twinpanel/hub/hubtest"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/internal/pgtest"
	"github.com/twinpanel/twinpanel/twin"
	"github.com/twinpanel/twinpanel/twinclient"
)

// TestConformance holds the hub to the rules of twins on each store and through each
// of its doors. Every check has a device of its own, and so a twin of its own.
func TestConformance(t *testing.T) {
	tests := []struct {
		name  string
		start func(*testing.T) *hubtest.Hub
		enter func(*testing.T, *hubtest.Hub, twin.ID) conformance.Twin
		alone bool // the device may have one connection only
	}{
		{"core", startInMemory, enterCore, false},
		{"REST", startInMemory, enterREST, false},
		{"MQTT", startInMemory, enterMQTT, false},
		{"MQTT over WebSocket", startInMemory, enterWebSocket, true},
		{"twinclient", startInMemory, enterByClient, false},
		{"REST and MQTT in turn", startInMemory, enterBoth, false},
		{"core on SQLite", startOnSQLite, enterCore, false},
		{"REST and MQTT in turn on SQLite", startOnSQLite, enterBoth, false},
		{"core on PostgreSQL", startOnPostgres, enterCore, false},
		{"REST and MQTT in turn on PostgreSQL", startOnPostgres, enterBoth, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // over MQTT, one check waits for the keep-alive
			h := tt.start(t)
			devices := 0
			conformance.Run(t, func(t *testing.T) conformance.Twin {
				devices++
				d, err := registry.NewDevice(fmt.Sprint("device", devices))
				if err != nil {
					t.Fatal(err)
				}
				d.AllowInsecure, d.AllowMultipleConnections = true, !tt.alone
				if err := h.Registry.AddDevice(t.Context(), d); err != nil {
					t.Fatal(err)
				}
				return tt.enter(t, h, d.ID)
			})
		})
	}
}

func startInMemory(t *testing.T) *hubtest.Hub { return hubtest.Start(t) }

func startOnSQLite(t *testing.T) *hubtest.Hub {
	t.Helper()
	db, err := sqlite.Open(t.TempDir(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return hubtest.Start(t, func(c *hub.Config) { c.Documents, c.Registry = db, db })
}

func startOnPostgres(t *testing.T) *hubtest.Hub {
	t.Helper()
	db, err := postgres.Open(t.Context(), pgtest.URL(t), postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return hubtest.Start(t, func(c *hub.Config) { c.Documents, c.Registry = db, db })
}

// doTwin is a twin behind the hub's core.
type doTwin struct {
	hub *hubtest.Hub
	id  twin.ID
}

func (d doTwin) Send(_ context.Context, m twin.Method, name twin.Name, body []byte) (twin.Document, error) {
	// The core is given parsed names only.
	name, err := twin.ParseName(string(name))
	if err != nil {
		return twin.Document{}, err
	}
	return d.hub.Do(d.id, name, m, string(body))
}

func (d doTwin) Get(ctx context.Context, name twin.Name) (twin.Document, error) {
	return d.Send(ctx, twin.Get, name, nil)
}

func (d doTwin) Put(ctx context.Context, name twin.Name, u twin.Update) (twin.Document, error) {
	return d.Send(ctx, twin.Put, name, u.Encode())
}

func (d doTwin) Patch(ctx context.Context, name twin.Name, u twin.Update) (twin.Document, error) {
	return d.Send(ctx, twin.Patch, name, u.Encode())
}

func enterCore(_ *testing.T, h *hubtest.Hub, id twin.ID) conformance.Twin { return doTwin{h, id} }

func enterREST(_ *testing.T, h *hubtest.Hub, id twin.ID) conformance.Twin { return restTwin(h, id) }

func enterMQTT(_ *testing.T, h *hubtest.Hub, id twin.ID) conformance.Twin {
	w := wireTwin(h, id)
	w.Bystander = h.AddDevice("bystander of " + string(id)).ID
	return w
}

func enterWebSocket(_ *testing.T, h *hubtest.Hub, id twin.ID) conformance.Twin {
	address := h.WS()
	w := conformance.Wire(func(ctx context.Context) (net.Conn, error) {
		conn, _, err := websocket.Dial(ctx, address, &websocket.DialOptions{Subprotocols: []string{"mqtt"}})
		if err != nil {
			return nil, err
		}
		return websocket.NetConn(context.Background(), conn, websocket.MessageBinary), nil
	}, restTwin(h, id))
	w.Bystander = h.AddDevice("bystander of " + string(id)).ID
	return w
}

// enterByClient goes through package twinclient, which refuses at home what no hub would
// accept. REST lists and deletes for it.
func enterByClient(t *testing.T, h *hubtest.Hub, id twin.ID) conformance.Twin {
	mqtt := conformance.MQTT(twinclient.Options{Hub: "mqtt://localhost", DeviceID: id, Dial: h.Dial})
	t.Cleanup(func() {
		if err := mqtt.Close(); err != nil {
			t.Error(err)
		}
	})
	return struct {
		*conformance.MQTTTwin
		conformance.Manager
	}{mqtt, restTwin(h, id)}
}

func enterBoth(_ *testing.T, h *hubtest.Hub, id twin.ID) conformance.Twin {
	wire := wireTwin(h, id)
	return &bothTwin{Manager: wire.RESTTwin, ways: []sender{wire.RESTTwin, wire}}
}

func restTwin(h *hubtest.Hub, id twin.ID) *conformance.RESTTwin {
	r := conformance.REST(hubtest.BaseURL, h.Token, id)
	r.Client = h.HTTPClient()
	r.ReadOnly = h.AddToken(registry.Token{Name: "reader of " + string(id), ReadOnly: true})
	return r
}

func wireTwin(h *hubtest.Hub, id twin.ID) *conformance.WireTwin {
	w := conformance.Wire(h.Dial, restTwin(h, id))
	w.Several = true
	return w
}

// A sender can do everything but list and delete.
type sender interface {
	conformance.Twin
	conformance.Sender
}

// bothTwin asks over REST and over MQTT in turn: they are two ways to the same documents.
type bothTwin struct {
	conformance.Manager
	ways     []sender
	requests atomic.Uint32
}

func (b *bothTwin) next() sender { return b.ways[int(b.requests.Add(1))%len(b.ways)] }

func (b *bothTwin) Get(ctx context.Context, name twin.Name) (twin.Document, error) {
	return b.next().Get(ctx, name)
}

func (b *bothTwin) Put(ctx context.Context, name twin.Name, u twin.Update) (twin.Document, error) {
	return b.next().Put(ctx, name, u)
}

func (b *bothTwin) Patch(ctx context.Context, name twin.Name, u twin.Update) (twin.Document, error) {
	return b.next().Patch(ctx, name, u)
}

func (b *bothTwin) Send(ctx context.Context, m twin.Method, name twin.Name, body []byte) (twin.Document, error) {
	return b.next().Send(ctx, m, name, body)
}
