package panels

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// First bytes of packets, MQTT 3.1.1 section 2.2.1.
const (
	connectPacket    = 0x10
	connackPacket    = 0x20
	publishPacket    = 0x30 // plus QoS << 1
	pubackPacket     = 0x40
	subscribePacket  = 0x82
	subackPacket     = 0x90
	pingrespPacket   = 0xd0
	disconnectPacket = 0xe0
)

// longestPacket is in bytes: nobody here is sent longer ones.
const longestPacket = 1 << 20

// keepAlive is what servers are told, in seconds. Whoever is silent longer here is silent on purpose.
const keepAlive = 600

func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// appendLength is a packet's remaining length, whose form is that of Go's varints.
func appendLength(b []byte, n int) []byte { return binary.AppendUvarint(b, uint64(n)) }

func appendConnect(b []byte, clientID string) []byte {
	b = appendLength(append(b, connectPacket), 10+2+len(clientID))
	b = append(appendString(b, "MQTT"), 4, 2) // level 4, clean session
	b = binary.BigEndian.AppendUint16(b, keepAlive)
	return appendString(b, clientID)
}

func appendSubscribe(b []byte, id uint16, filter string, qos byte) []byte {
	b = appendLength(append(b, subscribePacket), 2+2+len(filter)+1)
	b = binary.BigEndian.AppendUint16(b, id)
	return append(appendString(b, filter), qos)
}

// appendPublish appends a PUBLISH; id is ignored at QoS 0.
func appendPublish(b []byte, topic string, qos byte, id uint16, payload []byte) []byte {
	length := 2 + len(topic) + len(payload)
	if qos > 0 {
		length += 2
	}
	b = appendLength(append(b, publishPacket|qos<<1), length)
	b = appendString(b, topic)
	if qos > 0 {
		b = binary.BigEndian.AppendUint16(b, id)
	}
	return append(b, payload...)
}

func appendPuback(b []byte, id uint16) []byte {
	return binary.BigEndian.AppendUint16(append(b, pubackPacket, 2), id)
}

// A packetReader reads packets. What it returns is good until the next one.
type packetReader struct {
	in   *bufio.Reader
	long []byte // of a packet that doesn't fit into the reader's buffer
	skip int    // bytes of the last packet that are still in that buffer
}

// next returns the first byte of a packet, and what follows its length.
func (r *packetReader) next() (first byte, body []byte, err error) {
	if _, err := r.in.Discard(r.skip); err != nil {
		return 0, nil, err
	}
	r.skip = 0
	if first, err = r.in.ReadByte(); err != nil {
		return 0, nil, err
	}
	n, err := binary.ReadUvarint(r.in)
	if err != nil {
		return 0, nil, cutOff(err)
	}
	if n > longestPacket {
		return 0, nil, fmt.Errorf("got a packet of %d bytes", n)
	}
	length := int(n)
	if length <= r.in.Size() {
		body, err = r.in.Peek(length)
		r.skip = len(body)
		return first, body, cutOff(err)
	}
	if cap(r.long) < length {
		r.long = make([]byte, length)
	}
	_, err = io.ReadFull(r.in, r.long[:length])
	return first, r.long[:length], cutOff(err)
}

func cutOff(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

var errShort = errors.New("got a PUBLISH that is cut off")

// splitPublish takes a PUBLISH apart; id is 0 at QoS 0.
func splitPublish(first byte, body []byte) (topic []byte, id uint16, payload []byte, err error) {
	if len(body) < 2 {
		return nil, 0, nil, errShort
	}
	n := 2 + int(binary.BigEndian.Uint16(body))
	if len(body) < n {
		return nil, 0, nil, errShort
	}
	topic, payload = body[2:n], body[n:]
	if first&0x06 == 0 {
		return topic, 0, payload, nil
	}
	if len(payload) < 2 {
		return nil, 0, nil, errShort
	}
	return topic, binary.BigEndian.Uint16(payload), payload[2:], nil
}
