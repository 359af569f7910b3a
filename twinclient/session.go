package twinclient

import (
	"bytes"
	"context"
	"encoding/json"
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
}

// run reads, publishes, and then waits for what comes next.
func (x *session) run(ctx context.Context) error {
	if err := x.read(ctx); err != nil {
		return err
	}
	x.link.up()
	if err := x.publish(ctx, x.document(ctx)); err != nil {
		return err
	}
	poll, beat := time.NewTimer(x.config.Poll), time.NewTimer(x.config.Heartbeat)
	var pause <-chan time.Time
	for {
		changed := x.changed
		if pause != nil || x.refused {
			changed = nil
		}
		var tried bool
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-x.conn.Done():
			return x.conn.Err()
		case <-poll.C:
			err = x.read(ctx)
			poll.Reset(x.config.Poll)
			if err == nil && x.refused {
				tried, err = x.update(ctx)
			}
		case <-beat.C:
			x.beats++
			if x.beats%putEvery == 0 {
				x.known = twin.Document{}
			}
			err = x.publish(ctx, x.document(ctx))
			beat.Reset(x.config.Heartbeat)
		case <-changed:
			tried, err = x.update(ctx)
		case <-pause:
			pause = nil
		}
		if err != nil {
			return err
		}
		if tried {
			beat.Reset(x.config.Heartbeat)
			pause = time.After(minInterval)
		}
	}
}

// read gets the watched document. The error is the end of the connection.
func (x *session) read(ctx context.Context) error {
	doc, err := x.conn.Get(ctx, x.config.Watch)
	if end := x.end(ctx); end != nil {
		return end
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
	ctx, cancel := context.WithTimeout(ctx, x.conn.timeout)
	defer cancel()
	doc, err := x.config.Document(ctx)
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
