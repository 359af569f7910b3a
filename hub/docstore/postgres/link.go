package postgres

import (
	"context"
	cryptorand "crypto/rand"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// Times of the link between hubs.
const (
	tellPause    = 5 * time.Millisecond   // after a message, before the next: what happens meanwhile goes with it
	tellPatience = 2 * time.Second        // for the server to take a message
	minRetry     = 100 * time.Millisecond // before the first attempt to tell or hear again
	maxRetry     = 5 * time.Second        // before later ones
	steadyTime   = 10 * time.Second       // that a connection has to last for the next retry to be a first one
	lookInterval = 5 * time.Second        // between two looks at everything, where the server has no LISTEN
)

// A link is what a hub needs to be one hub with the others on its database. What is written in the database is
// enough for that: epochs, which are read with each request. The rest only makes it quick.
type link struct {
	db     *DB
	log    *slog.Logger
	sender string // this hub, in messages and in the table of hubs
	untold untold
	wake   chan struct{} // holds an element while there may be something to tell

	listening string        // the statement
	look      time.Duration // lookInterval
	renew     time.Duration // renewInterval

	closing context.Context
	close   context.CancelFunc
	running sync.WaitGroup
	teller  sync.Once // starts it

	presence *presence
}

func newLink(db *DB, log *slog.Logger) *link {
	l := &link{db: db, log: log, sender: cryptorand.Text()[:16], wake: make(chan struct{}, 1),
		listening: "LISTEN " + channel, look: lookInterval, renew: renewInterval, presence: newPresence()}
	l.closing, l.close = context.WithCancel(context.Background())
	return l
}

// end tells what there is to tell, if the server takes it at once, and ends the link.
func (l *link) end() {
	l.close()
	l.running.Wait()
}

// An epoch is the time in microseconds, or more: one of a device that was removed and added again is higher than those before.
const raiseEpoch = `UPDATE twinpanel.devices
	SET epoch = greatest(epoch + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) WHERE id = $1 RETURNING epoch`

// Raise implements [peers.Link]. It is committed together with what else waits: many devices connect at once
// when a hub has ended.
func (db *DB) Raise(ctx context.Context, id twin.ID) (int64, error) {
	epoch, ok, err := db.do(ctx, &write{locks: lockDevice, key: docstore.Key{Twin: id}, steps: []step{{raiseEpoch, []any{string(id)}}}})
	switch {
	case err != nil:
		return 0, err
	case !ok:
		return 0, registry.ErrNoDevice
	}
	db.link.tell(func(u *untold) { u.raised[id] = max(u.raised[id], epoch) })
	return epoch, nil
}

// Changed implements [peers.Link].
func (db *DB) Changed(key docstore.Key) {
	db.link.tell(func(u *untold) { u.changed[key] = struct{}{} })
}

// HubChanged implements [peers.Link].
func (db *DB) HubChanged() { db.link.tell(func(u *untold) { u.hub = true }) }

const selectEpochs = `SELECT id, epoch FROM twinpanel.devices WHERE id = ANY ($1)`

// Epochs implements [peers.Link].
func (db *DB) Epochs(ctx context.Context, ids []twin.ID) (map[twin.ID]int64, error) {
	epochs := make(map[twin.ID]int64, len(ids))
	_, err := list(ctx, db, "epochs", func(row pgx.CollectableRow) (none struct{}, err error) {
		var id twin.ID
		var epoch int64
		err = row.Scan(&id, &epoch)
		epochs[id] = epoch
		return none, err
	}, selectEpochs, texts(ids))
	if err != nil {
		return nil, err
	}
	return epochs, nil
}

// texts are ids as the driver takes them.
func texts(ids []twin.ID) []string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = string(id)
	}
	return texts
}

// tell has the others told, without waiting for that.
func (l *link) tell(change func(*untold)) {
	l.untold.add(change)
	l.teller.Do(func() { l.running.Go(l.tellAll) })
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// tellAll sends messages until the link ends, and then what is left.
func (l *link) tellAll() {
	for closing := false; ; {
		select {
		case <-l.wake:
		case <-l.closing.Done():
			closing = true
		}
		for text := l.untold.take(l.sender); text != ""; text = l.untold.take(l.sender) {
			if !l.send(text) {
				return
			}
			l.wait(tellPause)
		}
		if closing {
			return
		}
	}
}

// send sends one message, as often as it takes. It is false when the link ends before that.
func (l *link) send(text string) bool {
	var pause retryPauses
	for failed := false; ; failed = true {
		ctx, cancel := context.WithTimeout(context.Background(), tellPatience)
		err := l.notify(ctx, text)
		cancel()
		switch {
		case err == nil && failed:
			l.log.Info("other hubs are told again what happens here")
			return true
		case err == nil, isUnsupported(err): // which Listen has said
			return true
		case l.closing.Err() != nil:
			return false
		case !failed:
			l.log.Warn("other hubs can't be told what happens here: trying again", "error", err)
		}
		l.wait(pause.next())
	}
}

func (l *link) notify(ctx context.Context, text string) error {
	conn, err := l.db.acquire(ctx, l.db.telling)
	if err != nil {
		return err
	}
	defer giveBack(conn)
	_, err = conn.Exec(ctx, "SELECT pg_notify($1, $2)", channel, text)
	return err
}

// retryPauses are the times to wait between attempts: with jitter, so that hubs don't come all at once.
type retryPauses struct{ last time.Duration }

func (p *retryPauses) next() time.Duration {
	p.last = min(max(2*p.last, minRetry), maxRetry)
	return p.last/2 + rand.N(p.last/2)
}

// wait returns earlier when the link ends.
func (l *link) wait(d time.Duration) {
	select {
	case <-time.After(d):
	case <-l.closing.Done():
	}
}
