package conformance

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

// Waits on the wire.
const (
	answerTime = 15 * time.Second // for what has to come: more than a hub takes to give up
	leaveTime  = 2 * time.Second  // for the hub to close after DISCONNECT
)

// A WireTwin is a device's own twin over MQTT, spoken packet by packet as a tool like
// mosquitto_rr does: each request has a connection of its own, and nothing is refused before it is
// sent. What MQTT has no way to ask for goes over REST. It is a [Manager] and a [Sender], and
// the twin that the checks of MQTT itself need.
type WireTwin struct {
	*RESTTwin // lists, deletes, and writes as somebody else

	// Several says that the device may have several connections. Otherwise requests
	// wait for each other, since a second connection would end the first.
	Several bool

	// Bystander is another device of the hub, which must not hear what goes on. Empty:
	// the check that needs it is left out.
	Bystander twin.ID

	// Quiet is how long to wait for what must not come. A hub that answers the requests of
	// a connection in their order needs no wait: then the answer to a ping says
	// that nothing else is to come.
	Quiet time.Duration

	dial func(context.Context) (net.Conn, error)
	turn sync.Mutex
}

var (
	_ Twin    = (*WireTwin)(nil)
	_ Manager = (*WireTwin)(nil)
	_ Sender  = (*WireTwin)(nil)
)

// Wire returns the twin that rest is, over MQTT. Its device has to accept connections that show no
// more than its id. dial opens a connection of bytes: TCP, or a WebSocket that passes for it.
func Wire(dial func(context.Context) (net.Conn, error), rest *RESTTwin) *WireTwin {
	return &WireTwin{RESTTwin: rest, dial: dial}
}

// Get implements [Twin].
func (w *WireTwin) Get(ctx context.Context, name twin.Name) (twin.Document, error) {
	return w.Send(ctx, twin.Get, name, nil)
}

// Put implements [Twin].
func (w *WireTwin) Put(ctx context.Context, name twin.Name, u twin.Update) (twin.Document, error) {
	return w.Send(ctx, twin.Put, name, u.Encode())
}

// Patch implements [Twin].
func (w *WireTwin) Patch(ctx context.Context, name twin.Name, u twin.Update) (twin.Document, error) {
	return w.Send(ctx, twin.Patch, name, u.Encode())
}

// Send implements [Sender].
func (w *WireTwin) Send(ctx context.Context, m twin.Method, name twin.Name, body []byte) (twin.Document, error) {
	if !w.Several {
		w.turn.Lock()
		defer w.turn.Unlock()
	}
	conn, err := w.open(ctx)
	if err != nil {
		return twin.Document{}, err
	}
	defer conn.leave()
	hello := connect{clientID: string(w.id)}
	if w.Several {
		hello = connect{username: string(w.id)} // two connections can't have the same client id
	}
	if err := conn.expect(ctx, hello.packet(), "CONNACK 0"); err != nil {
		return twin.Document{}, err
	}
	request := twin.Topic{Twin: twin.Me, Document: string(name), Method: m}
	if err := conn.expect(ctx, subscribe(0, request.String()+"/response/+"), "SUBACK 0"); err != nil {
		return twin.Document{}, err
	}
	asked := message{topic: request.String(), payload: string(body)}.packet()
	if err := conn.send(asked); err != nil {
		return twin.Document{}, err
	}
	p, err := conn.next(ctx)
	traceOf(ctx).exchanged("> "+asked.words, heardWords(p, err))
	if err != nil {
		return twin.Document{}, err
	}
	answer, _ := p.message()
	switch answer.topic {
	case request.Response(twin.Error).String():
		return twin.Document{}, twin.DecodeError([]byte(answer.payload))
	case request.Response(twin.Success).String():
		doc, err := twin.ParseDocument([]byte(answer.payload))
		if err != nil {
			// Not as itself: the hub's answer is no refusal of the request.
			return twin.Document{}, fmt.Errorf("reading document: %v", err)
		}
		return doc, nil
	}
	return twin.Document{}, fmt.Errorf("answer is %s", brief(p.words))
}

// A wireConn is a connection to the hub's MQTT side.
type wireConn struct {
	conn    net.Conn
	packets chan packet // closed when nothing more comes
	ended   error       // why; good once packets is closed
}

// open opens a connection on which nothing has been said yet.
func (w *WireTwin) open(ctx context.Context) (*wireConn, error) {
	w.hide(traceOf(ctx))
	traceOf(ctx).hide(string(w.Bystander), "OTHER_ID")
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	conn, err := w.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	c := &wireConn{conn: conn, packets: make(chan packet, 64)}
	go c.read()
	return c, nil
}

func (c *wireConn) read() {
	defer close(c.packets)
	for r := bufio.NewReader(c.conn); ; {
		p, err := readPacket(r)
		if err != nil {
			c.ended = err
			return
		}
		c.packets <- p
	}
}

func (c *wireConn) send(p packet) error {
	c.conn.SetWriteDeadline(time.Now().Add(answerTime))
	if err := p.write(c.conn); err != nil {
		return fmt.Errorf("sending %s: %w", brief(p.words), err)
	}
	return nil
}

// Why no packet comes.
var (
	errClosed  = errors.New("closed")
	errNothing = fmt.Errorf("nothing for %v", answerTime)
)

// next waits for a packet.
func (c *wireConn) next(ctx context.Context) (packet, error) {
	timer := time.NewTimer(answerTime)
	defer timer.Stop()
	select {
	case p, ok := <-c.packets:
		if !ok {
			return packet{}, errClosed
		}
		return p, nil
	case <-timer.C:
		return packet{}, errNothing
	case <-ctx.Done():
		return packet{}, ctx.Err()
	}
}

// expect sends a packet whose answer has to be in these words.
func (c *wireConn) expect(ctx context.Context, p packet, want string) error {
	if err := c.send(p); err != nil {
		return err
	}
	answer, err := c.next(ctx)
	if got := heardWords(answer, err); got != want {
		return fmt.Errorf("%s is answered %s, want %s", brief(p.words), brief(got), want)
	}
	return nil
}

// leave says goodbye and waits until the hub has closed, so that the next connection of
// the device is no second one.
func (c *wireConn) leave() {
	defer c.close()
	if c.send(disconnect) != nil {
		return
	}
	timer := time.NewTimer(leaveTime)
	defer timer.Stop()
	for {
		select {
		case _, more := <-c.packets:
			if !more {
				return
			}
		case <-timer.C:
			return
		}
	}
}

// close ends the connection and the goroutine that reads it.
func (c *wireConn) close() {
	c.conn.Close()
	for range c.packets {
		// Nobody waits for it any more.
	}
}

// heardWords are what came of waiting for a packet.
func heardWords(p packet, err error) string {
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(p.words)
}
