package hub

import (
	"errors"
	"slices"
	"time"
)

// What a broker has no reason to send.
var (
	errBrokerType  = &malformedError{"packet of a type that a server has no reason to send", "section 2.2.1"}
	errBrokerLarge = &malformedError{"packet longer than any answer", "section 2.2.3"}
	errBrokerCodes = &malformedError{"SUBACK with another number of codes than there were filters", "MQTT-3.8.4-5"}
)

// errRelayFault ends a connection after a panic.
var errRelayFault = errors.New("a fault of the hub")

// publish passes on a PUBLISH of the client whose header was taken.
func (r *relay) publish(first byte, length int) error {
	s := r.session
	head, _, err := s.in.publishHead(first&0x0f, length)
	if err != nil {
		return s.readError(err)
	}
	readErr, writeErr := r.out.pass(&s.in, head, length-len(head))
	if readErr != nil {
		return s.readError(readErr)
	}
	return writeErr
}

// acknowledge passes on one of the client's PUBACK to PUBCOMP. They are about messages of the broker: the
// hub's own are at QoS 0.
func (r *relay) acknowledge(first byte, body []byte) error {
	if _, err := decodeAck(first, body); err != nil {
		return err
	}
	return r.out.packet(slices.Concat(r.session.in.taken(), body))
}

// carry passes on what the broker sends, until either end is gone.
func (r *relay) carry() {
	defer func() {
		if p := recover(); p != nil {
			r.session.logPanic(p)
			r.session.stop(errRelayFault)
		}
	}()
	for {
		if err := r.carryPacket(); err != nil {
			r.session.stop(err)
			return
		}
	}
}

func (r *relay) carryPacket() error {
	if err := r.await(); err != nil {
		return r.readError(err)
	}
	first, length, err := r.in.header(time.Time{})
	if err != nil {
		return r.readError(err)
	}
	if first>>4 == packetPublish {
		return r.carryPublish(first, length)
	}
	if length > maxPacket {
		return r.readError(errBrokerLarge)
	}
	body, err := r.in.body(length)
	if err != nil {
		return r.readError(err)
	}
	return r.carryAnswer(first, body)
}

// carryPublish passes on a PUBLISH of the broker, unless it is about twins: only the hub speaks
// about those. Then the broker is told that it has arrived.
func (r *relay) carryPublish(first byte, length int) error {
	twins, err := r.in.isTwins(length)
	if err != nil {
		return r.readError(err)
	}
	head, p, err := r.in.publishHead(first&0x0f, length)
	if err != nil {
		return r.readError(err)
	}
	length -= len(head)
	if twins {
		return r.drop(p, length)
	}
	delete(r.dropped, p.id)
	readErr, writeErr := r.session.out.pass(&r.in, head, length)
	if readErr != nil {
		return r.readError(readErr)
	}
	return writeErr
}

// drop takes a PUBLISH in the client's place. One at QoS 2 has a second half: see released.
func (r *relay) drop(p publish, length int) error {
	if err := r.in.skip(length); err != nil {
		return r.readError(err)
	}
	switch p.qos {
	case 1:
		return r.out.packet(appendAck(nil, packetPuback, p.id))
	case 2:
		if r.dropped == nil {
			r.dropped = make(map[uint16]struct{})
		}
		r.dropped[p.id] = struct{}{}
		return r.out.packet(appendAck(nil, packetPubrec, p.id))
	}
	return nil
}

// released tells whether a PUBREL is about a message that was dropped. One of an earlier connection of
// the same session may not be known here: then the client gets the PUBREL, and answers it
// [MQTT-4.3.3-2], whether it knows the message or not.
func (r *relay) released(id uint16) bool {
	_, ok := r.dropped[id]
	delete(r.dropped, id)
	return ok
}

// carryAnswer passes on what is no PUBLISH.
func (r *relay) carryAnswer(first byte, body []byte) error {
	var err error
	switch kind := first >> 4; kind {
	case packetPuback, packetPubrec, packetPubcomp, packetUnsuback:
		_, err = decodeAck(first, body)
	case packetPubrel:
		var id uint16
		if id, err = decodeAck(first, body); err == nil && r.released(id) {
			return r.out.packet(appendAck(nil, packetPubcomp, id))
		}
	case packetSuback:
		var merged []byte
		if merged, err = r.suback(first, body); merged != nil {
			return r.session.write(merged)
		}
	case packetPingresp:
		err = decodeEmpty(first&0x0f, body)
		r.mu.Lock()
		forClient := r.pings.pong()
		r.mu.Unlock()
		if err == nil && !forClient {
			return nil
		}
	case packetDisconnect:
		return errBrokerGoodBye // a server says it in MQTT 5 alone, so the client is not told
	default:
		err = errBrokerType
	}
	if err != nil {
		return r.readError(err)
	}
	return r.session.write(slices.Concat(r.in.taken(), body))
}
