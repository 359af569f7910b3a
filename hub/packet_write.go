package hub

import "encoding/binary"

// A connackCode is the return code of a CONNACK, section 3.2.2.3. Code 4, bad
// user name or password, is not used: whether an id exists is nobody's business.
type connackCode byte

const (
	accepted           connackCode = 0
	refusedLevel       connackCode = 1
	refusedClientID    connackCode = 2
	refusedUnavailable connackCode = 3
	refusedDevice      connackCode = 5 // "not authorized"
)

// subackFailure answers a filter that is not granted; a granted one is answered
// with its QoS, here always 0.
const subackFailure = 0x80

// Packets that are always the same.
var (
	// connackLevel5 is a CONNACK as MQTT 5 has it, "unsupported protocol
	// version" without properties: the one answer such a client understands.
	connackLevel5 = []byte{packetConnack << 4, 3, 0, 0x84, 0}
	pingresp      = []byte{packetPingresp << 4, 0}
)

// appendConnack adds a CONNACK without a session: the hub keeps none.
func appendConnack(b []byte, code connackCode) []byte {
	return append(b, packetConnack<<4, 2, 0, byte(code))
}

// appendPuback adds the acknowledgement of a PUBLISH at QoS 1.
func appendPuback(b []byte, id uint16) []byte {
	return binary.BigEndian.AppendUint16(append(b, packetPuback<<4, 2), id)
}

// appendSuback adds a SUBACK with one code for each filter of the SUBSCRIBE.
func appendSuback(b []byte, id uint16, codes []byte) []byte {
	b = appendLength(append(b, packetSuback<<4), 2+len(codes))
	return append(binary.BigEndian.AppendUint16(b, id), codes...)
}

// appendUnsuback adds an UNSUBACK.
func appendUnsuback(b []byte, id uint16) []byte {
	return binary.BigEndian.AppendUint16(append(b, packetUnsuback<<4, 2), id)
}

// appendPublish adds a PUBLISH at QoS 0.
func appendPublish(b []byte, topic string, payload []byte) []byte {
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
