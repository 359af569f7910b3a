package twinclient

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

// The pace of a Sync.
const (
	DefaultPoll      = 2 * time.Second
	DefaultHeartbeat = 30 * time.Second

	noticedPoll = 30 * time.Second       // pause between two reads where the hub tells of changes
	minInterval = 100 * time.Millisecond // of poll and heartbeat, and between what changes and notices cause
	putEvery    = 10                     // heartbeats: each tenth publishes the whole document

	firstRetry   = time.Second
	longestRetry = time.Minute
	longLife     = time.Minute // a connection that lasts so long starts the retries anew
)

// A SyncConfig says what a [Sync] keeps in step with the hub.
type SyncConfig struct {
	Connect Options   // how to connect; its Logger defaults to the one below
	Watch   twin.Name // the document to read, such as "desired"
	Publish twin.Name // the document to write, such as "current"

	// Poll is the pause between two reads; default DefaultPoll. Where the hub tells of
	// changes, a read follows each of them at once, and polls are 30 s apart, or Poll if that
	// is longer.
	Poll      time.Duration
	Heartbeat time.Duration // longest pause between two writes; default DefaultHeartbeat

	// Document returns the whole document to publish as it is now: a JSON object
	// without the key last_update, which Sync adds in front. It is called from
	// Run's goroutine after connecting, after Changed, and at each heartbeat.
	// An error or nil means that there is nothing to publish now. It has to
	// return when ctx ends, which is after the request timeout; nothing else
	// goes on meanwhile.
	Document func(ctx context.Context) (json.RawMessage, error)

	// Further documents, which come after that one; nil = none.
	Further []Publication

	// Watched gets each answer to a read of the watched document, in order: a
	// document, or the hub's refusal such as [twin.ErrDocumentNotFound]. It is
	// called from Run's goroutine and must not block. Documents that are the
	// same as the one before are passed on, too. Versions may go back, since a
	// document that is deleted and created again starts at 1.
	Watched func(doc twin.Document, err error)

	// Connected, which may be nil, is told when the link comes up (the hub has
	// answered a request), when it goes down, and while it is down when the
	// reason changes. It is called from Run's goroutine and must not block.
	Connected func(up bool, err error)

	Logger *slog.Logger // nil = silent
}

// Validate says what of the configuration cannot work and what to write instead.
func (c SyncConfig) Validate() error {
	if err := c.Connect.Validate(); err != nil {
		return err
	}
	for _, d := range []struct {
		what string
		name twin.Name
	}{{"watched", c.Watch}, {"published", c.Publish}} {
		if _, err := twin.ParseName(string(d.name)); err != nil {
			return fmt.Errorf("name of the %s document: %w", d.what, err)
		}
	}
	switch {
	case c.Watch == c.Publish:
		return fmt.Errorf("document %q is both watched and published: each document has one writer, so give two names", string(c.Watch))
	case c.Poll != 0 && c.Poll < minInterval:
		return fmt.Errorf("poll interval %v is too short: give %v or more, or 0 for %v", c.Poll, minInterval, DefaultPoll)
	case c.Heartbeat != 0 && c.Heartbeat < minInterval:
		return fmt.Errorf("heartbeat interval %v is too short: give %v or more, or 0 for %v", c.Heartbeat, minInterval, DefaultHeartbeat)
	case c.Document == nil || c.Watched == nil:
		return errors.New("functions Document and Watched are needed: give both")
	}
	taken := []twin.Name{c.Watch, c.Publish}
	for _, p := range c.Further {
		switch _, err := twin.ParseName(string(p.Name)); {
		case err != nil:
			return fmt.Errorf("name of a further document: %w", err)
		case slices.Contains(taken, p.Name):
			return fmt.Errorf("further document %q is watched or published already: give another name", string(p.Name))
		case p.Document == nil:
			return fmt.Errorf("further document %q has no function Document: give one", string(p.Name))
		}
		taken = append(taken, p.Name)
	}
	return nil
}

// A Sync keeps a device in step with its hub for as long as it runs: it reads
// one document again and again, at once where the hub tells of a change, and
// publishes others whenever they change.
type Sync struct {
	config     SyncConfig
	changed    chan struct{} // one slot: what is published is always the latest
	lastUpdate time.Time     // of the last publication
	refused    bool          // the hub doesn't accept the published document
	further    []*further
	shy        bool // the next connection doesn't ask for notices
	link       link
	warned     map[string]bool // what was logged about files with credentials
}

// NewSync checks the configuration.
func NewSync(c SyncConfig) (*Sync, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c.Poll = cmp.Or(c.Poll, DefaultPoll)
	c.Heartbeat = cmp.Or(c.Heartbeat, DefaultHeartbeat)
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	c.Connect.Logger = cmp.Or(c.Connect.Logger, c.Logger)
	var furthers []*further
	for _, p := range c.Further {
		furthers = append(furthers, &further{Publication: p})
	}
	return &Sync{
		config:  c,
		further: furthers,
		changed: make(chan struct{}, 1),
		warned:  make(map[string]bool),
		link:    link{connected: c.Connected, log: c.Logger.With("hub", c.Connect.Hub)},
	}, nil
}

// Changed says that a published document has changed. It never blocks and may
// be called from any goroutine, before Run as well.
func (s *Sync) Changed() {
	select {
	case s.changed <- struct{}{}:
	default: // what waits there will publish this change, too
	}
}

// Run connects, and connects again for ever, until ctx ends; then it returns
// nil. Whatever keeps it from the hub is a state that it reports and waits out.
// Call it once.
func (s *Sync) Run(ctx context.Context) error {
	retry := firstRetry
	for {
		err := s.serve(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if s.link.down(err) >= longLife {
			retry = firstRetry
		}
		// The jitter spreads the devices of a hub that was away.
		select {
		case <-time.After(retry/2 + rand.N(retry/2)):
		case <-ctx.Done():
			return nil
		}
		retry = min(2*retry, longestRetry)
	}
}

// serve lives one connection from Dial to its end, and returns why it ended.
func (s *Sync) serve(ctx context.Context) error {
	conn, err := Dial(ctx, s.config.Connect)
	if err != nil {
		return err
	}
	defer conn.Close()
	began := time.Now()
	x := &session{Sync: s, conn: conn}
	err = x.run(ctx)
	s.link.ended(err)
	// Should the hub have hung up because it was asked, the device must not be kept off it.
	switch {
	case x.heard, time.Since(began) >= longLife:
		s.shy = false
	case x.notices != nil && ctx.Err() == nil:
		s.shy = true
		s.config.Logger.Info("connection ended soon after change notices were asked for: not asking on the next one")
	}
	return err
}

// inspect logs, once each, what doesn't keep the device from its hub now: what will later, and what gives it away.
func (s *Sync) inspect() {
	for _, f := range s.config.Connect.Inspect(time.Now()) {
		if f.Next != "" && !s.warned[f.Text] {
			s.warned[f.Text] = true
			s.config.Logger.Warn("credentials need care", "what", f.What, "problem", f.Text, "next", f.Next)
		}
	}
}
