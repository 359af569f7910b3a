package conformance

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Packet types of MQTT 3.1.1, section 2.2.1: the upper half of a packet's first byte.
const (
	packetConnect     = 1
	packetConnack     = 2
	packetPublish     = 3
	packetPuback      = 4
	packetSubscribe   = 8
	packetSuback      = 9
	packetUnsubscribe = 10
	packetUnsuback    = 11
	packetPingreq     = 12
	packetPingresp    = 13
	packetDisconnect  = 14
)

// maxPacket bounds what is read of a hub, in bytes: more than the vendor's largest payload.
const maxPacket = 5 << 20

// A packet is one of MQTT's, and what it says in words. The words are those of
// docs/protocol.md; checks compare them.
type packet struct {
	first byte // type and flags
	body  []byte
	words string
}

func (p packet) kind() byte { return p.first >> 4 }

// write sends the packet in one piece.
func (p packet) write(w io.Writer) error {
	b := binary.AppendUvarint([]byte{p.first}, uint64(len(p.body))) // MQTT's length is a varint of up to four bytes
	_, err := w.Write(append(b, p.body...))
	return err
}

// readPacket reads a packet of a hub.
func readPacket(r *bufio.Reader) (packet, error) {
	first, err := r.ReadByte()
	if err != nil {
		return packet{}, err
	}
	length, err := binary.ReadUvarint(r)
	if err != nil {
		return packet{}, err
	}
	if length > maxPacket {
		return packet{}, fmt.Errorf("packet of %d bytes", length)
	}
	p := packet{first: first, body: make([]byte, length)}
	if _, err := io.ReadFull(r, p.body); err != nil {
		return packet{}, err
	}
	p.words = p.describe()
	return p, nil
}

// describe says what a hub's packet says. What is no packet for a client is its bytes.
func (p packet) describe() string {
	switch body := p.body; {
	case p.first == packetConnack<<4 && len(body) == 2 && body[0] == 0:
		return fmt.Sprint("CONNACK ", body[1])
	case p.first == packetConnack<<4 && len(body) == 2 && body[0] == 1:
		return fmt.Sprint("CONNACK session_present=1 ", body[1])
	case p.first == packetConnack<<4 && len(body) >= 3: // MQTT 5
		return fmt.Sprint("CONNACK ", body[1])
	case p.first == packetSuback<<4 && len(body) > 2:
		var words strings.Builder
		words.WriteString("SUBACK")
		for _, code := range body[2:] {
			words.WriteString(" " + strconv.Itoa(int(code)))
		}
		return words.String()
	case p.first == packetUnsuback<<4 && len(body) == 2:
		return "UNSUBACK"
	case p.first == packetPuback<<4 && len(body) == 2:
		return "PUBACK"
	case p.first == packetPingresp<<4 && len(body) == 0:
		return "PINGRESP"
	case p.kind() == packetPublish:
		if m, ok := p.message(); ok {
			return m.words()
		}
	}
	return fmt.Sprintf("the bytes %.60x", append([]byte{p.first}, p.body...))
}

// id is the packet identifier that an acknowledgement begins with.
func (p packet) id() uint16 {
	if len(p.body) < 2 {
		return 0
	}
	return binary.BigEndian.Uint16(p.body)
}

// A message is a PUBLISH.
type message struct {
	topic   string
	payload string
	qos     byte
	id      uint16 // of one above QoS 0
	retain  bool
	dup     bool
}

func (m message) packet() packet {
	first := byte(packetPublish<<4) | m.qos<<1
	if m.retain {
		first |= 1
	}
	if m.dup {
		first |= 8
	}
	body := appendString(nil, m.topic)
	if m.qos > 0 {
		body = binary.BigEndian.AppendUint16(body, m.id)
	}
	return packet{first, append(body, m.payload...), m.words()}
}

func (m message) words() string {
	words := "PUBLISH"
	if m.qos > 0 {
		words += fmt.Sprint(" qos=", m.qos)
	}
	if m.retain {
		words += " retain=1"
	}
	if m.dup {
		words += " dup=1"
	}
	return strings.TrimSuffix(words+" "+m.topic+" "+m.payload, " ")
}

// message reads a PUBLISH.
func (p packet) message() (m message, ok bool) {
	m = message{qos: p.first >> 1 & 3, retain: p.first&1 != 0, dup: p.first&8 != 0}
	if len(p.body) < 2 {
		return m, false
	}
	n := int(p.id())
	rest := p.body[2:]
	if p.kind() != packetPublish || len(rest) < n {
		return m, false
	}
	m.topic, rest = string(rest[:n]), rest[n:]
	if m.qos > 0 {
		if len(rest) < 2 {
			return m, false
		}
		m.id, rest = binary.BigEndian.Uint16(rest), rest[2:]
	}
	m.payload = string(rest)
	return m, true
}

// A connect is a CONNECT.
type connect struct {
	clientID     string
	username     string // empty = none
	keepAlive    uint16 // seconds; 0 = off
	keepsSession bool   // clean session is 0
	will         string // topic of a will; empty = none
	old          bool   // MQTT 3.1
}

func (c connect) packet() packet {
	flags, words := byte(2), "CONNECT client_id="+c.clientID
	protocol, level := "MQTT", byte(4)
	if c.old {
		protocol, level = "MQIsdp", 3
		words += " level=3"
	}
	if c.keepsSession {
		flags = 0
		words += " clean_session=0"
	}
	if c.username != "" {
		flags |= 0x80
		words += " username=" + c.username
	}
	if c.will != "" {
		flags |= 4
		words += " will_topic=" + c.will
	}
	if c.keepAlive > 0 {
		words += fmt.Sprint(" keep_alive=", c.keepAlive)
	}
	body := append(appendString(nil, protocol), level, flags)
	body = binary.BigEndian.AppendUint16(body, c.keepAlive)
	body = appendString(body, c.clientID)
	if c.will != "" {
		body = appendString(appendString(body, c.will), "gone")
	}
	if c.username != "" {
		body = appendString(body, c.username)
	}
	return packet{packetConnect << 4, body, words}
}

// connectOfMQTT5 is a CONNECT in the format of MQTT 5, without properties.
func connectOfMQTT5(clientID string) packet {
	body := append(appendString(nil, "MQTT"), 5, 2, 0, 60, 0)
	return packet{packetConnect << 4, appendString(body, clientID), "CONNECT level=5 client_id=" + clientID}
}

// subscribe is a SUBSCRIBE that asks for a QoS for each filter.
func subscribe(qos byte, filters ...string) packet {
	body := []byte{0, 1}
	for _, f := range filters {
		body = append(appendString(body, f), qos)
	}
	words := "SUBSCRIBE "
	if qos > 0 {
		words += fmt.Sprintf("qos=%d ", qos)
	}
	return packet{packetSubscribe<<4 | 2, body, words + strings.Join(filters, " ")}
}

func unsubscribe(filters ...string) packet {
	body := []byte{0, 2}
	for _, f := range filters {
		body = appendString(body, f)
	}
	return packet{packetUnsubscribe<<4 | 2, body, "UNSUBSCRIBE " + strings.Join(filters, " ")}
}

var (
	pingreq    = packet{packetPingreq << 4, nil, "PINGREQ"}
	disconnect = packet{packetDisconnect << 4, nil, "DISCONNECT"}
)

func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}
