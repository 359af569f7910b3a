//go:build linux

package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

// Packets of MQTT 3.1.1, section 2.2.1, as their first byte.
const (
	packetConnect   = 0x10
	packetConnack   = 0x20
	packetPublish   = 0x30 // at QoS 0
	packetPublish1  = 0x32 // at QoS 1
	packetPuback    = 0x40
	packetSubscribe = 0x82
	packetSuback    = 0x90
)

// longestPacket is in bytes: hubs answer shorter ones.
const longestPacket = 1 << 20

// An mqttClient is a device that publishes at QoS 1. A write is acknowledged to it when it has both
// the PUBACK and the answer that says which version it made.
type mqttClient struct {
	address, device, name string   // name is the client id: of two connections with the same one, the hub ends the first
	conn                  net.Conn // nil = there is none
	in                    *bufio.Reader
	id                    uint16 // of the last packet
}

func newMQTTClient(address, device, name string) *mqttClient {
	return &mqttClient{address: address, device: device, name: name}
}

func (c *mqttClient) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

func (c *mqttClient) do(method, _, document string, body []byte) answer {
	if err := c.connect(); err != nil {
		c.close()
		return answer{failed, state{}, fmt.Errorf("%w: %w", errUnreachable, err)}
	}
	a := c.request(twin.Prefix+twin.Me+"/"+document+"/"+method, body)
	if a.outcome == unknown || a.outcome == failed {
		c.close()
	}
	return a
}

// connect connects and subscribes to all answers, unless that was done.
func (c *mqttClient) connect() (err error) {
	if c.conn != nil {
		return nil
	}
	if c.conn, err = net.DialTimeout("tcp", c.address, requestTimeout); err != nil {
		c.conn = nil
		return err
	}
	c.in, c.id = bufio.NewReader(c.conn), 1
	c.conn.SetDeadline(time.Now().Add(requestTimeout))
	const cleanSession, username, noKeepAlive = 2, 0x80, 0
	hello := append(appendString(nil, "MQTT"), 4, cleanSession|username, 0, noKeepAlive)
	if err := c.call(packetConnect, appendString(appendString(hello, c.name), c.device), packetConnack, "\x00\x00"); err != nil {
		return err
	}
	filter := appendString([]byte{0, 1}, twin.Prefix+twin.Me+"/#")
	return c.call(packetSubscribe, append(filter, 0), packetSuback, "\x00\x01\x00")
}

// call sends a packet and reads the one that has to answer it.
func (c *mqttClient) call(kind byte, body []byte, answer byte, want string) error {
	if err := c.send(kind, body); err != nil {
		return err
	}
	got, body, err := readPacket(c.in)
	if err == nil && (got != answer || string(body) != want) {
		err = fmt.Errorf("hub answers a packet %#x with %#x %x", kind, got, body)
	}
	return err
}

// request publishes and waits for the hub's last word.
func (c *mqttClient) request(topic string, payload []byte) answer {
	c.id = max(1, c.id+1) // 0 is no id
	id := binary.BigEndian.AppendUint16(nil, c.id)
	c.conn.SetDeadline(time.Now().Add(requestTimeout))
	if err := c.send(packetPublish1, append(append(appendString(nil, topic), id...), payload...)); err != nil {
		return answer{unknown, state{}, err}
	}
	var done, answered bool
	a := answer{outcome: acknowledged}
	for !done || !answered {
		kind, body, err := readPacket(c.in)
		switch {
		case err != nil && a.outcome == failed:
			return a // without PUBACK, as it has to be
		case err != nil:
			return answer{unknown, state{}, err}
		case kind == packetPuback && string(body) == string(id):
			done = true
		case kind != packetPublish:
			return answer{unknown, state{}, fmt.Errorf("hub sends a packet %#x", kind)}
		default:
			if a, err = readAnswer(topic, body); err != nil {
				return answer{unknown, state{}, err}
			}
			answered = true
		}
	}
	if a.outcome == failed {
		return answer{acknowledged, state{}, fmt.Errorf("hub sends a PUBACK for a write that it says it has not done: %w", a.err)}
	}
	return a
}

// overtaken is the text of docs/protocol.md for a patch before which other writers came, for as long as a request may take.
const overtaken = "too many writers: nothing was written, try again"

// readAnswer reads the PUBLISH that answers a request on topic.
func readAnswer(topic string, publish []byte) (answer, error) {
	if len(publish) < 2 || len(publish) < 2+int(binary.BigEndian.Uint16(publish)) {
		return answer{}, errors.New("hub sends a PUBLISH that is cut off")
	}
	n := 2 + binary.BigEndian.Uint16(publish)
	result, ok := strings.CutPrefix(string(publish[2:n]), topic+"/response/")
	payload := publish[n:]
	switch {
	case ok && result == string(twin.Success):
		s, err := parseState(payload)
		return answer{acknowledged, s, err}, nil
	case ok && result == string(twin.Error):
		err := twin.DecodeError(payload)
		if _, mismatch := errors.AsType[*twin.VersionError](err); mismatch {
			return answer{refused, state{}, nil}, nil
		}
		if errors.Is(err, twin.ErrDocumentNotFound) && strings.HasSuffix(topic, "/get") {
			return answer{acknowledged, state{}, nil}, nil
		}
		if err.Error() == overtaken && strings.HasSuffix(topic, "/patch") {
			return answer{refused, state{}, nil}, nil
		}
		return answer{failed, state{}, err}, nil
	}
	return answer{}, fmt.Errorf("hub answers %s on %s", topic, publish[2:n])
}

func (c *mqttClient) send(kind byte, body []byte) error {
	_, err := c.conn.Write(append(append([]byte{kind}, encodeLength(len(body))...), body...))
	return err
}

// encodeLength is a packet's remaining length, whose form is that of Go's varints.
func encodeLength(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }

func readPacket(r *bufio.Reader) (kind byte, body []byte, err error) {
	if kind, err = r.ReadByte(); err != nil {
		return 0, nil, err
	}
	length, err := binary.ReadUvarint(r)
	if err != nil {
		return 0, nil, err
	}
	if length > longestPacket {
		return 0, nil, fmt.Errorf("hub sends a packet of %d bytes", length)
	}
	body = make([]byte, length)
	_, err = io.ReadFull(r, body)
	return kind, body, err
}

func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}
