package hub

import (
	"bytes"
	"errors"

	"github.com/twinpanel/twinpanel/twin"
)

// maxMerging is how many filters in SUBSCRIBEs that the broker has not answered may wait to be answered together
// with the hub's own.
const maxMerging = 10000

var errMerging = errors.New("too many SUBSCRIBEs that the broker has not answered")

// Codes of a SUBACK that wait for the broker's.
const (
	brokersCode = 0xff // the broker's alone
	bothCode    = 0xfe // the hub has granted it: the broker's, unless that refuses
)

// merging are the codes of SUBACKs that the broker has a part of, by packet identifier.
type merging map[uint16][]byte

func (m merging) size() (n int) {
	for _, codes := range m {
		n += len(codes)
	}
	return n
}

// reach says whom a filter concerns: the hub, which knows twins, or the broker, or both. One that is not
// valid is refused by whomever it is for.
func (r *relay) reach(b []byte) (f filter, here, there bool) {
	f, ok := parseFilter(b)
	if bytes.HasPrefix(b, []byte(twin.Prefix)) {
		return f, true, false
	}
	return f, ok && f.inTwins() && r.session.device != "", true
}

// subscribe splits a SUBSCRIBE. If the broker has a part of it, it is answered when the broker has answered that.
func (r *relay) subscribe(p filterPacket) error {
	s := r.session
	var codes, onward []byte
	var asking filters
	granted := 0 // or refused, here
	for b, field := range p.filters {
		f, here, there := r.reach(b)
		code := byte(brokersCode)
		if here {
			granted++
			if code = s.grant(f, &asking); code == subackFailure {
				there = false
			} else if there {
				code = bothCode
			}
		}
		if there {
			onward = append(onward, field...)
		}
		codes = append(codes, code)
	}
	if err := r.answerSubscribe(p.id, codes, onward, granted > 0); err != nil {
		return err
	}
	return s.asked(asking) // which may come before the SUBACK [section 3.8.4]
}

func (r *relay) answerSubscribe(id uint16, codes, onward []byte, mixed bool) error {
	if len(onward) == 0 {
		return r.session.write(appendSuback(nil, id, codes))
	}
	if mixed {
		r.mu.Lock()
		if r.merging == nil {
			r.merging = make(merging)
		}
		full := r.merging.size()+len(codes) > maxMerging
		r.merging[id] = codes
		r.mu.Unlock()
		if full {
			return errMerging
		}
	}
	return r.out.packet(appendFilters(nil, packetSubscribe, id, onward))
}

// suback puts the codes of the broker's SUBACK between the hub's own; nil = there are none of those.
func (r *relay) suback(first byte, body []byte) (merged []byte, err error) {
	id, rest, err := cutPacketID(body)
	switch {
	case first&0x0f != 0:
		return nil, errFlags
	case err != nil:
		return nil, err
	case len(rest) == 0:
		return nil, errShort
	}
	r.mu.Lock()
	codes, ok := r.merging[id]
	delete(r.merging, id)
	r.mu.Unlock()
	if !ok {
		return nil, nil
	}
	for i, code := range codes {
		if code != brokersCode && code != bothCode {
			continue
		}
		if len(rest) == 0 {
			return nil, errBrokerCodes
		}
		codes[i], rest = rest[0], rest[1:]
		if code == bothCode && codes[i] == subackFailure {
			codes[i] = 0
		}
	}
	if len(rest) > 0 {
		return nil, errBrokerCodes
	}
	return appendSuback(nil, id, codes), nil
}

// unsubscribe splits an UNSUBSCRIBE. If the broker has a part of it, its answer is the answer.
func (r *relay) unsubscribe(p filterPacket) error {
	s := r.session
	var onward []byte
	for b, field := range p.filters {
		f, here, there := r.reach(b)
		if here {
			s.filters.remove(f)
		}
		if there {
			onward = append(onward, field...)
		}
	}
	s.notices.watch(s.filters)
	if len(onward) == 0 {
		return s.write(appendUnsuback(nil, p.id))
	}
	return r.out.packet(appendFilters(nil, packetUnsubscribe, p.id, onward))
}
