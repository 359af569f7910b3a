package postgres

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/twinpanel/twinpanel/twin"
)

// presenceTables say which hubs run, and which devices they have connections of. A hub's row counts for leaseTime after it was
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

// Times of presence. The lease is also in renewHub and insertHub.
const (
	leaseTime     = 10 * time.Second
	renewInterval = 3 * time.Second
	presencePause = 100 * time.Millisecond // between two transactions, so that many connections are one
)

const (
	leaseEnd          = `clock_timestamp() + interval '10 seconds'`
	renewHub          = `UPDATE twinpanel.hubs SET until = ` + leaseEnd + ` WHERE id = $1`
	insertHubLease    = `INSERT INTO twinpanel.hubs (id, until) VALUES ($1, ` + leaseEnd + `)`
	insertConnections = `INSERT INTO twinpanel.connections (hub, device) SELECT $1, unnest($2::text[]) ON CONFLICT DO NOTHING`
	deleteConnections = `DELETE FROM twinpanel.connections WHERE hub = $1 AND device = ANY ($2)`
	deleteHub         = `DELETE FROM twinpanel.hubs WHERE id = $1`
	deleteGoneHubs    = `DELETE FROM twinpanel.hubs WHERE until < clock_timestamp() AND id <> $1`
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

func (p *presence) init() {
	p.here, p.due, p.wake = make(map[twin.ID]bool), make(map[twin.ID]bool), make(chan struct{}, 1)
}

// Connected implements [peers.Link].
func (db *DB) Connected(id twin.ID, connected bool) {
	p := &db.link.presence
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
	p := &l.presence
	p.mu.Lock()
	due := p.due
	p.due = make(map[twin.ID]bool)
	p.mu.Unlock()
	err := l.db.transact(ctx, func(t *transaction) error {
		n, err := t.exec(renewHub, l.sender)
		if err != nil {
			return err
		}
		var came, left []twin.ID
		for id, here := range due {
			if here {
				came = append(came, id)
			} else {
				left = append(left, id)
			}
		}
		if n == 0 {
			p.mu.Lock()
			came, left = nil, nil
			for id := range p.here {
				came = append(came, id)
			}
			p.mu.Unlock()
			if _, err := t.exec(insertHubLease, l.sender); err != nil {
				return err
			}
		}
		if len(came) > 0 {
			if _, err := t.exec(insertConnections, l.sender, texts(came)); err != nil {
				return err
			}
		}
		if len(left) > 0 {
			if _, err := t.exec(deleteConnections, l.sender, texts(left)); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.Copy(due, p.due) // what is newer wins
	p.due = due
	return err
}

// forgetGone removes hubs that have ended without a word. They may have written something and not told it.
func (l *link) forgetGone(ctx context.Context) {
	var gone int64
	err := l.db.transact(ctx, func(t *transaction) (err error) {
		gone, err = t.exec(deleteGoneHubs, l.sender)
		return err
	})
	if err == nil && gone > 0 {
		l.log.Warn("another hub has ended without a word: what it may not have told is looked for", "hubs", gone)
		l.tell(func(u *untold) { u.gone = true })
	}
}

// leave takes back what others know of this hub.
func (l *link) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), tellPatience)
	defer cancel()
	// If the server can't be reached, the lease ends soon.
	_ = l.db.transact(ctx, func(t *transaction) error {
		_, err := t.exec(deleteHub, l.sender)
		return err
	})
}
