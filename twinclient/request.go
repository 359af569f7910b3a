package twinclient

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

// A request waits for its answer.
type request struct {
	topic  twin.Topic
	asked  uint32                   // the version it named, 0 = none
	ours   func(twin.Document) bool // says whether a document can be the answer; nil = any can
	answer chan answer              // has room for the one answer
}

// An answer is a document or the hub's refusal.
type answer struct {
	doc twin.Document
	err error
}

// Get reads a document.
//
// The refusal of the hub comes back as an error of package twin: such as
// [twin.ErrDocumentNotFound], [*twin.VersionError] or [*twin.RemoteError]. After
// any other error the connection has ended, and a write may have happened or
// not; ctx ending while a request is in flight ends the connection, too. This
// holds for all three methods.
func (c *Conn) Get(ctx context.Context, name twin.Name) (twin.Document, error) {
	return c.send(ctx, twin.Get, name, nil, request{})
}

// Put creates or replaces a document and returns it as it is now.
//
// What no hub would accept is refused here, with a [*twin.InvalidError].
func (c *Conn) Put(ctx context.Context, name twin.Name, u twin.Update) (twin.Document, error) {
	return c.write(ctx, twin.Put, name, u, next(u))
}

// Patch changes a part of a document and returns the whole as it is now.
// An update that names no version must not be sent again blindly when its
// outcome is unknown.
func (c *Conn) Patch(ctx context.Context, name twin.Name, u twin.Update) (twin.Document, error) {
	return c.write(ctx, twin.Patch, name, u, next(u))
}

// next recognises the answer to an update by its version, if the update names one.
func next(u twin.Update) func(twin.Document) bool {
	if u.Version == 0 {
		return nil
	}
	return func(d twin.Document) bool { return d.Version == u.Version+1 }
}

// write sends an update. ours recognises its answer.
func (c *Conn) write(ctx context.Context, m twin.Method, name twin.Name, u twin.Update, ours func(twin.Document) bool) (twin.Document, error) {
	check := twin.ParsePut
	if m == twin.Patch {
		check = twin.ParsePatch
	}
	checked, err := check(u.Encode())
	if err != nil {
		return twin.Document{}, fmt.Errorf("%s %s: %w", m, name, err)
	}
	return c.send(ctx, m, name, checked.Encode(), request{asked: u.Version, ours: ours})
}

// send sends a request when it is its turn, and waits for the answer.
func (c *Conn) send(ctx context.Context, m twin.Method, name twin.Name, body []byte, r request) (twin.Document, error) {
	doc, err := c.roundTrip(ctx, m, name, body, r)
	if err != nil {
		return twin.Document{}, fmt.Errorf("%s %s: %w", m, name, err)
	}
	return doc, nil
}

func (c *Conn) roundTrip(ctx context.Context, m twin.Method, name twin.Name, body []byte, r request) (twin.Document, error) {
	if _, err := twin.ParseName(string(name)); err != nil {
		return twin.Document{}, err
	}
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return twin.Document{}, context.Cause(ctx)
	case <-c.done:
		return twin.Document{}, c.Err()
	}
	if ctx.Err() != nil {
		return twin.Document{}, context.Cause(ctx)
	}
	r.topic = twin.Topic{Twin: twin.Me, Document: string(name), Method: m}
	r.answer = make(chan answer, 1)
	publish := func() {
		token := c.client.Publish(r.topic.String(), 0, false, body)
		select {
		case <-token.Done():
			if err := token.Error(); err != nil {
				c.end(fmt.Errorf("sending: %w", err))
			}
		case <-c.done:
		}
	}
	if err := c.start(publish, &r); err != nil {
		return twin.Document{}, err
	}
	timer := time.NewTimer(c.timeout)
	defer timer.Stop()
	select {
	case a := <-r.answer:
		return a.doc, a.err
	case <-timer.C:
		c.end(fmt.Errorf("%w (%v)", ErrNoAnswer, c.timeout))
	case <-ctx.Done():
		c.end(context.Cause(ctx))
	case <-c.done:
	}
	// The answer may have come at the very end.
	select {
	case a := <-r.answer:
		return a.doc, a.err
	default:
		return twin.Document{}, c.Err()
	}
}

// receive takes a message of the hub: a notice, the answer to the request in flight, or
// something that is neither and is dropped. Only the topic of the request counts,
// and of the answers on it only one that fits what was asked: a hub that answers
// twice must not have its second answer taken for that to the next request.
func (c *Conn) receive(topic string, payload []byte) {
	if c.notice(topic) {
		return
	}
	c.mu.Lock()
	r := c.request
	c.mu.Unlock()
	var a answer
	switch {
	case r != nil && topic == r.topic.Response(twin.Success).String():
		if a.doc, a.err = twin.ParseDocument(payload); a.err != nil {
			c.end(fmt.Errorf("hub answered %s with something that is no document: %w", r.topic, a.err))
			return
		}
		if r.ours == nil || r.ours(a.doc) {
			break
		}
		c.log.Debug("answer to something else", "topic", topic, "version", a.doc.Version)
		return
	case r != nil && topic == r.topic.Response(twin.Error).String():
		a.err = twin.DecodeError(payload)
		version, ok := errors.AsType[*twin.VersionError](a.err)
		if !ok || version.Expected == r.asked || version.Expected == 0 {
			break
		}
		c.log.Debug("answer to something else", "topic", topic, "expected_version", version.Expected)
		return
	default:
		c.log.Debug("message that nothing waits for", "topic", topic)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// Unless the connection has ended meanwhile. Paho hands over one message at a time.
	if c.request == r {
		c.request = nil
		r.answer <- a
	}
}
