package conformance

import (
	"encoding/json"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

// A talk is a connection to the hub's MQTT side in the hands of a check.
type talk struct {
	*client
	conn *wireConn
	name string // in the trace, where there are several: "first"
}

func (c *client) wire() *WireTwin { return c.Twin.(*WireTwin) }

// dial opens a connection on which nothing has been said yet.
func (c *client) dial(name string) *talk {
	c.Helper()
	conn, err := c.wire().open(c.ctx)
	if err != nil {
		c.Fatalf("%v", err)
	}
	t := &talk{client: c, conn: conn, name: name}
	c.talks = append(c.talks, t)
	return t
}

// connect connects as the device, and subscribes.
func (c *client) connect(filters ...string) *talk {
	c.Helper()
	t := c.dial("")
	t.hello(connect{clientID: c.id(), keepAlive: 60}, filters...)
	return t
}

// hello connects and subscribes, which must be accepted.
func (t *talk) hello(as connect, filters ...string) {
	t.Helper()
	t.asks(as.packet(), "CONNACK 0")
	for _, f := range filters {
		t.asks(subscribe(0, f), "SUBACK 0")
	}
}

// say sends a packet.
func (t *talk) say(p packet) {
	t.Helper()
	traceOf(t.ctx).said(t.name + "> " + p.words)
	if err := t.conn.send(p); err != nil {
		t.Fatalf("%v", err)
	}
}

// hear waits for a packet, or for the end of the connection.
func (t *talk) hear() (packet, error) {
	p, err := t.conn.next(t.ctx)
	traceOf(t.ctx).heard(t.name + "< " + heardWords(p, err))
	return p, err
}

// wants fails unless the next packet is this one. "closed" is the end of the connection.
func (t *talk) wants(words string) {
	t.Helper()
	if got := heardWords(t.hear()); got != words {
		t.Fatalf("got %s, want %s", brief(got), words)
	}
}

// asks sends a packet that has to be answered by this one.
func (t *talk) asks(p packet, words string) {
	t.Helper()
	t.say(p)
	t.wants(words)
}

// nothing fails unless the hub has nothing more to say.
func (t *talk) nothing() {
	t.Helper()
	t.asks(pingreq, "PINGRESP")
	timer := time.NewTimer(t.wire().Quiet)
	defer timer.Stop()
	select {
	case p, more := <-t.conn.packets:
		if !more {
			t.Fatalf("the connection is closed")
		}
		traceOf(t.ctx).heard(t.name + "< " + p.words)
		t.Errorf("got %s, want nothing", brief(p.words))
	case <-timer.C:
	}
}

// request asks for a method of a document, by me.
func request(m twin.Method, name twin.Name, payload string) message {
	return message{topic: twin.Topic{Twin: twin.Me, Document: string(name), Method: m}.String(), payload: payload}
}

// succeeds makes a request, whose answer must be a document.
func (t *talk) succeeds(m message) twin.Document {
	t.Helper()
	doc, err := twin.ParseDocument([]byte(t.answered(m, twin.Success)))
	if err != nil {
		t.Fatalf("the answer is no document: %v", err)
	}
	return doc
}

// fails makes a request, whose answer must be an error, and returns its keys.
func (t *talk) fails(m message) map[string]any {
	t.Helper()
	answer := t.answered(m, twin.Error)
	keys, _ := values([]byte(answer)).(map[string]any)
	if text, _ := keys["error"].(string); text == "" {
		t.Fatalf("the error answer is %s, want a text under error", brief(answer))
	}
	return keys
}

// refused makes a request, whose answer must be this error and nothing more.
func (t *talk) refused(m message, text string) {
	t.Helper()
	quoted, _ := json.Marshal(text)
	t.asks(m.packet(), "PUBLISH "+m.topic+"/response/error "+`{"error":`+string(quoted)+`}`)
}

// answered makes a request, whose answer must come on the topic for this result.
func (t *talk) answered(m message, r twin.Result) (payload string) {
	t.Helper()
	t.say(m.packet())
	p, err := t.hear()
	answer, _ := p.message()
	if want := m.topic + "/response/" + string(r); answer.topic != want {
		t.Fatalf("got %s, want an answer on %s", brief(heardWords(p, err)), want)
	}
	return answer.payload
}

// elsewhere is the twin as somebody else sees it, over REST: a second connection of
// the device could end the first.
func (c *client) elsewhere() *client {
	return &client{Twin: c.rest(), reporter: c.reporter, ctx: c.ctx, prefix: c.prefix, names: c.names}
}
