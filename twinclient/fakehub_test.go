package twinclient

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
	"github.com/twinpanel/twinpanel/twin"
)

const deviceID twin.ID = "7cf2b1f0-5d3a-4c6e-9d5b-3a1f0e8c2b41"

// A fakeHub is a hub at the level of MQTT packets: strict in what it takes from
// the client, and as wicked as told in what it sends. It is made for synctest
// bubbles: its connections are pipes.
type fakeHub struct {
	t  testing.TB
	wg sync.WaitGroup

	mu       sync.Mutex
	docs     map[string]twin.Document
	conn     *hubConn // the latest
	requests []string // such as "put current" and "patch current 4", in order
	packets  map[byte]int
	open     int

	fault     func(request string) fault // nil = none
	down      error                      // what dialling fails with
	connack   byte
	secret    string // that it wants; "" = none must come
	suback    byte
	silent    bool          // no CONNACK at all
	latency   time.Duration // of each answer
	notices   notices
	dials     int
	asked     int // for notices
	goodbyes  int // DISCONNECT packets
	timeout   time.Duration
	tls       *tls.Config
	exclusive bool // checks that a device never opens a second connection beside its first
}

func newFakeHub(t testing.TB) *fakeHub {
	h := &fakeHub{t: t, docs: map[string]twin.Document{}, packets: map[byte]int{}, timeout: DefaultTimeout, exclusive: true}
	t.Cleanup(h.wg.Wait)
	return h
}

// options connect to the hub.
func (h *fakeHub) options() Options {
	return Options{Hub: "mqtt://localhost", DeviceID: deviceID, Dial: h.dial}
}

func (h *fakeHub) dial(context.Context) (net.Conn, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dials++
	if h.down != nil {
		return nil, h.down
	}
	if h.exclusive && h.open > 0 {
		h.t.Errorf("dialled while %d connections are open", h.open)
	}
	client, server := net.Pipe()
	if h.tls != nil {
		server = h.relay(server)
	}
	h.open++
	h.accept(server)
	return &watchedConn{Conn: client, closed: sync.OnceFunc(func() {
		h.mu.Lock()
		h.open--
		h.mu.Unlock()
	})}, nil
}

// relay adds what a network has and a pipe lacks: room for what nobody reads.
// When a handshake fails, both ends of TLS may write.
func (h *fakeHub) relay(far net.Conn) net.Conn {
	near, server := net.Pipe()
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		h.wg.Go(func() {
			io.Copy(way[0], way[1])
			near.Close()
			far.Close()
		})
	}
	return server
}

// accept serves a connection, which takes over from the one before. It is called
// under the hub's lock.
func (h *fakeHub) accept(conn net.Conn) {
	if h.tls != nil {
		conn = tls.Server(conn, h.tls)
	}
	c := &hubConn{hub: h, Conn: conn, ended: make(chan struct{})}
	if h.conn != nil {
		h.conn.drop()
	}
	h.conn = c
	h.wg.Go(c.serve)
}

// A watchedConn counts as open until the client closes it.
type watchedConn struct {
	net.Conn
	closed func()
}

func (c *watchedConn) Close() error {
	c.closed()
	return c.Conn.Close()
}

// set writes a document as the REST API does, "" deletes it, and tells of it.
func (h *fakeHub) set(name, data string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if data == "" {
		delete(h.docs, name)
	} else {
		h.docs[name] = twin.Document{Version: h.docs[name].Version + 1, Data: []byte(data)}
	}
	if h.conn != nil {
		h.conn.tell(name)
	}
}

func (h *fakeHub) doc(name string) twin.Document {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.docs[name]
}

// seen returns the requests so far and forgets them.
func (h *fakeHub) seen() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.requests
	h.requests = nil
	return r
}

// dialled is how often somebody tried to connect.
func (h *fakeHub) dialled() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.dials
}

// do is fn under the hub's lock.
func (h *fakeHub) do(fn func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fn()
}

// takeOver closes the connection as a second client with the same id would.
func (h *fakeHub) takeOver() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conn != nil {
		h.conn.drop()
	}
}

// A hubConn is the hub's end of a connection.
type hubConn struct {
	hub *fakeHub
	net.Conn
	ended      chan struct{}
	write      sync.Mutex
	unanswered string                 // the request whose answer was withheld
	echo       *packets.PublishPacket // to be sent once more
	watched    string                 // the document that it wants notices of, "" = none
	doubled    bool                   // it was: from then on a get may have taken the answer to another
}

// drop closes the connection, in a goroutine because TLS says goodbye first.
func (c *hubConn) drop() { c.hub.wg.Go(func() { c.Close() }) }

func (c *hubConn) serve() {
	defer close(c.ended)
	defer c.Close()
	if err := c.greet(); err != nil {
		return
	}
	for {
		p, err := c.read()
		if err != nil {
			return
		}
		switch p := p.(type) {
		case *packets.PingreqPacket:
			c.send(packets.NewControlPacket(packets.Pingresp))
		case *packets.DisconnectPacket:
			c.hub.do(func() { c.hub.goodbyes++ })
			return
		case *packets.PublishPacket:
			if !c.publish(p) {
				return
			}
		case *packets.SubscribePacket:
			if !c.subscribe(p) {
				return
			}
		default:
			c.hub.t.Errorf("hub got %v", p)
			return
		}
	}
}

func (c *hubConn) read() (packets.ControlPacket, error) {
	p, err := packets.ReadPacket(c)
	if err == nil {
		b := packetType(p)
		c.hub.do(func() { c.hub.packets[b]++ })
	}
	return p, err
}

func packetType(p packets.ControlPacket) byte {
	var b bytes.Buffer
	p.Write(&b)
	return b.Bytes()[0] >> 4
}

// greet checks CONNECT and SUBSCRIBE.
func (c *hubConn) greet() error {
	h := c.hub
	p, err := c.read()
	if err != nil {
		return err
	}
	connect, ok := p.(*packets.ConnectPacket)
	if !ok || connect.ProtocolName != "MQTT" || connect.ProtocolVersion != 4 || !connect.CleanSession ||
		connect.ClientIdentifier != string(deviceID) || connect.WillFlag || connect.Keepalive != 60 {
		h.t.Errorf("hub got %v instead of a proper CONNECT", p)
	}
	h.mu.Lock()
	silent, connack, suback, secret := h.silent, h.connack, h.suback, h.secret
	h.mu.Unlock()
	if secret == "" && (connect.UsernameFlag || connect.PasswordFlag) || secret != "" && connect.Username != string(deviceID) {
		h.t.Errorf("hub got the user %q, %v, and a password, %v", connect.Username, connect.UsernameFlag, connect.PasswordFlag)
	}
	if string(connect.Password) != secret {
		connack = 5
	}
	if silent {
		_, err := c.read()
		return cmpErr(err)
	}
	ack := packets.NewControlPacket(packets.Connack).(*packets.ConnackPacket)
	ack.ReturnCode = connack
	c.send(ack)
	if connack != 0 {
		return errors.New("refused")
	}
	if p, err = c.read(); err != nil {
		return err
	}
	subscribe, ok := p.(*packets.SubscribePacket)
	if !ok || !slices.Equal(subscribe.Topics, []string{"$SCW/twins/me/#"}) || !slices.Equal(subscribe.Qoss, []byte{0}) {
		h.t.Errorf("hub got %v instead of the SUBSCRIBE", p)
		return errors.New("no subscribe")
	}
	c.grant(subscribe, suback)
	return nil
}

func (c *hubConn) grant(p *packets.SubscribePacket, code byte) {
	granted := packets.NewControlPacket(packets.Suback).(*packets.SubackPacket)
	granted.MessageID = p.MessageID
	granted.ReturnCodes = []byte{code}
	c.send(granted)
}

func cmpErr(err error) error {
	if err == nil {
		return errors.New("client spoke before CONNACK")
	}
	return err
}

func (c *hubConn) send(p packets.ControlPacket) {
	var b bytes.Buffer
	p.Write(&b)
	c.write.Lock()
	defer c.write.Unlock()
	io.Copy(c, &b)
}

// publish takes a request, and says whether the connection goes on.
func (c *hubConn) publish(p *packets.PublishPacket) bool {
	h := c.hub
	topic, err := twin.ParseTopic(p.TopicName)
	if err != nil || p.Qos != 0 || p.Retain || p.Dup || topic.Twin != twin.Me || topic.Result != twin.Request {
		h.t.Errorf("hub got %v: %v", p, err)
		return false
	}
	if c.unanswered != "" && !c.doubled {
		h.t.Errorf("hub got %s while %s waits for its answer", p.TopicName, c.unanswered)
	}
	if c.echo != nil {
		c.send(c.echo)
		c.echo, c.doubled = nil, true
	}
	h.mu.Lock()
	request := fmt.Sprintf("%s %s", topic.Method, topic.Document)
	if u, err := twin.ParsePut(p.Payload); topic.Method != twin.Get && err == nil && u.Version != 0 {
		request += fmt.Sprintf(" %d", u.Version)
	}
	h.requests = append(h.requests, request)
	what := none
	if h.fault != nil {
		what = h.fault(request)
	}
	latency := h.latency
	var answer *packets.PublishPacket
	switch what {
	case loseRequest:
	case refuse:
		answer = message(topic.Response(twin.Error).String(), `{"error":"internal"}`)
	default:
		answer = c.handle(topic, p.Payload)
	}
	h.mu.Unlock()
	time.Sleep(latency)
	return c.misbehave(what, topic, answer)
}

// handle is the hub's core: what a request does, and its answer.
func (c *hubConn) handle(topic twin.Topic, payload []byte) *packets.PublishPacket {
	old, have := c.hub.docs[topic.Document]
	doc, err := apply(topic.Method, old, have, payload)
	if err != nil {
		return message(topic.Response(twin.Error).String(), string(twin.EncodeError(deviceID, twin.Name(topic.Document), err)))
	}
	c.hub.docs[topic.Document] = doc
	return message(topic.Response(twin.Success).String(), string(doc.Encode()))
}

func apply(m twin.Method, old twin.Document, have bool, payload []byte) (twin.Document, error) {
	switch m {
	case twin.Put:
		u, err := twin.ParsePut(payload)
		if err == nil {
			err = twin.CheckVersion(u.Version, old.Version)
		}
		return twin.Document{Version: old.Version + 1, Data: u.Data}, err
	case twin.Patch:
		u, err := twin.ParsePatch(payload)
		if err == nil && !have {
			err = twin.ErrDocumentNotFound
		}
		if err == nil {
			err = twin.CheckVersion(u.Version, old.Version)
		}
		if err != nil {
			return twin.Document{}, err
		}
		data, err := twin.Merge(old.Data, u.Data)
		return twin.Document{Version: old.Version + 1, Data: data}, err
	}
	if !have {
		return twin.Document{}, twin.ErrDocumentNotFound
	}
	return old, nil
}

// message is what a hub says at QoS 0.
func message(topic, payload string) *packets.PublishPacket {
	p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	p.TopicName = topic
	p.Payload = []byte(payload)
	return p
}
