package postgres

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/twinpanel/twinpanel/twin"
)

// presenceTables say which hubs run, and which devices they have connections of. A hub's row counts for ten seconds after it was
// renewed. Nothing here has to last, so it is not logged: after a crash of the server the tables are empty, and
// the hubs fill them again.
//
//	hubs         one row per hub that runs
//	  id         the word by which it is known in messages
//	  until      when it counts as gone, by the server's clock
//	connections  one row per device that a hub has connections of
const presenceTables = `
CREATE UNLOGGED TABLE twinpanel.hubs (
	id    text COLLATE "C" NOT NULL PRIMARY KEY,
	until timestamptz NOT NULL
);
CREATE UNLOGGED TABLE twinpanel.connections (
	hub    text COLLATE "C" NOT NULL REFERENCES twinpanel.hubs ON DELETE CASCADE,
	device text COLLATE "C" NOT NULL,
	PRIMARY KEY (hub, device)
);
CREATE INDEX connections_device ON twinpanel.connections (device);
`

// Times of presence.
const (
	renewInterval = 3 * time.Second        // of the row in hubs, well below its lease
	presencePause = 100 * time.Millisecond // between two transactions, so that many connections are one
)

const (
	leaseEnd          = `clock_timestamp() + interval '10 seconds'`
	renewLease        = `UPDATE twinpanel.hubs SET until = ` + leaseEnd + ` WHERE id = $1`
	insertLease       = `INSERT INTO twinpanel.hubs (id, until) VALUES ($1, ` + leaseEnd + `)`
	insertConnections = `INSERT INTO twinpanel.connections (hub, device) SELECT $1, unnest($2::text[]) ON CONFLICT DO NOTHING`
	deleteConnections = `DELETE FROM twinpanel.connections WHERE hub = $1 AND device = ANY ($2)`
	deleteLease       = `DELETE FROM twinpanel.hubs WHERE id = $1`
	deleteEndedLeases = `DELETE FROM twinpanel.hubs WHERE until < clock_timestamp() AND id <> $1`
	selectElsewhere   = `SELECT DISTINCT c.device FROM twinpanel.connections c JOIN twinpanel.hubs h ON h.id = c.hub
		WHERE h.id <> $1 AND h.until > clock_timestamp()`
)

// presence is which devices this hub has connections of.
type presence struct {
	mu   sync.Mutex
	here map[twin.ID]bool
	due  map[twin.ID]bool // of them, what the database doesn't know yet
	wake chan struct{}    // holds an element while something is due
}

func newPresence() *presence {
	return &presence{here: make(map[twin.ID]bool), due: make(map[twin.ID]bool), wake: make(chan struct{}, 1)}
}

// takeDue takes off what the database doesn't know yet.
func (p *presence) takeDue() map[twin.ID]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	due := p.due
	p.due = make(map[twin.ID]bool)
	return due
}

// giveBack returns what was taken and could not be written; what is newer wins.
func (p *presence) giveBack(due map[twin.ID]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.Copy(due, p.due)
	p.due = due
}

// all are all devices that are here.
func (p *presence) all() map[twin.ID]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.here)
}

// Connected implements [peers.Link].
func (db *DB) Connected(id twin.ID, connected bool) {
	p := db.link.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	if connected {
		p.here[id] = true
	} else {
		delete(p.here, id)
	}
	p.due[id] = connected
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Elsewhere implements [peers.Link].
func (db *DB) Elsewhere(ctx context.Context, ids []twin.ID) (map[twin.ID]bool, error) {
	query, args := selectElsewhere, []any{db.link.sender}
	if ids != nil {
		query, args = query+" AND c.device = ANY ($2)", append(args, texts(ids))
	}
	found, err := list(ctx, db, "connections of other hubs", pgx.RowTo[twin.ID], query, args...)
	if err != nil {
		return nil, err
	}
	elsewhere := make(map[twin.ID]bool, len(found))
	for _, id := range found {
		elsewhere[id] = true
	}
	return elsewhere, nil
}

// keepPresence keeps the database's knowledge until ctx ends, and then takes it back.
func (l *link) keepPresence(ctx context.Context) {
	renew := time.NewTicker(l.renew)
	defer renew.Stop()
	for {
		// What goes wrong here goes wrong for whoever listens too, who says so.
		_ = l.writePresence(ctx)
		select {
		case <-time.After(presencePause):
		case <-ctx.Done():
		}
		select {
		case <-l.presence.wake:
		case <-renew.C:
			l.forgetGone(ctx)
		case <-ctx.Done():
			l.leave()
			return
		}
	}
}

// writePresence renews the lease and writes what has changed, or everything where the database knows nothing of this hub.
func (l *link) writePresence(ctx context.Context) error {
	due := l.presence.takeDue()
	err := l.db.transact(ctx, func(t *transaction) error {
		n, err := t.exec(renewLease, l.sender)
		switch {
		case err != nil:
			return err
		case n > 0:
			return t.writeConnections(l.sender, due)
		}
		if _, err := t.exec(insertLease, l.sender); err != nil {
			return err
		}
		return t.writeConnections(l.sender, l.presence.all())
	})
	if err != nil {
		l.presence.giveBack(due)
	}
	return err
}

// writeConnections writes which devices a hub has connections of, or has no more.
func (t *transaction) writeConnections(hub string, devices map[twin.ID]bool) error {
	var came, left []string
	for id, here := range devices {
		if here {
			came = append(came, string(id))
		} else {
			left = append(left, string(id))
		}
	}
	if len(came) > 0 {
		if _, err := t.exec(insertConnections, hub, came); err != nil {
			return err
		}
	}
	if len(left) > 0 {
		if _, err := t.exec(deleteConnections, hub, left); err != nil {
			return err
		}
	}
	return nil
}

// forgetGone removes hubs that were not heard of for too long, most likely since they have ended. They may have written something and not told it.
func (l *link) forgetGone(ctx context.Context) {
	var gone int64
	err := l.db.transact(ctx, func(t *transaction) (err error) {
		gone, err = t.exec(deleteEndedLeases, l.sender)
		return err
	})
	if err == nil && gone > 0 {
		l.log.Warn("another hub has not been heard of: what it may not have told is looked for", "hubs", gone)
		l.tell(func(u *untold) { u.gone = true })
	}
}

// leave takes back what others know of this hub.
func (l *link) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), tellPatience)
	defer cancel()
	// If the server can't be reached, the lease ends soon.
	_ = l.db.transact(ctx, func(t *transaction) error {
		_, err := t.exec(deleteLease, l.sender)
		return err
	})
}
