package main

import (
	"cmp"
	"net"
	"strings"
	"sync"

	"github.com/twinpanel/twinpanel/twin"
)

// isNotice tells a notice of a change, which is news each time, from what may be a look or a sign of life.
func isNotice(topic string) bool { return strings.HasSuffix(topic, "/changed") }

// A tap is a listener whose connections are shown on a wire. Showing costs a connection a copy of each packet, at
// most maxPacket, and waits for nobody; what comes in is neither changed nor held back, be it MQTT or not.
type tap struct {
	net.Listener
	wire  *wire
	names map[twin.ID]string // who is who
}

func (t *tap) Accept() (net.Conn, error) {
	conn, err := t.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newTapped(conn, t), nil
}

// A tapped connection shows its packets.
type tapped struct {
	net.Conn
	tap *tap

	mu          sync.Mutex // of all below: one goroutine reads while another writes
	who         string     // empty until there is a CONNECT
	in, out     packets
	endIsShown  bool
	isConnected bool
}

func newTapped(conn net.Conn, t *tap) *tapped {
	c := &tapped{Conn: conn, tap: t}
	c.in.take = c.received
	c.out.take = c.sent
	return c
}

// NetConn is what the hub looks for to set TCP's keep-alive.
func (c *tapped) NetConn() net.Conn { return c.Conn }

func (c *tapped) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in.write(b[:n])
	return n, err
}

// Write shows first: an answer to what is written here may be shown before Write returns.
func (c *tapped) Write(b []byte) (int, error) {
	c.mu.Lock()
	c.out.write(b)
	c.mu.Unlock()
	return c.Conn.Write(b)
}

func (c *tapped) Close() error {
	c.mu.Lock()
	if c.isConnected && !c.endIsShown {
		c.endIsShown = true
		c.tap.wire.add(message{From: c.who, To: "hub", Over: "MQTT", What: "connection closed"})
	}
	c.mu.Unlock()
	return c.Conn.Close()
}

// received shows what the device says.
func (c *tapped) received(p packet) {
	m := message{From: c.who, To: "hub", Over: "MQTT"}
	switch p.kind() {
	case packetConnect:
		clientID, username, password, ok := p.connect()
		if !ok {
			return
		}
		c.who = cmp.Or(c.tap.names[twin.ID(clientID)], c.tap.names[twin.ID(username)], "a device")
		m.From, m.What = c.who, "CONNECT as "+cmp.Or(clientID, username)
		if password {
			m.What += ", with a secret"
		}
	case packetPublish:
		topic, payload, ok := p.publish()
		if !ok {
			return
		}
		m.What, m.Payload, m.Cut, m.folds = "PUBLISH "+topic, string(payload), p.cut, !isNotice(topic)
	case packetSubscribe:
		m.What = "SUBSCRIBE " + p.subscribe()
	case packetDisconnect:
		m.What = "DISCONNECT"
	default:
		return
	}
	if c.who != "" {
		c.tap.wire.add(m)
	}
}

// sent shows what the hub says.
func (c *tapped) sent(p packet) {
	m := message{From: "hub", To: c.who, Over: "MQTT"}
	switch p.kind() {
	case packetConnack:
		m.What = "CONNACK " + p.connack()
		c.isConnected = true
	case packetPublish:
		topic, payload, ok := p.publish()
		if !ok {
			return
		}
		m.What, m.Payload, m.Cut, m.folds = "PUBLISH "+topic, string(payload), p.cut, !isNotice(topic)
	default:
		return
	}
	if c.who != "" {
		c.tap.wire.add(m)
	}
}
