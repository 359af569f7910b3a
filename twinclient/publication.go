package twinclient

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

// How long a further document is left out after a connection has ended over it: at first, and at most.
const (
	firstRest   = time.Minute
	longestRest = 60 * time.Minute
)

// A Publication is a further document that a [Sync] publishes beside the main one: what is nice to know, such as what has
// happened lately. This device is its only writer, too.
//
// It is put as a whole and without a version, once on each connection and then when it has changed: after the main document,
// and never instead of it. Heartbeats don't repeat it; somebody who deletes it at the hub doesn't see it before it changes.
//
// What the hub refuses is offered again when it changes, at every tenth heartbeat, and on the next connection. A connection
// that ends before there is an answer is blamed on the document, which is then left out for a minute, and for twice as long each
// time up to an hour: a hub that hangs up over it, or never answers, still gets the main document.
type Publication struct {
	Name twin.Name

	// Document returns the whole document, under the rules of Document in [SyncConfig]. It is called whenever that is.
	Document func(ctx context.Context) (json.RawMessage, error)
}

// A further document is a publication and how it does.
type further struct {
	Publication
	accepted json.RawMessage // on this connection, as Document returned it; nil = nothing
	offered  json.RawMessage // on this connection, last
	refused  bool            // the hub doesn't accept it
	rest     time.Duration   // how long it was left out last; 0 = the hub has answered since
	until    time.Time       // it is left out
}

// connected forgets what was on the connection before.
func (f *further) connected() { f.accepted, f.offered = nil, nil }

// left notes that the connection ended before there was an answer.
func (f *further) left() {
	f.rest = min(max(2*f.rest, firstRest), longestRest)
	f.until = time.Now().Add(f.rest)
}

// publishFurther puts the further documents that the hub doesn't have, once it has the main one; again = also those that it
// has refused. It tells whether it sent something. The error is the end of the connection.
func (x *session) publishFurther(ctx context.Context, again bool) (sent bool, err error) {
	if x.published == nil || x.refused {
		return false, nil
	}
	for _, f := range x.further {
		if time.Now().Before(f.until) {
			continue
		}
		doc := x.ask(ctx, f.Document)
		if doc == nil || bytes.Equal(doc, f.accepted) || !again && bytes.Equal(doc, f.offered) {
			continue
		}
		if len(x.changed) > 0 {
			return sent, nil // what it tells of may be news of the main document, which goes first
		}
		sent = true
		if err := x.offer(ctx, f, doc); err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// offer puts a further document. The error is the end of the connection.
func (x *session) offer(ctx context.Context, f *further, doc json.RawMessage) error {
	f.accepted, f.offered = nil, bytes.Clone(doc)
	log := x.config.Logger.With("document", f.Name)
	stamped, ours, err := x.stamp(doc)
	if err == nil {
		_, err = x.conn.write(ctx, twin.Put, f.Name, twin.Update{Data: stamped}, ours)
		if end := x.end(ctx); end != nil {
			if ctx.Err() == nil {
				f.left()
				log.Info("connection ended over a further document: leaving it out for a while", "for", f.rest.String())
			}
			return end
		}
		f.rest = 0
	}
	switch {
	case err != nil && !f.refused:
		log.Warn("further publication refused: trying again now and then", "error", err)
	case err == nil && f.refused:
		log.Info("further publication accepted again")
	}
	f.refused = err != nil
	if err == nil {
		f.accepted = f.offered
	}
	return nil
}
