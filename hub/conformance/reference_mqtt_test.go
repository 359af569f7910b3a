package conformance

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

const referenceBystander twin.ID = "abcdef00-0000-4000-8000-000000000002"

// An endpoint is the reference over MQTT.
type endpoint struct {
	*reference

	mu    sync.Mutex
	conns []*endpointConn
	own   *reference // another store, for the fault that has one
}

// wire is the reference over MQTT, over pipes.
func (r *reference) wire() *WireTwin {
	e := r.endpoint()
	t := Wire(func(context.Context) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go e.serve(theirs)
		return ours, nil
	}, r.rest())
	t.Bystander = referenceBystander
	return t
}

func (r *reference) endpoint() *endpoint {
	e := &endpoint{reference: r, own: newReference("")}
	r.changed = e.changed
	return e
}

// An endpointConn is one connection.
type endpointConn struct {
	*endpoint
	conn      net.Conn
	id        twin.ID
	keepAlive time.Duration
	filters   []string
	seen      map[uint16]bool // ids of messages
	held      []packet        // answers that are overtaken
}

func (e *endpoint) serve(conn net.Conn) {
	c := &endpointConn{endpoint: e, conn: conn, seen: map[uint16]bool{}}
	defer e.leave(c)
	in := bufio.NewReader(conn)
	hello, err := readPacket(in)
	if err != nil || hello.kind() != packetConnect || !c.connect(hello.body) {
		return
	}
	for {
		if c.keepAlive > 0 && !e.is("MQTT: keep-alive is not kept") {
			conn.SetReadDeadline(time.Now().Add(c.keepAlive * 3 / 2))
		}
		p, err := readPacket(in)
		if err != nil || !c.handle(p) {
			return
		}
	}
}

func (e *endpoint) leave(c *endpointConn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.conns = slices.DeleteFunc(e.conns, func(o *endpointConn) bool { return o == c })
	c.conn.Close()
}

func (c *endpointConn) send(packets ...packet) {
	for _, p := range packets {
		_ = p.write(c.conn) // a client that is gone misses nothing
	}
}

// connect answers a CONNECT.
func (c *endpointConn) connect(body []byte) bool {
	rest := body[2+int(body[1]):]
	level, flags := rest[0], rest[1]
	c.keepAlive = time.Duration(binary.BigEndian.Uint16(rest[2:])) * time.Second
	fields := cutStrings(rest[4:])
	if level == 5 {
		if c.is("MQTT: level 5 is refused like others") {
			c.send(packet{first: 0x20, body: []byte{0, 1}})
		} else {
			c.send(packet{first: 0x20, body: []byte{0, 132, 0}})
		}
		return false
	}
	clientID, username := fields[0], ""
	if flags&0x80 != 0 {
		username = fields[len(fields)-1]
	}
	known := func(id string) bool { return id == string(referenceID) || id == string(referenceBystander) }
	code, present := byte(0), byte(0)
	switch {
	case c.is("MQTT: level 3 is refused") && level == 3:
		code = 1
	case clientID == "" && (flags&2 == 0 && !c.is("MQTT: clean session 0 needs no client id") || c.is("MQTT: a client id is needed")):
		code = 2
	case c.is("MQTT: wills are refused") && flags&4 != 0:
		code = 5
	case known(clientID) && !c.is("MQTT: a client id is no device"):
		c.id = twin.ID(clientID)
	case known(username) && !c.is("MQTT: a user name is no device"):
		c.id = twin.ID(username)
	case !c.is("MQTT: every client is a device"):
		code = 5
	}
	if c.is("MQTT: sessions are kept") && flags&2 == 0 {
		present = 1
	}
	if code == 0 {
		c.takeOver()
	}
	c.send(packet{first: 0x20, body: []byte{present, code}})
	return code == 0
}

// takeOver ends the device's other connection.
func (c *endpointConn) takeOver() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.conns {
		if o.id == c.id && !c.is("MQTT: connections don't end each other") {
			o.conn.Close()
		}
	}
	c.conns = append(c.conns, c)
}

// handle does what a packet asks; false ends the connection.
func (c *endpointConn) handle(p packet) bool {
	switch p.kind() {
	case packetPingreq:
		if !c.is("MQTT: pings are ignored") {
			c.send(packet{first: packetPingresp << 4})
		}
	case packetSubscribe:
		c.subscribe(p)
	case packetUnsubscribe:
		if f := cutStrings(p.body[2:])[0]; !c.is("MQTT: UNSUBSCRIBE is forgotten") {
			c.setFilters(slices.DeleteFunc(slices.Clone(c.filters), func(g string) bool { return f == g }))
		}
		c.send(packet{first: packetUnsuback << 4, body: p.body[:2]})
	case packetPublish:
		m, _ := p.message()
		return c.publish(m)
	default:
		return false
	}
	return true
}

// setFilters is seen by those who have something to tell.
func (c *endpointConn) setFilters(filters []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.filters = filters
}

// subscribe answers a SUBSCRIBE of one filter.
func (c *endpointConn) subscribe(p packet) {
	filter := string(p.body[4 : len(p.body)-1])
	code := byte(0)
	if c.is("MQTT: subscriptions are granted as asked") {
		code = p.body[len(p.body)-1]
	}
	good := strings.HasPrefix(filter, "$SCW/twins/") && !strings.Contains(filter, "#/") && !strings.Contains(filter, "e+")
	if !good && !c.is("MQTT: every filter is granted") && !(c.is("MQTT: wildcards mean $") && filter != "") {
		code = 0x80
	} else if filter != "" {
		c.setFilters(append(slices.Clone(c.filters), filter))
	}
	c.send(packet{first: packetSuback << 4, body: append(p.body[:2:2], code)})
	levels := strings.Split(filter, "/")
	if code == 0 && levels[len(levels)-1] == "changed" && !c.is("MQTT: a SUBACK is all") {
		doc, _ := c.reference.Get(context.Background(), twin.Name(levels[3]))
		c.send(message{topic: filter, payload: fmt.Sprintf(`{"version":%d}`, doc.Version)}.packet())
	}
}

// changed tells who has asked that a document has another version.
func (e *endpoint) changed(name twin.Name, version uint32, from *endpointConn) {
	if e.is("MQTT: a delete is no change") && version == 0 {
		return
	}
	e.mu.Lock()
	conns := slices.Clone(e.conns)
	e.mu.Unlock()
	for _, c := range conns {
		c.mu.Lock()
		filters := c.filters
		c.mu.Unlock()
		if c.id != referenceID || c == from && !e.is("MQTT: writers are told") {
			continue
		}
		for _, id := range []string{twin.Me, string(referenceID)} {
			topic := "$SCW/twins/" + id + "/" + string(name) + "/changed"
			asked := slices.ContainsFunc(filters, func(f string) bool {
				return means(f, topic) && (strings.HasSuffix(f, "/changed") || e.is("MQTT: everybody is told"))
			})
			if e.is("MQTT: notices always say me") {
				topic = strings.Replace(topic, string(referenceID), twin.Me, 1)
			}
			if asked {
				c.send(message{topic: topic, payload: fmt.Sprintf(`{"version":%d}`, version)}.packet())
			}
		}
	}
}

// publish answers a PUBLISH.
func (c *endpointConn) publish(m message) bool {
	switch {
	case m.qos == 2 && !c.is("MQTT: QoS 2 is accepted"),
		m.retain && !c.is("MQTT: retained messages are accepted"),
		!strings.HasPrefix(m.topic, twin.Prefix) && !c.is("MQTT: other topics are accepted"):
		return false
	}
	t, err := twin.ParseTopic(m.topic)
	if err != nil && c.is("MQTT: unknown methods are refused") {
		c.answer(m.topic+"/response/error", `{"error":"unknown method"}`)
	}
	if err != nil || t.Result != twin.Request {
		if c.is("MQTT: a publish reaches who subscribed") {
			c.answer(m.topic, m.payload)
		}
		c.acknowledge(m)
		return true
	}
	result, payload := c.request(t, m)
	if result == twin.Success || !c.is("MQTT: refusals are not acknowledged") {
		c.acknowledge(m)
	}
	switch {
	case c.is("MQTT: answers always say me"):
		t.Twin = twin.Me
	case c.is("MQTT: refusals come as successes"):
		result = twin.Success
	case c.is("MQTT: answers come on the request's topic"):
		c.answer(m.topic, payload)
		return true
	}
	c.answer(t.Response(result).String(), payload)
	return true
}

func (c *endpointConn) acknowledge(m message) {
	if m.qos > 0 && !c.is("MQTT: nothing is acknowledged") {
		c.send(packet{first: packetPuback << 4, body: binary.BigEndian.AppendUint16(nil, m.id)})
	}
}

// request does a request.
func (c *endpointConn) request(t twin.Topic, m message) (result twin.Result, payload string) {
	var doc twin.Document
	var err error
	switch id := t.Twin; {
	case c.id != referenceID, id != twin.Me && (id != string(c.id) || c.is("MQTT: the id is not me")) && !c.is("MQTT: every twin is open"):
		err = twin.ErrPermissionDenied
	case m.dup && c.seen[m.id] && c.is("MQTT: what is sent again is not done again"):
		doc, err = c.Get(context.Background(), twin.Name(t.Document))
	case t.Method == twin.Get && m.payload != "" && c.is("MQTT: a get must be empty"):
		err = &twin.InvalidError{Argument: "body", Help: "a get has none"}
	case t.Method == twin.Get:
		doc, err = c.store().Get(context.Background(), twin.Name(t.Document))
	default:
		doc, err = c.store().send(c, t.Method, twin.Name(t.Document), []byte(m.payload))
	}
	c.seen[m.id] = true
	if err != nil {
		text := string(twin.EncodeError(referenceID, twin.Name(t.Document), err))
		if c.is("MQTT: errors are a text alone") {
			text = `{"error":"document version mismatch"}`
		}
		return twin.Error, text
	}
	payload = string(doc.Encode())
	if c.is("MQTT: a success has four keys") {
		payload = fmt.Sprintf(`{"twin_id":%q,"document_name":%q,%s`, c.id, t.Document, payload[1:])
	}
	return twin.Success, payload
}

func (c *endpointConn) store() *reference {
	if c.is("MQTT: documents are not those of REST") {
		return c.own
	}
	return c.reference
}

// answer sends an answer to who subscribed to it.
func (c *endpointConn) answer(topic, payload string) {
	p := message{topic: topic, payload: payload, retain: c.is("MQTT: answers are retained")}.packet()
	if c.is("MQTT: answers go to everybody") {
		c.mu.Lock()
		conns := slices.Clone(c.conns)
		c.mu.Unlock()
		for _, o := range conns {
			o.send(p)
		}
		return
	}
	matches := 0
	for _, f := range c.filters {
		if means(f, topic) || c.is("MQTT: wildcards mean $") && f == "#" || c.is("MQTT: a subscription means every answer") {
			matches++
		}
	}
	if !c.is("MQTT: each subscription gets an answer") {
		matches = min(matches, 1)
	}
	if c.is("MQTT: answers need no subscription") {
		matches = 1
	}
	for range matches {
		c.held = append(c.held, p)
	}
	if c.is("MQTT: answers overtake each other") && strings.Contains(payload, `"i":0`) {
		return
	}
	slices.Reverse(c.held)
	c.send(c.held...)
	c.held = nil
}

// means tells whether a filter means a topic.
func means(filter, topic string) bool {
	levels, names := strings.Split(filter, "/"), strings.Split(topic, "/")
	for i, level := range levels {
		switch {
		case level == "#" && i > 0:
			return true
		case i >= len(names), level != names[i] && (level != "+" || i == 0):
			return false
		}
	}
	return len(levels) == len(names)
}

// cutStrings reads strings with their lengths, as far as there are any.
func cutStrings(b []byte) []string {
	var all []string
	for r := bytes.NewReader(b); r.Len() >= 2; {
		var length uint16
		_ = binary.Read(r, binary.BigEndian, &length)
		s := make([]byte, length)
		if _, err := io.ReadFull(r, s); err != nil {
			break
		}
		all = append(all, string(s))
	}
	return all
}
