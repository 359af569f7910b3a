package hub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// maxRequestTopic is in bytes. A request with a good document name has at most
// 182; one with a bad name is answered up to this limit and dropped beyond it,
// where the topic of an answer might not fit into a packet any more.
const maxRequestTopic = 1024

// publish answers a PUBLISH. One at QoS 1 is acknowledged after what it asks
// for is done and durable, or refused: that is decided for good. A client that didn't see the PUBACK and sends it
// again has it done again: DUP is no reason to think that it was done.
func (s *session) publish(p publish) error {
	switch {
	case p.qos == 2:
		return errQoS2
	case p.retain:
		return errRetain
	case !bytes.HasPrefix(p.topic, []byte(twin.Prefix)):
		if s.endpoint.otherTopics != DropOtherTopics {
			return fmt.Errorf("%w: topic %.64q", errOtherTopic, p.topic)
		}
		return s.drop(p)
	}
	if s.device == "" {
		return errNoTwin
	}
	t, err := twin.ParseTopic(string(p.topic))
	if err != nil || t.Result != twin.Request || len(p.topic) > maxRequestTopic {
		return s.drop(p)
	}
	if err := s.request(t, p); err != nil {
		return err
	}
	if s.in.begun() {
		s.ahead.wait()
	}
	return nil
}

// drop acknowledges a PUBLISH that has no effect.
func (s *session) drop(p publish) error {
	s.dropped++
	if p.qos == 0 {
		return nil
	}
	return s.write(appendPuback(nil, p.id))
}

// request does a twin request and answers it, in one write with the PUBACK. After
// the hub's own trouble nothing is decided. Then there is no PUBACK, and the
// connection ends, so that a client at QoS 1 keeps its message and sends it again.
func (s *session) request(t twin.Topic, p publish) error {
	s.requests++
	result, decided := twin.Success, true
	var payload []byte
	doc, err := s.do(t, p.payload)
	if errors.Is(err, errFault) {
		return err
	}
	if err == nil {
		payload = doc.Encode()
	} else {
		var ok bool
		if payload, ok = mqttError(s.device, twin.Name(t.Document), err); !ok {
			switch {
			case errors.Is(err, registry.ErrNoDevice):
				return errRemoved
			case isRefused(err):
				return err
			}
			s.log(slog.LevelError, "outcome of a write is unknown", "document", t.Document, "error", err)
			return errOutcome
		}
		if decided = isRefusal(err); !decided {
			s.log(slog.LevelError, "request failed", "document", t.Document, "error", err)
		}
		result = twin.Error
	}

	var out []byte
	if p.qos > 0 && decided {
		out = appendPuback(out, p.id)
	}
	if topic := t.Response(result).String(); s.filters.match(topic) {
		out = appendPublish(out, topic, payload)
	}
	if len(out) > 0 {
		if err := s.write(out); err != nil {
			return err
		}
	}
	if p.qos > 0 && !decided {
		return errUndecided
	}
	return nil
}

// do does a twin request. Of another device's twin it doesn't say whether it exists.
//
// The first request is done apart: after a restart all devices ask once, and nearly at the same time.
func (s *session) do(t twin.Topic, payload []byte) (twin.Document, error) {
	if t.Twin != twin.Me {
		if id, err := twin.ParseID(t.Twin); err != nil || id != s.device {
			return twin.Document{}, twin.ErrPermissionDenied
		}
	}
	name, err := twin.ParseName(t.Document)
	if err != nil {
		return twin.Document{}, err
	}
	if s.requests == 1 {
		var doc twin.Document
		err := s.apart(func() (err error) {
			doc, err = s.endpoint.do(context.Background(), s, s.device, name, t.Method, payload)
			return err
		})
		return doc, err
	}
	return s.endpoint.do(context.Background(), s, s.device, name, t.Method, payload)
}

// subscribe answers a SUBSCRIBE: QoS 0 for each filter that can be of use here,
// failure for the others.
func (s *session) subscribe(p filterPacket) error {
	if r := s.relay.Load(); r != nil {
		return r.subscribe(p)
	}
	var codes []byte
	var asking filters
	for b := range p.filters {
		f, _ := parseFilter(b)
		codes = append(codes, s.grant(f, &asking))
	}
	if err := s.write(appendSuback(nil, p.id, codes)); err != nil {
		return err
	}
	return s.asked(asking)
}

// grant subscribes to a filter, empty = one that is not valid, and returns the code for that. asking gets those that ask for notices.
func (s *session) grant(f filter, asking *filters) (code byte) {
	if s.device == "" || !f.inTwins() || !s.filters.add(f) {
		return subackFailure
	}
	if f.asksForNotices() {
		asking.add(f)
	}
	return 0
}

// unsubscribe answers an UNSUBSCRIBE, which is never refused [MQTT-3.10.4-5].
func (s *session) unsubscribe(p filterPacket) error {
	if r := s.relay.Load(); r != nil {
		return r.unsubscribe(p)
	}
	for f := range p.filters {
		s.filters.remove(filter(f))
	}
	s.notices.watch(s.filters)
	return s.write(appendUnsuback(nil, p.id))
}

// ping answers a PINGREQ. It is the moment at which an idle connection learns
// that its device may not use it any more.
func (s *session) ping() error {
	if err := s.verify(); err != nil {
		return err
	}
	if s.in.begun() {
		s.ahead.wait()
	}
	if r := s.relay.Load(); r != nil {
		return r.ping()
	}
	return s.write(pingresp)
}
