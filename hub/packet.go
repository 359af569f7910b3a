package hub

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// Packet types of MQTT 3.1.1, section 2.2.1: the upper half of a packet's
// first byte. The hub itself sends everything at QoS 0 and refuses QoS 2, so PUBACK
// to PUBCOMP come from a client only where there is a broker behind the hub.
const (
	packetConnect     = 1
	packetConnack     = 2
	packetPublish     = 3
	packetPuback      = 4
	packetPubrec      = 5
	packetPubrel      = 6
	packetPubcomp     = 7
	packetSubscribe   = 8
	packetSuback      = 9
	packetUnsubscribe = 10
	packetUnsuback    = 11
	packetPingreq     = 12
	packetPingresp    = 13
	packetDisconnect  = 14
)

// A malformedError says that a client's bytes break a rule of MQTT 3.1.1. The
// only answer to it is to close the connection [MQTT-4.8.0-1].
type malformedError struct {
	what string
	rule string // the rule's number, or the section where it has none
}

func (e *malformedError) Error() string { return e.what + " [" + e.rule + "]" }

// What the decoder refuses. Level 3 of the protocol (MQTT 3.1) is held to the
// same rules: clients that still speak it also follow them.
var (
	errLength       = &malformedError{"remaining length has more than four bytes", "section 2.2.3"}
	errShort        = &malformedError{"packet ends inside a field", "section 2.2.3"}
	errLong         = &malformedError{"packet goes on after its last field", "section 2.2.3"}
	errFlags        = &malformedError{"reserved flag bits have a wrong value", "MQTT-2.2.2-2"}
	errPacketID     = &malformedError{"packet identifier is 0", "MQTT-2.3.1-1"}
	errUTF8         = &malformedError{"string is not UTF-8", "MQTT-1.5.3-1"}
	errNUL          = &malformedError{"string holds U+0000", "MQTT-1.5.3-2"}
	errProtocol     = &malformedError{"protocol name is neither MQTT nor MQIsdp", "MQTT-3.1.2-1"}
	errConnectFlag  = &malformedError{"reserved connect flag is set", "MQTT-3.1.2-3"}
	errWillFlags    = &malformedError{"will QoS or will retain without a will", "MQTT-3.1.2-11"}
	errWillQoS      = &malformedError{"will QoS is 3", "MQTT-3.1.2-14"}
	errPasswordFlag = &malformedError{"password without a user name", "MQTT-3.1.2-22"}
	errDup          = &malformedError{"DUP with QoS 0", "MQTT-3.3.1-2"}
	errQoS3         = &malformedError{"QoS is 3", "MQTT-3.3.1-4"}
	errWildcard     = &malformedError{"topic holds a wildcard", "MQTT-3.3.2-2"}
	errNoTopic      = &malformedError{"topic is empty", "MQTT-4.7.3-1"}
	errNoFilter     = &malformedError{"SUBSCRIBE without a filter", "MQTT-3.8.3-3"}
	errFilterQoS    = &malformedError{"requested QoS is none of 0, 1, 2", "MQTT-3.8.3-4"}
	errNoUnfilter   = &malformedError{"UNSUBSCRIBE without a filter", "MQTT-3.10.3-2"}
)

// A publish is a PUBLISH. Topic and payload lie in the bytes that were decoded.
type publish struct {
	topic   []byte
	payload []byte
	id      uint16 // 0 at QoS 0
	qos     byte
	retain  bool
	dup     bool
}

// decodePublish reads a PUBLISH from the lower half of its first byte and what
// follows the remaining length.
func decodePublish(flags byte, body []byte) (publish, error) {
	p := publish{qos: flags >> 1 & 3, retain: flags&1 != 0, dup: flags&8 != 0}
	switch {
	case p.qos == 3:
		return publish{}, errQoS3
	case p.qos == 0 && p.dup:
		return publish{}, errDup
	}
	var err error
	if p.topic, body, err = cutString(body); err != nil {
		return publish{}, err
	}
	if err := checkTopic(p.topic); err != nil {
		return publish{}, err
	}
	if p.qos > 0 {
		if p.id, body, err = cutPacketID(body); err != nil {
			return publish{}, err
		}
	}
	p.payload = body
	return p, nil
}

// A filterPacket is a SUBSCRIBE or an UNSUBSCRIBE. Its filters are walked in
// place, so that a packet of a hundred thousand filters costs no memory.
type filterPacket struct {
	id   uint16
	list []byte // checked
	tail int    // bytes after each filter: 1 in a SUBSCRIBE, the QoS asked for
}

// filters yields the filters in their order, each also as it stands in the packet: with its
// length before it and the tail behind. They are UTF-8 without NUL, but
// not yet checked as filters: an invalid one has an answer.
func (p filterPacket) filters(yield func(filter, field []byte) bool) {
	for rest := p.list; len(rest) > 0; {
		filter, after, _ := cutBytes(rest)
		after = after[p.tail:]
		if !yield(filter, rest[:len(rest)-len(after)]) {
			return
		}
		rest = after
	}
}

// decodeSubscribe reads a SUBSCRIBE.
func decodeSubscribe(flags byte, body []byte) (filterPacket, error) {
	return decodeFilters(flags, body, 1, errNoFilter)
}

// decodeUnsubscribe reads an UNSUBSCRIBE.
func decodeUnsubscribe(flags byte, body []byte) (filterPacket, error) {
	return decodeFilters(flags, body, 0, errNoUnfilter)
}

func decodeFilters(flags byte, body []byte, tail int, none error) (filterPacket, error) {
	if flags != 2 {
		return filterPacket{}, errFlags
	}
	id, rest, err := cutPacketID(body)
	if err != nil {
		return filterPacket{}, err
	}
	if len(rest) == 0 {
		return filterPacket{}, none
	}
	p := filterPacket{id: id, list: rest, tail: tail}
	for len(rest) > 0 {
		if _, rest, err = cutString(rest); err != nil {
			return filterPacket{}, err
		}
		if len(rest) < tail {
			return filterPacket{}, errShort
		}
		if tail > 0 && rest[0] > 2 {
			return filterPacket{}, errFilterQoS
		}
		rest = rest[tail:]
	}
	return p, nil
}

// decodeEmpty checks a packet that is its type alone: PINGREQ and DISCONNECT.
func decodeEmpty(flags byte, body []byte) error {
	switch {
	case flags != 0:
		return errFlags
	case len(body) > 0:
		return errLong
	}
	return nil
}

// decodeAck checks a packet that is a packet identifier alone: PUBACK to PUBCOMP, and UNSUBACK.
func decodeAck(first byte, body []byte) (id uint16, err error) {
	want := byte(0)
	if first>>4 == packetPubrel {
		want = 2 // [MQTT-3.6.1-1]
	}
	if first&0x0f != want {
		return 0, errFlags
	}
	id, rest, err := cutPacketID(body)
	if err == nil && len(rest) > 0 {
		err = errLong
	}
	return id, err
}

// checkTopic applies the rules for a topic that is published to.
func checkTopic(topic []byte) error {
	if len(topic) == 0 {
		return errNoTopic
	}
	if bytes.ContainsAny(topic, "+#") {
		return errWildcard
	}
	return nil
}

// cutPacketID takes a packet identifier off the front of b.
func cutPacketID(b []byte) (id uint16, rest []byte, err error) {
	if len(b) < 2 {
		return 0, nil, errShort
	}
	if id = binary.BigEndian.Uint16(b); id == 0 {
		return 0, nil, errPacketID
	}
	return id, b[2:], nil
}

// cutString takes a UTF-8 string with its length off the front of b.
func cutString(b []byte) (s, rest []byte, err error) {
	if s, rest, err = cutBytes(b); err != nil {
		return nil, nil, err
	}
	if !utf8.Valid(s) {
		return nil, nil, errUTF8
	}
	if bytes.IndexByte(s, 0) >= 0 {
		return nil, nil, errNUL
	}
	return s, rest, nil
}

// cutBytes takes bytes with their length off the front of b.
func cutBytes(b []byte) (s, rest []byte, err error) {
	if len(b) < 2 {
		return nil, nil, errShort
	}
	n := int(binary.BigEndian.Uint16(b))
	if b = b[2:]; len(b) < n {
		return nil, nil, errShort
	}
	return b[:n], b[n:], nil
}
