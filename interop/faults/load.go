//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twinpanel/twinpanel/interop/faults/history"
	"github.com/twinpanel/twinpanel/twin"
)

// A load is all clients: a panel for each device, and apps.
type load struct {
	mqtt, rest string // the balancer's addresses
	token      string
	recorder   *history.Recorder
	books      []*twinBook
	panels     []*panel
	pace       time.Duration // between the beginnings of two requests of one client; 0 = none

	lastID   atomic.Uint32
	lastConn atomic.Uint64
	requests atomic.Int64 // answered or given up
	begun    atomic.Int64
	served   sync.Map    // process → time of its last success
	quiet    atomic.Bool // no client begins a request of its own any more; panels still follow notices
	success  watch
	clients  sync.WaitGroup
	names    []string // of their processes
	stopAll  context.CancelFunc
}

// A watch measures the longest time between two successes.
type watch struct {
	mu   sync.Mutex
	last time.Time
	most time.Duration
}

func (w *watch) success() {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.most = max(w.most, now.Sub(w.last))
	w.last = now
}

func (w *watch) longest() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.most
}

func newLoad(recorder *history.Recorder, ids []twin.ID, token, mqtt, rest string, rate, apps int) *load {
	l := &load{mqtt: mqtt, rest: rest, token: token, recorder: recorder}
	l.success.last = time.Now()
	if rate > 0 {
		l.pace = time.Duration(len(ids)+apps) * time.Second / time.Duration(rate)
	}
	for i, id := range ids {
		l.books = append(l.books, newTwinBook(id, i))
		l.panels = append(l.panels, &panel{load: l, book: l.books[i], process: fmt.Sprintf("panel-%d", i)})
	}
	return l
}

// start starts all clients.
func (l *load) start(ctx context.Context, apps int, random *rand.Rand) {
	ctx, l.stopAll = context.WithCancel(ctx)
	for _, p := range l.panels {
		own := newRandom(random)
		l.names = append(l.names, p.process)
		l.clients.Go(func() { p.run(ctx, own) })
	}
	for i := range apps {
		a := newApp(l, fmt.Sprintf("app-%d", i), l.rest)
		own := newRandom(random)
		l.names = append(l.names, a.process)
		l.clients.Go(func() { a.run(ctx, own) })
	}
}

// stop ends all clients and waits for them.
func (l *load) stop() {
	l.stopAll()
	l.clients.Wait()
}

// unserved are the clients that had no success since then.
func (l *load) unserved(since int64) (names []string) {
	for _, name := range l.names {
		if at, ok := l.served.Load(name); !ok || at.(int64) < since {
			names = append(names, name)
		}
	}
	return names
}

// underway says how many requests have no answer yet.
func (l *load) underway() []string {
	if n := l.begun.Load() - l.requests.Load(); n > 0 {
		return []string{fmt.Sprint(n)}
	}
	return nil
}

// untold are the panels that don't know the last version of what they watch.
func (l *load) untold() (names []string) {
	for _, p := range l.panels {
		if known, told := p.book.desired.known.Load(), p.told.Load(); told != known {
			names = append(names, fmt.Sprintf("%s: %d, not %d", p.process, told, known))
		}
	}
	return names
}

func newRandom(from *rand.Rand) *rand.Rand {
	return rand.New(rand.NewPCG(from.Uint64(), from.Uint64()))
}

// record sends a request by do and writes down what became of it.
func (l *load) record(r request, process string, device twin.ID, do func(request) (answer, uint64)) answer {
	e := history.Event{
		Kind: r.kind, ID: r.id, Process: process, Device: string(device), Document: r.document.of,
		If: r.version, Noticed: r.noticed, Call: l.recorder.Now(),
	}
	l.begun.Add(1)
	a, conn := do(r)
	e.Return, e.Conn = l.recorder.Now(), conn
	e.Outcome, e.Version, e.Data, e.Note = a.outcome, a.version, a.data, a.note
	l.recorder.Add(e)
	l.requests.Add(1)
	r.document.learn(a)
	if a.outcome == history.OK {
		l.success.success()
		l.served.Store(process, e.Return)
	}
	return a
}

// wait lets the time of a client's pace pass since began, and more if there was trouble. It is false when ctx has ended.
func (l *load) wait(ctx context.Context, began time.Time, a answer, random *rand.Rand) bool {
	pause := l.pace - time.Since(began)
	if a.outcome == history.Unknown || a.outcome == history.Failed {
		pause = max(pause, jitter(random))
	}
	return sleep(ctx, pause)
}

// jitter is how long a client waits after trouble: short, so that a hub that comes back has all of them at once.
func jitter(random *rand.Rand) time.Duration {
	const longest = 100 * time.Millisecond
	return time.Duration(random.Int64N(int64(longest)))
}

// sleep is false when ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
