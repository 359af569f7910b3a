package app

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"time"
)

// Pauses after a notice that couldn't be delivered. Each is twice the one before, up to the longest.
const (
	firstAgain      = 5 * time.Second
	longestAgain    = 5 * time.Minute
	longestPatience = time.Hour // as the receiver asks for
)

// A Receiver takes notices: a [Webhook] or a [Program].
type Receiver interface {
	// Name is the same over restarts, and fit for a file's name.
	Name() string
	// Deliver hands one notice over, within a bound of its own. What it says is for the one who tries it. An error may be a
	// *[DeliveryError].
	Deliver(ctx context.Context, n Notice) (said string, err error)
}

// A DeliveryError is why a receiver didn't take a notice.
type DeliveryError struct {
	Text  string        // with what to look at
	Wait  time.Duration // the receiver asks for so much patience; 0: for none
	Yours bool          // it will go on until somebody mends it
}

func (e *DeliveryError) Error() string { return e.Text }

// NotifierConfig says whom to tell, and how.
type NotifierConfig struct {
	Dir       string // folder that keeps what was told
	Receivers []Receiver
	Language  string // of [Languages]; empty = English
	Click     string // URL of the page; may be empty
	Logger    *slog.Logger
}

// A Notifier tells somebody who doesn't look: of a ring, of a panel that falls silent, and of what is broken. It doesn't queue. Each
// receiver has a ledger of what it was told, and is told whatever differs from it, so that after an outage it hears what is so then,
// once, and of a ring that came and went meanwhile.
//
// A notice is told at least once: the ledger is written when the receiver has taken it, and a power cut in between makes it come
// twice. What comes and goes is told rarely: that it has begun at most every 10 minutes, that it is over once it has been for 30
// seconds, and 12 notices of alarms and 20 others in an hour at most. How it ends is always told.
type Notifier struct {
	couriers []*courier

	mu sync.Mutex
	situation
}

// NewNotifier reads what was told.
func NewNotifier(c NotifierConfig) (*Notifier, error) {
	words, err := newVocabulary(c.Language)
	if err != nil {
		return nil, err
	}
	log := cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	n := &Notifier{}
	for _, r := range c.Receivers {
		log := log.With("to", r.Name())
		path := filepath.Join(c.Dir, "notices-"+r.Name())
		n.couriers = append(n.couriers, &courier{
			notifier: n,
			receiver: r,
			path:     path,
			ledger:   readLedger(path, log),
			words:    words,
			click:    c.Click,
			log:      log,
			poke:     make(chan struct{}, 1),
		})
	}
	return n, nil
}

// See takes what is true now. It doesn't wait for any receiver. Views must come in their order.
func (n *Notifier) See(v View) {
	n.mu.Lock()
	n.see(v, time.Now())
	n.mu.Unlock()
	for _, c := range n.couriers {
		select {
		case c.poke <- struct{}{}:
		default:
		}
	}
}

// Run tells until the context ends. It must be called once.
func (n *Notifier) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, c := range n.couriers {
		all.Go(func() { c.run(ctx) })
	}
	all.Wait()
}

// A courier tells one receiver, one notice after the other.
type courier struct {
	notifier *Notifier
	receiver Receiver
	path     string
	ledger   *ledger
	words    vocabulary
	click    string
	log      *slog.Logger
	poke     chan struct{} // one slot: there is news

	failed   *duty // the last attempt; nil: it succeeded
	failures int   // in a row
	ended    time.Time
	again    time.Time // when the next attempt is
	patience time.Time // the receiver asks for it: no attempt before, whatever it is about
	unsaved  bool      // the ledger couldn't be written, and the log knows
}

func (c *courier) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		d, at := c.next(time.Now())
		if d != nil {
			c.deliver(ctx, d)
			continue
		}
		// What is new pokes; without any, a timer that never fires would do.
		if at.IsZero() {
			at = time.Now().Add(time.Hour)
		}
		timer.Reset(time.Until(at))
		select {
		case <-c.poke:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

// next is what to tell now, or nil and when to look again; zero: when there is news.
func (c *courier) next(now time.Time) (*duty, time.Time) {
	n := c.notifier
	n.mu.Lock()
	d, at := c.ledger.due(&n.situation, now)
	n.mu.Unlock()
	c.save()
	if d == nil || c.failed == nil {
		return d, at
	}
	again := c.again
	if d.urgent && !d.same(c.failed) {
		again = latest(c.ended.Add(firstAgain), c.patience) // an alarm doesn't wait because of what else couldn't be told
	}
	if again.After(now) {
		return nil, again
	}
	return d, now
}

// deliver makes one attempt at one notice.
func (c *courier) deliver(ctx context.Context, d *duty) {
	_, err := c.receiver.Deliver(ctx, c.words.compose(d, time.Now(), c.click))
	now := time.Now()
	if err == nil {
		c.log.Info("notice told", "kind", d.kind, "subject", d.subject)
		c.failed, c.failures, c.patience = nil, 0, time.Time{}
		c.ledger.settle(d, now)
		c.save()
		return
	}
	if ctx.Err() != nil {
		return
	}
	pause := time.Duration(float64(min(firstAgain<<min(c.failures, 10), longestAgain)) * (0.8 + 0.4*rand.Float64()))
	level := slog.LevelWarn
	if e, ok := errors.AsType[*DeliveryError](err); ok {
		c.patience = now.Add(min(e.Wait, longestPatience))
		if e.Yours {
			level = slog.LevelError
		}
	}
	c.ended, c.again = now, latest(now.Add(pause), c.patience)
	if !d.same(c.failed) {
		c.log.Log(ctx, level, "notice can't be told yet", "kind", d.kind, "subject", d.subject, "error", err)
	}
	c.failed = d
	c.failures++
}

// save keeps what was told.
func (c *courier) save() {
	if !c.ledger.changed {
		return
	}
	err := c.ledger.save(c.path)
	if err != nil && !c.unsaved {
		c.log.Warn("what has been told can't be kept: it would be told again after a restart", "error", err)
	}
	c.unsaved = err != nil
	c.ledger.changed = false // a disk that fails isn't asked again and again
}

// TestNotice is a notice that tests a receiver.
func TestNotice(language, click string) (Notice, error) {
	words, err := newVocabulary(language)
	if err != nil {
		return Notice{}, err
	}
	return words.compose(&duty{kind: KindTest}, time.Now(), click), nil
}
