package panels

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// A client is one connection of a device. One goroutine at a time uses it.
type client struct {
	conn    net.Conn
	forget  func() bool // the end of the context that would close conn
	in      packetReader
	out     []byte // not sent yet
	id      uint16 // of the last packet that has one
	packets int64  // sent and received
	// notice is told the topic of each message that answers no request; nil = there must be none.
	notice func(topic []byte)
}

// bufferSize is in bytes: room for an answer with its topic.
const bufferSize = 768

// newClient connects a device on conn and returns when it is accepted. The end of ctx closes the connection: nothing else
// bounds how long a server takes.
func newClient(ctx context.Context, conn net.Conn, clientID string, buffer int) (*client, error) {
	c := &client{conn: conn}
	c.in.in = bufio.NewReaderSize(conn, buffer)
	c.forget = context.AfterFunc(ctx, func() { conn.Close() })
	c.out = appendConnect(c.out, clientID)
	c.packets++
	if err := c.expect(connackPacket, []byte{0, 0}); err != nil {
		c.drop()
		return nil, fmt.Errorf("connecting %s: %w", clientID, err)
	}
	return c, nil
}

// subscribe returns when a filter is granted, at this QoS or a lower one.
func (c *client) subscribe(filter string, qos byte) error {
	c.id++
	c.out = appendSubscribe(c.out, c.id, filter, qos)
	c.packets++
	if err := c.flush(); err != nil {
		return err
	}
	first, body, err := c.next()
	switch {
	case err != nil:
		return fmt.Errorf("subscribing to %s: %w", filter, err)
	case first != subackPacket || len(body) != 3 || binary.BigEndian.Uint16(body) != c.id || body[2] > qos:
		return fmt.Errorf("subscribing to %s is answered with %x %x", filter, first, body)
	}
	return nil
}

// expect sends what is to be sent and reads one packet, which must be this one.
func (c *client) expect(want byte, wantBody []byte) error {
	if err := c.flush(); err != nil {
		return err
	}
	first, body, err := c.next()
	if err != nil {
		return err
	}
	if first != want || !bytes.Equal(body, wantBody) {
		return fmt.Errorf("got packet %x %x, want %x %x", first, body, want, wantBody)
	}
	return nil
}

// flush sends what waits to be sent.
func (c *client) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	_, err := c.conn.Write(c.out)
	c.out = c.out[:0]
	return err
}

func (c *client) next() (byte, []byte, error) {
	first, body, err := c.in.next()
	if err == nil {
		c.packets++
	}
	return first, body, err
}

// errAnswer is an answer that must not be: what a hub promises is broken, as opposed to a connection that ends.
var errAnswer = errors.New("wrong answer")

// ask publishes a request and returns the payload of its answer, which comes on the topic want, once the server has also
// acknowledged the request, which it does at QoS 1. The payload is good until the next call.
func (c *client) ask(topic string, qos byte, payload []byte, want string) (got []byte, err error) {
	c.id = max(c.id+1, 1)
	c.out = appendPublish(c.out, topic, qos, c.id, payload)
	c.packets++
	if err := c.flush(); err != nil {
		return nil, err
	}
	acknowledged, answered := qos == 0, false
	for !acknowledged || !answered {
		if answered {
			got = bytes.Clone(got) // the PUBACK is still to come, and takes its place
		}
		first, body, err := c.next()
		switch {
		case err != nil:
			return nil, err
		case first == pubackPacket:
			if acknowledged || len(body) != 2 || binary.BigEndian.Uint16(body) != c.id {
				return nil, fmt.Errorf("%w: PUBACK %x to packet %d", errAnswer, body, c.id)
			}
			acknowledged = true
			continue
		case first&0xf0 != publishPacket:
			return nil, fmt.Errorf("%w: packet %x", errAnswer, first)
		}
		from, id, answer, err := splitPublish(first, body)
		if err != nil {
			return nil, err
		}
		if id != 0 {
			c.out = appendPuback(c.out, id) // goes with the next request, or with flush
			c.packets++
		}
		switch {
		case string(from) == want && !answered:
			got, answered = answer, true
		case c.notice != nil && !bytes.Contains(from, []byte("/response/")):
			c.notice(from)
		default:
			return nil, fmt.Errorf("%w: %s %s; want %s", errAnswer, from, answer, want)
		}
	}
	return got, nil
}

// close says good bye.
func (c *client) close() {
	c.conn.Write(append(c.out, disconnectPacket, 0))
	c.drop()
}

// drop gives a connection up.
func (c *client) drop() {
	c.forget()
	c.conn.Close()
}

// await waits for the beginning of a packet, at the latest until by, and takes nothing of it. It tells whether there is one.
func (c *client) await(by time.Time) (bool, error) {
	if _, err := c.in.in.Discard(c.in.skip); err != nil {
		return false, err
	}
	c.in.skip = 0
	c.conn.SetReadDeadline(by)
	_, err := c.in.in.Peek(1)
	c.conn.SetReadDeadline(time.Time{})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return false, nil
	}
	return err == nil, err
}
