package app

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"reflect"
	"sync"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

// DefaultPoll is how often the panel's document is read while somebody looks.
const DefaultPoll = 500 * time.Millisecond

// A WatchConfig says what a watcher watches.
type WatchConfig struct {
	API     *API
	Poll    time.Duration // between two reads of current while somebody looks or something is waited for; 0 = DefaultPoll
	Silence time.Duration // an armed panel that is silent for longer is taken for destroyed; 0 = DefaultSilence
	Changed func(View)    // hears of each view that differs in more than its counters, in order; must not block. May be nil
	Turned  func()        // called at least every second while the watcher does its work; must not block. May be nil
	Logger  *slog.Logger  // may be nil
}

// A Watcher reads the documents of one panel for all who look, and sends what they wish. Time passes for it without any
// answer: a view can become another one just because nothing came. It is safe for concurrent use.
type Watcher struct {
	config WatchConfig
	log    *slog.Logger
	poke   chan struct{} // one slot: there is something for Run to see
	ended  chan struct{} // closed when Run has ended

	mu      sync.Mutex
	facts   facts                      // only Run changes them
	viewers map[chan struct{}]struct{} // one slot each
	wishes  []*wish                    // in the order in which they are sent; the first may be under way
	come    bool                       // somebody looks, after nobody did
	turned  time.Time                  // when Run last looked around; zero: never

	// The rest is Run's alone.
	current, desired, events source
	putting                  bool      // a put is under way
	put                      time.Time // when the last one ended
	withdrawing              time.Time // not before this, after one that failed
	shown                    View      // what was told last
	heard                    time.Time // the panel's last sign of life in it
}

// NewWatcher returns a watcher that knows nothing until it runs.
func NewWatcher(c WatchConfig) *Watcher {
	c.Poll, c.Silence = cmp.Or(c.Poll, DefaultPoll), cmp.Or(c.Silence, DefaultSilence)
	if c.Changed == nil {
		c.Changed = func(View) {}
	}
	if c.Turned == nil {
		c.Turned = func() {}
	}
	return &Watcher{
		config:  c,
		log:     cmp.Or(c.Logger, slog.New(slog.DiscardHandler)),
		poke:    make(chan struct{}, 1),
		ended:   make(chan struct{}),
		facts:   facts{started: time.Now()},
		viewers: make(map[chan struct{}]struct{}),
		current: source{name: currentName},
		desired: source{name: desiredName},
		events:  source{name: eventsName},
	}
}

// View is what is true now.
func (w *Watcher) View() View {
	w.mu.Lock()
	defer w.mu.Unlock()
	now, f := time.Now(), w.facts
	if stoodStill(w.turned, now) { // Run will see it, too
		f.wake(now)
	}
	return look(f, now, w.config.Silence)
}

// Join says that somebody looks, until leave is called: what is true is then read more often. After each change there is
// something in the channel, and [Watcher.View] has what.
func (w *Watcher) Join() (changed <-chan struct{}, leave func()) {
	slot := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.come = w.come || len(w.viewers) == 0
	w.viewers[slot] = struct{}{}
	w.wake()
	return slot, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.viewers, slot)
	}
}

// wake makes Run look around.
func (w *Watcher) wake() {
	select {
	case w.poke <- struct{}{}:
	default:
	}
}

// tick is the longest time for which nobody asks whether time alone has made another view.
const tick = time.Second

// Run reads and sends until the context ends. It must be called once.
func (w *Watcher) Run(ctx context.Context) {
	var requests sync.WaitGroup // one read and one put at a time
	defer func() {
		requests.Wait()
		close(w.ended)
	}()
	reads, puts := make(chan result, 1), make(chan result, 1)
	reading := false
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		w.config.Turned()
		now := time.Now()
		w.turn(now)
		w.judge(now)
		v, looked := w.tell(now)
		if p := w.nextPut(now); p != nil {
			w.putting = true
			requests.Go(func() { puts <- w.send(ctx, p) })
		}
		next, at := w.nextRead(now, v, looked)
		if !reading && !at.After(now) {
			reading = true
			requests.Go(func() { reads <- w.get(ctx, next) })
		}
		wait := tick
		if !reading {
			wait = min(wait, at.Sub(now))
		}
		timer.Reset(wait)
		select {
		case r := <-reads:
			reading = false
			if ctx.Err() == nil {
				w.learn(r)
			}
		case r := <-puts:
			w.putting = false
			if r.err == nil || ctx.Err() == nil {
				w.learnPut(r)
			}
		case <-w.poke:
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
}

// turn notes that Run looks around.
func (w *Watcher) turn(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if stoodStill(w.turned, now) {
		w.facts.wake(now)
		w.log.Warn("the app stood still, or the clock was set", "for", now.Round(0).Sub(w.turned.Round(0)).Round(time.Second),
			"hint", "the computer of the app must not sleep")
	}
	w.turned = now
}

// standstill is how long nothing can happen to a Run that looks around each second, unless its computer sleeps or is overwhelmed.
const standstill = 10 * time.Second

// stoodStill tells whether there was nothing between two turns for too long, by either clock: the one that nobody can set may
// stand still with the computer. If the other was only set, nothing but a heartbeat's patience is lost.
func stoodStill(before, now time.Time) bool {
	return !before.IsZero() && (now.Sub(before) >= standstill || now.Round(0).Sub(before.Round(0)) >= standstill)
}

// A result is what came of a request.
type result struct {
	from  *source // of a get
	to    *put    // of a put
	began time.Time
	doc   twin.Document
	err   error
}

// get reads one document.
func (w *Watcher) get(ctx context.Context, s *source) result {
	r := result{from: s, began: time.Now()}
	r.doc, r.err = w.config.API.Get(ctx, s.name)
	return r
}

// learn takes the answer to a get.
func (w *Watcher) learn(r result) {
	now, s := time.Now(), r.from
	if s == &w.desired && (w.putting || !w.put.Before(r.began)) {
		s.tried, s.want = now, now // the answer may be older than what was put meanwhile
		return
	}
	found := !errors.Is(r.err, twin.ErrDocumentNotFound)
	if r.err != nil && found {
		s.failed(r.err, r.began, now)
		if s.failures == 2 && s != &w.current {
			w.log.Warn("document can't be read", "document", s.name, "error", r.err)
		}
		return
	}
	away := s.failures > 0
	s.succeeded(r.began, now)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch s {
	case &w.current:
		before, beat := w.facts.current, w.beat()
		moved := w.facts.learnCurrent(r.doc, found, now)
		news := before.read.IsZero() || moved && differs(before.Data, r.doc.Data)
		if news {
			w.desired.want = now
		}
		// A ring may have come and gone while nobody could see it.
		if news || away || moved && now.Sub(before.moved) >= beat*3/2 {
			// The panel writes what happened after what is: it may not be there yet.
			w.events.want, w.events.again = now, now.Add(eventsLater)
		}
	case &w.desired:
		w.facts.learnDesired(r.doc, found, false, now)
	case &w.events:
		w.facts.events.learn(r.doc, found, now)
	}
}

// differs tells whether more is new in current than the time.
func differs(before, after json.RawMessage) bool {
	old, err := object(before)
	if err != nil {
		return true
	}
	keys, err := object(after)
	if err != nil {
		return true
	}
	for _, counter := range []string{"last_update", "left_s"} {
		delete(old, counter)
		delete(keys, counter)
	}
	return !maps.EqualFunc(old, keys, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) })
}

// Trouble is shown after a second failure or this time after the first: one alone is often the last.
const firstPatience = 3 * time.Second

// judge decides whether the hub is in trouble. Only current counts: whoever can read it can see whether it rings.
func (w *Watcher) judge(now time.Time) {
	s := &w.current
	w.mu.Lock()
	defer w.mu.Unlock()
	known := w.facts.trouble
	switch {
	case s.failures == 0 && known != nil:
		w.facts.trouble = nil
		w.log.Info("hub is back", "away", now.Sub(known.Since).Round(time.Second))
	case s.failures >= 2 || s.failures == 1 && now.Sub(s.since) >= firstPatience:
		t := Trouble{Why: WhyUnreachable, Text: s.err.Error(), Since: s.since}
		if e, ok := errors.AsType[*HubError](s.err); ok {
			t.Why = e.Why
		}
		w.facts.trouble = &t
		if known == nil || known.Why != t.Why {
			w.log.Warn("hub is away", "why", t.Why, "error", t.Text)
		}
	}
}

// tell tells everybody what has changed, and returns what is true and whether somebody looks.
func (w *Watcher) tell(now time.Time) (v View, looked bool) {
	w.mu.Lock()
	v = look(w.facts, now, w.config.Silence)
	looked = len(w.viewers) > 0
	if w.come {
		w.come = false
		w.current.want, w.desired.want, w.events.want = now, now, now
	}
	changed := !sameView(v, w.shown)
	if changed || !w.heard.Equal(w.facts.current.moved) {
		w.shown, w.heard = v, w.facts.current.moved
		for slot := range w.viewers {
			select {
			case slot <- struct{}{}:
			default: // not fetched yet, and then it is this
			}
		}
	}
	w.mu.Unlock()
	if changed {
		w.config.Changed(v)
	}
	return v, looked
}

// sameView compares all but the counters, which a page counts on by itself.
func sameView(a, b View) bool {
	return reflect.DeepEqual(uncounted(a), uncounted(b))
}

// uncounted is a view whose counters stand still.
func uncounted(v View) View {
	still := func(ms *int64) *int64 {
		if ms == nil {
			return nil
		}
		return new(int64)
	}
	v.HeardMS = still(v.HeardMS)
	if v.Known != nil {
		k := *v.Known
		k.LeftMS = still(k.LeftMS)
		v.Known = &k
	}
	if v.Wish != nil {
		wish := *v.Wish
		wish.AgeMS, wish.LeftMS = 0, still(wish.LeftMS)
		v.Wish = &wish
	}
	return v
}
