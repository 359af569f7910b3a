package hub

import (
	"encoding/binary"
	"slices"
	"time"
)

// A connackCode is the return code of a CONNACK, section 3.2.2.3. The hub itself doesn't use
// refusedLogin: whether an id exists is nobody's business.
type connackCode byte

const (
	accepted           connackCode = 0
	refusedLevel       connackCode = 1
	refusedClientID    connackCode = 2
	refusedUnavailable connackCode = 3
	refusedLogin       connackCode = 4 // "bad user name or password"
	refusedDevice      connackCode = 5 // "not authorized"
)

// subackFailure answers a filter that is not granted; a granted one is answered
// with its QoS, for the hub's own answers always 0.
const subackFailure = 0x80

// Packets that are always the same.
var (
	// connackLevel5 is a CONNACK as MQTT 5 has it, "unsupported protocol
	// version" without properties: the one answer such a client understands.
	connackLevel5 = []byte{packetConnack << 4, 3, 0, 0x84, 0}
	pingresp      = []byte{packetPingresp << 4, 0}

	// And those that the hub sends to a broker.
	pingreq    = []byte{packetPingreq << 4, 0}
	disconnect = []byte{packetDisconnect << 4, 0}
)

// appendConnack adds a CONNACK without a session: the hub keeps none.
func appendConnack(b []byte, code connackCode) []byte {
	return append(b, packetConnack<<4, 2, 0, byte(code))
}

// appendConnect adds a CONNECT. What was decoded comes out as the same bytes.
func appendConnect(b []byte, c connect) []byte {
	protocol := "MQTT"
	if c.level == 3 {
		protocol = "MQIsdp"
	}
	body := append(appendString(nil, protocol), c.level, c.flags)
	body = binary.BigEndian.AppendUint16(body, uint16(c.keepAlive/time.Second))
	body = appendString(body, c.clientID)
	if c.flags&flagWill != 0 {
		body = appendString(appendString(body, c.will.topic), c.will.payload)
	}
	if c.flags&flagUsername != 0 {
		body = appendString(body, c.username)
	}
	if c.flags&flagPassword != 0 {
		body = appendString(body, c.password)
	}
	return append(appendLength(append(b, packetConnect<<4), len(body)), body...)
}

// appendString adds a string, or bytes, with the length.
func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// appendPuback adds the acknowledgement of a PUBLISH at QoS 1.
func appendPuback(b []byte, id uint16) []byte { return appendAck(b, packetPuback, id) }

// appendAck adds a packet that is a packet identifier alone.
func appendAck(b []byte, kind byte, id uint16) []byte {
	return binary.BigEndian.AppendUint16(append(b, kind<<4, 2), id)
}

// appendSuback adds a SUBACK with one code for each filter of the SUBSCRIBE.
func appendSuback(b []byte, id uint16, codes []byte) []byte {
	b = appendLength(append(b, packetSuback<<4), 2+len(codes))
	return append(binary.BigEndian.AppendUint16(b, id), codes...)
}

// appendUnsuback adds an UNSUBACK.
func appendUnsuback(b []byte, id uint16) []byte { return appendAck(b, packetUnsuback, id) }

// appendFilters adds a SUBSCRIBE or an UNSUBSCRIBE with filters as they stand in one.
func appendFilters(b []byte, kind byte, id uint16, fields []byte) []byte {
	b = appendLength(append(b, kind<<4|2), 2+len(fields))
	return append(binary.BigEndian.AppendUint16(b, id), fields...)
}

// appendPublish adds a PUBLISH at QoS 0.
func appendPublish(b []byte, topic string, payload []byte) []byte {
	const header = 1 + 4 // at most
	b = slices.Grow(b, header+2+len(topic)+len(payload))
	b = appendLength(append(b, packetPublish<<4), 2+len(topic)+len(payload))
	b = binary.BigEndian.AppendUint16(b, uint16(len(topic)))
	return append(append(b, topic...), payload...)
}

// appendLength adds a remaining length, section 2.2.3.
func appendLength(b []byte, n int) []byte {
	for n > 127 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}
