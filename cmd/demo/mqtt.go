package main

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// MQTT 3.1.1, section 2.2: the types of packet that are shown. Pings and acknowledgements say nothing.
const (
	packetConnect    = 1
	packetConnack    = 2
	packetPublish    = 3
	packetSubscribe  = 8
	packetDisconnect = 14
)

// maxPacket is how much of a packet is kept to show, in bytes. The rest is counted and passed over.
const maxPacket = 4 << 10

// packets cuts the bytes of one direction of a connection into packets, in whatever pieces they come. Bytes
// that are no MQTT, by a length of more than four bytes, end its interest.
type packets struct {
	take func(packet)

	part   int // of the packet that comes next: its first byte, length or body
	shift  int // of the length's next seven bits
	left   int // bytes of the body that have not come
	packet packet
}

// The parts of a packet, and what follows bytes that are none.
const (
	firstByte = iota
	itsLength
	itsBody
	noPacket
)

// A packet is one of MQTT's, with as much of its body as is kept.
type packet struct {
	first byte
	body  []byte // at most maxPacket
	cut   bool   // there was more
}

func (p packet) kind() byte { return p.first >> 4 }

func (p *packets) write(b []byte) {
	for len(b) > 0 && p.part != noPacket {
		switch p.part {
		case firstByte:
			p.packet = packet{first: b[0]}
			p.part, p.shift, p.left = itsLength, 0, 0
			b = b[1:]
		case itsLength:
			p.left |= int(b[0]&0x7f) << p.shift
			p.shift += 7
			switch {
			case b[0] < 0x80:
				p.part = itsBody
			case p.shift == 28:
				p.part = noPacket
			}
			b = b[1:]
		case itsBody:
			n := min(p.left, len(b))
			keep := min(n, maxPacket-len(p.packet.body))
			p.packet.body = append(p.packet.body, b[:keep]...)
			p.packet.cut = p.packet.cut || keep < n
			p.left -= n
			b = b[n:]
		}
		if p.part == itsBody && p.left == 0 {
			p.part = firstByte
			p.take(p.packet)
		}
	}
}

// fields reads a body from its beginning. What isn't there reads as nothing.
type fields struct {
	rest []byte
	bad  bool // something wasn't there
}

// bytes takes n bytes. Of those that aren't there, the first two are 0.
func (f *fields) bytes(n int) []byte {
	if n > len(f.rest) {
		f.rest, f.bad = nil, true
		return make([]byte, min(n, 2))
	}
	b := f.rest[:n]
	f.rest = f.rest[n:]
	return b
}

// text takes two bytes of length, and so many bytes.
func (f *fields) text() string {
	n := int(binary.BigEndian.Uint16(f.bytes(2)))
	if b := f.bytes(n); !f.bad {
		return string(b)
	}
	return ""
}

// connect returns who a CONNECT says to be, and whether a password says so as well. The password itself is not read.
func (p packet) connect() (clientID, username string, password, ok bool) {
	f := fields{rest: p.body}
	f.text()   // the protocol's name
	f.bytes(1) // and level
	flags := f.bytes(1)[0]
	f.bytes(2) // keep-alive
	clientID = f.text()
	if flags&0x04 != 0 { // a will
		f.text()
		f.text()
	}
	if flags&0x80 != 0 {
		username = f.text()
	}
	return clientID, username, flags&0x40 != 0, !f.bad
}

// connack returns what the hub thinks of a CONNECT.
func (p packet) connack() string {
	switch {
	case len(p.body) != 2:
		return "not understood"
	case p.body[1] == 0:
		return "accepted"
	}
	return fmt.Sprintf("refused, code %d", p.body[1])
}

// publish returns topic and payload.
func (p packet) publish() (topic string, payload []byte, ok bool) {
	f := fields{rest: p.body}
	topic = f.text()
	if p.first&0x06 != 0 { // QoS 1 and 2 have an id
		f.bytes(2)
	}
	return topic, f.rest, !f.bad
}

// subscribe returns the filters.
func (p packet) subscribe() string {
	f := fields{rest: p.body}
	f.bytes(2) // its id
	var filters []string
	for len(f.rest) > 0 {
		filters = append(filters, f.text())
		f.bytes(1) // QoS
	}
	return strings.Join(filters, " ")
}
