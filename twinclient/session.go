package twinclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

// A session is what a Sync knows and does on one connection. One goroutine
// makes all requests, so that there is never more than one in flight.
type session struct {
	*Sync
	conn      *Conn
	known     twin.Document   // what is published, as the hub acknowledged it; version 0 = unknown
	published json.RawMessage // and as Document returned it
	beats     int             // heartbeats so far

	notices <-chan struct{} // about the watched document; nil = not asked for
	heard   bool            // the hub has sent one
	trusted bool            // and has missed none since
	looked  time.Time       // the last get's end
	seen    uint32          // version of the watched document at the last get, 0 = there was none
	unread  bool            // the last get was refused
}

// run reads, publishes, asks for notices, and then waits for what comes next.
func (x *session) run(ctx context.Context) error {
	if err := x.read(ctx, false); err != nil {
		return err
	}
	x.link.up()
	x.inspect()
	for _, f := range x.further {
		f.connected()
	}
	err := x.publish(ctx, x.document(ctx))
	if err == nil {
		_, err = x.publishFurther(ctx, true)
	}
	if err == nil && !x.shy {
		x.notices, err = x.conn.Notices(x.config.Watch)
	}
	if err != nil {
		return err
	}
	pace := x.pace()
	poll, beat := time.NewTimer(pace), time.NewTimer(x.config.Heartbeat)
	var pause, rest <-chan time.Time // until a change is published, until a notice is looked at
	for {
		changed, noticed := x.changed, x.notices
		if pause != nil || x.refused {
			changed = nil
		}
		if rest != nil {
			noticed = nil
		}
		var polled, tried, look, again, sent bool // look at the further documents, again at refused ones
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-x.conn.Done():
			return x.conn.Err()
		case <-noticed:
			rest = time.After(minInterval)
			err = x.read(ctx, true)
		case <-rest:
			rest = nil
		case <-poll.C:
			polled, err = true, x.read(ctx, false)
			if err == nil && x.refused {
				look = true
				tried, err = x.update(ctx)
			}
		case <-beat.C:
			x.beats++
			if x.beats%putEvery == 0 {
				x.known, again = twin.Document{}, true
				x.inspect()
			}
			look = true
			err = x.publish(ctx, x.document(ctx))
			beat.Reset(x.config.Heartbeat)
		case <-changed:
			look = true
			tried, err = x.update(ctx)
		case <-pause:
			pause = nil
		}
		if tried {
			beat.Reset(x.config.Heartbeat)
		}
		if err == nil && look {
			sent, err = x.publishFurther(ctx, again)
		}
		if err != nil {
			return err
		}
		if tried || sent {
			pause = time.After(minInterval)
		}
		if now := x.pace(); polled || now != pace {
			pace = now
			poll.Reset(time.Until(x.looked.Add(pace))) // however often the pace changes
		}
	}
}

// pace is the pause between two polls. Where notices can be relied on, polls are there for
// the one that gets lost. What the hub has refused is tried again with the polls.
func (x *session) pace() time.Duration {
	if x.trusted && !x.unread && !x.refused {
		return max(x.config.Poll, noticedPoll)
	}
	return x.config.Poll
}

// read gets the watched document; told = because of a notice. The error is the end of
// the connection.
func (x *session) read(ctx context.Context, told bool) error {
	select {
	case <-x.notices: // what follows has the change
		told = true
	default:
	}
	if told {
		x.heard, x.trusted = true, true
	}
	told = told || x.unread // a notice may have led to that one
	doc, err := x.conn.Get(ctx, x.config.Watch)
	if end := x.end(ctx); end != nil {
		return end
	}
	x.looked = time.Now()
	x.unread = err != nil && !errors.Is(err, twin.ErrDocumentNotFound)
	if !x.unread {
		if x.trusted && !told && doc.Version != x.seen && len(x.notices) == 0 {
			x.trusted = false
			x.config.Logger.Info("hub did not tell of a change: polling as if it had no notices", "document", x.config.Watch, "every", x.config.Poll)
		}
		x.seen = doc.Version
	}
	x.config.Watched(doc, err)
	return nil
}

// end is why there is nothing more to do here. Without it, what a request returned is the hub's answer.
func (x *session) end(ctx context.Context) error {
	if err := x.conn.Err(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// document asks for the document to publish; nil is none.
func (x *session) document(ctx context.Context) json.RawMessage {
	select {
	case <-x.changed: // what follows has the change
	default:
	}
	return x.ask(ctx, x.config.Document)
}

// ask asks for a document as it is now; nil is none.
func (x *session) ask(ctx context.Context, document func(context.Context) (json.RawMessage, error)) json.RawMessage {
	ctx, cancel := context.WithTimeout(ctx, x.conn.timeout)
	defer cancel()
	doc, err := document(ctx)
	if err != nil {
		x.config.Logger.Debug("nothing to publish", "error", err)
		return nil
	}
	return doc
}

// update publishes the document if it is another than the hub has, which tried tells: a
// bouncing contact may well be back where it was.
func (x *session) update(ctx context.Context) (tried bool, err error) {
	doc := x.document(ctx)
	if doc == nil || bytes.Equal(doc, x.published) {
		return false, nil
	}
	return true, x.publish(ctx, doc)
}

// publish sends a document: the keys that differ from what the hub has, if that
// is known and a patch can say it, otherwise the whole. The error is the end of
// the connection.
func (x *session) publish(ctx context.Context, doc json.RawMessage) error {
	if doc == nil {
		return nil
	}
	stamped, ours, err := x.stamp(doc)
	if err != nil {
		x.rejected(err)
		return nil
	}
	known := x.known
	x.known = twin.Document{} // until an answer says better
	if known.Version != 0 {
		if patch, err := twin.Diff(known.Data, stamped); err == nil {
			answer, err := x.conn.write(ctx, twin.Patch, x.config.Publish, twin.Update{Version: known.Version, Data: patch}, ours)
			if end := x.end(ctx); end != nil {
				return end
			}
			if err == nil {
				x.accepted(doc)
				if answer.Version == known.Version+1 {
					x.known = answer
				}
				return nil
			}
			// Somebody else wrote or deleted the document. There is one writer, and it is this device.
			x.config.Logger.Info("hub has another document than expected: publishing the whole", "document", x.config.Publish, "error", err)
		}
	}
	answer, err := x.conn.write(ctx, twin.Put, x.config.Publish, twin.Update{Data: stamped}, ours)
	if end := x.end(ctx); end != nil {
		return end
	}
	if err != nil {
		x.rejected(err)
		return nil
	}
	x.accepted(doc)
	x.known = answer
	return nil
}

// accepted notes that the hub has a document.
func (x *session) accepted(doc json.RawMessage) {
	x.published = bytes.Clone(doc)
	if x.refused {
		x.refused = false
		x.config.Logger.Info("publication accepted again", "document", x.config.Publish)
	}
}

// rejected notes that the hub doesn't want the document. It is offered again, as a
// whole: after each poll if it is another than the hub has, else at each heartbeat.
func (x *session) rejected(err error) {
	if !x.refused {
		x.refused = true
		x.config.Logger.Error("publication refused: trying again", "document", x.config.Publish, "error", err)
	}
}

// stamp puts last_update in front of a document and returns how to recognise
// the answer: by that very time, which differs from the one before.
func (s *Sync) stamp(doc json.RawMessage) (json.RawMessage, func(twin.Document) bool, error) {
	rest, object := bytes.CutPrefix(bytes.TrimSpace(doc), []byte("{"))
	if !object || !json.Valid(doc) {
		return nil, nil, &twin.InvalidError{Argument: "data", Reason: "format", Help: "not a JSON object: publish one"}
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	// Two in one millisecond; a clock that was set back is another matter.
	if ahead := s.lastUpdate.Sub(now); ahead >= 0 && ahead < time.Second {
		now = s.lastUpdate.Add(time.Millisecond)
	}
	s.lastUpdate = now
	value := now.Format(`"2006-01-02T15:04:05.000Z"`)
	first := `{"last_update":` + value
	if !bytes.HasPrefix(bytes.TrimSpace(rest), []byte("}")) {
		first += ","
	}
	return append([]byte(first), rest...), func(d twin.Document) bool {
		var keys map[string]json.RawMessage
		return json.Unmarshal(d.Data, &keys) == nil && string(keys["last_update"]) == value
	}, nil
}
