package postgres

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/twinpanel/twinpanel/hub/peers"
)

// Listen implements [peers.Link]. What others tell comes over a connection of its own. After each new one anything may
// have been missed. A server without LISTEN is looked at every lookInterval instead.
//
// As long as it runs, others see which devices this hub has connections of.
func (db *DB) Listen(ctx context.Context, heard func(peers.News)) {
	l := db.link
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(l.closing, stop)()
	var presence sync.WaitGroup
	presence.Go(func() { l.keepPresence(ctx) })
	defer presence.Wait()

	var pauses retryPauses
	for failed := false; ctx.Err() == nil; {
		began := time.Now()
		err := l.listen(ctx, func(n peers.News) {
			if n.Missed && failed {
				l.log.Info("other hubs can be heard again")
				failed = false
			}
			heard(n)
		})
		switch {
		case ctx.Err() != nil:
			return
		case isUnsupported(err):
			l.log.Warn("the database's server can't tell hubs of each other's changes (LISTEN): each looks for itself", "interval", l.look, "error", err)
			l.lookAgain(ctx, heard)
			return
		case !failed:
			l.log.Warn("other hubs can't be heard: trying again", "error", err)
			failed = true
		}
		if time.Since(began) > steadyTime {
			pauses = retryPauses{}
		}
		select {
		case <-time.After(pauses.next()):
		case <-ctx.Done():
		}
	}
}

// listen hands over what comes until the connection or ctx ends.
func (l *link) listen(ctx context.Context, heard func(peers.News)) error {
	config := l.db.telling.Config().ConnConfig
	connecting, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	conn, err := pgx.ConnectConfig(connecting, config)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellPatience)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	if err := prepareSession(connecting, conn); err != nil {
		return err
	}
	if _, err := conn.Exec(connecting, l.listening); err != nil {
		return err
	}
	heard(peers.News{Missed: true})
	for {
		message, err := conn.WaitForNotification(ctx)
		if err != nil {
			return errors.Join(err, ctx.Err())
		}
		if news, others := parseMessage(message.Payload, l.sender); others {
			heard(news)
		}
	}
}

// lookAgain is Listen without LISTEN.
func (l *link) lookAgain(ctx context.Context, heard func(peers.News)) {
	tick := time.NewTicker(l.look)
	defer tick.Stop()
	for {
		heard(peers.News{Missed: true})
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
