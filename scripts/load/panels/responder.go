package panels

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/twinpanel/twinpanel/twin"
)

// A Responder answers gets of the documents "desired" that it is sent through a broker, from memory: the least that it
// takes to have twins there. It checks nothing, keeps nothing and does no patches.
type Responder struct {
	answers map[string]response // by the topic of the request
}

type response struct {
	topic   string
	payload []byte
}

// NewResponder has the documents of so many panels.
func NewResponder(n int) *Responder {
	r := &Responder{answers: make(map[string]response, n)}
	for i := range n {
		q := requestOf(string(ID(i)), DesiredName, twin.Get)
		r.answers[q.topic] = response{q.answer, DesiredAnswer(i)}
	}
	return r
}

// Serve answers on a connection to the broker until it ends, each request at the QoS at which it came. It calls ready when
// it has subscribed.
func (r *Responder) Serve(ctx context.Context, conn net.Conn, ready func()) error {
	c, err := newClient(ctx, conn, "responder", 64<<10)
	if err != nil {
		return err
	}
	defer c.drop()
	if err := c.subscribe(twin.Prefix+"+/+/get", 1); err != nil {
		return err
	}
	ready()
	for {
		first, body, err := c.next()
		if err != nil {
			return err
		}
		switch {
		case first&0xf0 == pubackPacket:
		case first&0xf0 != publishPacket:
			return fmt.Errorf("%w: packet %x %x", errAnswer, first, body)
		default:
			if err := r.answer(c, first, body); err != nil {
				return err
			}
		}
		// What came in one piece is answered in one piece.
		if c.in.in.Buffered() == c.in.skip {
			if err := c.flush(); err != nil {
				return err
			}
		}
	}
}

// answer puts the answer to a request among what is to be sent.
func (r *Responder) answer(c *client, first byte, body []byte) error {
	topic, id, _, err := splitPublish(first, body)
	if err != nil {
		return err
	}
	a, ok := r.answers[string(topic)]
	if !ok {
		return errors.New("got a request of a panel that there is not: " + string(topic))
	}
	var qos byte
	if id != 0 {
		qos = 1
		c.out = appendPuback(c.out, id)
		c.id = max(c.id+1, 1)
	}
	c.out = appendPublish(c.out, a.topic, qos, c.id, a.payload)
	return nil
}
