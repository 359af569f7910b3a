package hub_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/conformance"
	"github.com/twinpanel/twinpanel/hub/docstore/sqlite"
	"github.com/twinpanel/twinpanel/hub/hubtest"
	"github.com/twinpanel/twinpanel/hub/registry"
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
	}{
		{"core", startInMemory, enterCore},
		{"REST", startInMemory, enterREST},
		{"MQTT", startInMemory, enterMQTT},
		{"twinclient", startInMemory, enterByClient},
		{"REST and MQTT in turn", startInMemory, enterBoth},
		{"core on SQLite", startOnSQLite, enterCore},
		{"REST and MQTT in turn on SQLite", startOnSQLite, enterBoth},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := tt.start(t)
			devices := 0
			conformance.Run(t, func(t *testing.T) conformance.Twin {
				devices++
				d, err := registry.NewDevice(fmt.Sprint("device", devices))
				if err != nil {
					t.Fatal(err)
				}
				d.AllowInsecure, d.AllowMultipleConnections = true, true
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

func enterMQTT(_ *testing.T, h *hubtest.Hub, id twin.ID) conformance.Twin { return mqttTwin{h, id} }

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
	rest := restTwin(h, id)
	return &bothTwin{Manager: rest, ways: [2]sender{rest, mqttTwin{h, id}}}
}

func restTwin(h *hubtest.Hub, id twin.ID) *conformance.RESTTwin {
	r := conformance.REST(hubtest.BaseURL, h.Token, id)
	r.Client = h.HTTPClient()
	return r
}

// A sender can do everything but list and delete.
type sender interface {
	conformance.Twin
	conformance.Sender
}

// bothTwin asks over REST and over MQTT in turn: they are two ways to the same documents.
type bothTwin struct {
	conformance.Manager
	ways     [2]sender
	requests atomic.Uint32
}

func (b *bothTwin) next() sender { return b.ways[b.requests.Add(1)%2] }

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

// mqttTwin is a device's own twin over MQTT as a tool like mosquitto_rr asks it: each
// request on a connection of its own, and nothing is refused before it is sent.
type mqttTwin struct {
	hub *hubtest.Hub
	id  twin.ID
}

func (m mqttTwin) Get(ctx context.Context, name twin.Name) (twin.Document, error) {
	return m.Send(ctx, twin.Get, name, nil)
}

func (m mqttTwin) Put(ctx context.Context, name twin.Name, u twin.Update) (twin.Document, error) {
	return m.Send(ctx, twin.Put, name, u.Encode())
}

func (m mqttTwin) Patch(ctx context.Context, name twin.Name, u twin.Update) (twin.Document, error) {
	return m.Send(ctx, twin.Patch, name, u.Encode())
}

func (m mqttTwin) Send(ctx context.Context, method twin.Method, name twin.Name, body []byte) (twin.Document, error) {
	conn, err := m.hub.Dial(ctx)
	if err != nil {
		return twin.Document{}, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return twin.Document{}, err
	}

	connect := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	connect.ProtocolName, connect.ProtocolVersion, connect.CleanSession = "MQTT", 4, true
	connect.UsernameFlag, connect.Username = true, string(m.id)
	if connack, err := exchange[*packets.ConnackPacket](conn, connect); err != nil || connack.ReturnCode != 0 {
		return twin.Document{}, fmt.Errorf("connecting: %v, %v", connack, err)
	}

	request := twin.Topic{Twin: twin.Me, Document: string(name), Method: method}
	subscribe := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
	subscribe.MessageID, subscribe.Topics, subscribe.Qoss = 1, []string{request.String() + "/response/+"}, []byte{0}
	if suback, err := exchange[*packets.SubackPacket](conn, subscribe); err != nil || suback.ReturnCodes[0] != 0 {
		return twin.Document{}, fmt.Errorf("subscribing: %v, %v", suback, err)
	}

	publish := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	publish.TopicName, publish.Payload = request.String(), body
	answer, err := exchange[*packets.PublishPacket](conn, publish)
	if err != nil {
		return twin.Document{}, err
	}
	switch answer.TopicName {
	case request.Response(twin.Error).String():
		return twin.Document{}, twin.DecodeError(answer.Payload)
	case request.Response(twin.Success).String():
		doc, err := twin.ParseDocument(answer.Payload)
		if exact := string(doc.Encode()); err == nil && exact != string(answer.Payload) {
			err = fmt.Errorf("answer is %s, want %s", answer.Payload, exact)
		}
		return doc, err
	}
	return twin.Document{}, errors.New("answer on " + answer.TopicName)
}

// exchange sends a packet and reads the hub's answer.
func exchange[Answer packets.ControlPacket](conn net.Conn, p packets.ControlPacket) (answer Answer, err error) {
	if err := p.Write(conn); err != nil {
		return answer, err
	}
	got, err := packets.ReadPacket(conn)
	if err != nil {
		return answer, err
	}
	answer, ok := got.(Answer)
	if !ok {
		return answer, fmt.Errorf("sent %v and got %v", p, got)
	}
	return answer, nil
}
