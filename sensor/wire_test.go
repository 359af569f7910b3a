package sensor

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"
)

var errGone = errors.New("no such device")

// Edges says what a wire tells of its changes.
type edges int

const (
	edgesTold  edges = iota
	edgesNever       // Wait always takes its whole time
	edgesEver        // Wait always returns at once
)

// A wire is a strict stand-in for an input line and what is behind it. It fails the test
// when a line is used in a way that the kernel refuses.
type wire struct {
	t     *testing.T
	edges edges

	mu       sync.Mutex
	high     bool
	err      error         // of Read and Wait
	openErr  error         // of Open
	stall    time.Duration // the next Read takes so long, as when the whole process stands still,
	once     error         // and ends with this
	changed  chan struct{} // one slot
	line     *wireLine
	attempts []time.Time // to open it
	reads    int
}

type wireLine struct{ wire *wire }

func newWire(t *testing.T, e edges) *wire {
	return &wire{t: t, edges: e, changed: make(chan struct{}, 1)}
}

func (w *wire) set(high bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.high = high
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// fail makes the wire fail, as a whole or only once it is open.
func (w *wire) fail(openErr, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.openErr, w.err = openErr, err
}

func (w *wire) open() (Line, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.attempts = append(w.attempts, time.Now())
	if w.line != nil {
		w.t.Error("line opened while it is open")
	}
	if w.openErr != nil {
		// What an opener of another type gives: an interface that is not nil.
		return (*wireLine)(nil), w.openErr
	}
	w.line = &wireLine{w}
	return w.line, nil
}

func (l *wireLine) use(call string) error {
	if l == nil || l.wire.line != l {
		panic(call + " on a line that is not open")
	}
	return l.wire.err
}

func (l *wireLine) Read() (bool, error) {
	l.wire.mu.Lock()
	defer l.wire.mu.Unlock()
	err := l.use("Read")
	if stall := l.wire.stall; stall > 0 {
		l.wire.stall = 0
		l.wire.mu.Unlock()
		time.Sleep(stall)
		l.wire.mu.Lock()
		err = l.wire.once
	}
	l.wire.reads++
	return l.wire.high && err == nil, err // low on errors, like real ones
}

func (l *wireLine) Wait(timeout time.Duration) error {
	l.wire.mu.Lock()
	err := l.use("Wait")
	l.wire.mu.Unlock()
	if timeout <= 0 {
		l.wire.t.Errorf("Wait(%v): for ever or not at all, as the driver likes", timeout)
		timeout = time.Millisecond
	}
	var changed chan struct{}
	switch l.wire.edges {
	case edgesTold:
		changed = l.wire.changed
	case edgesEver:
		return err
	}
	select {
	case <-changed:
	case <-time.After(timeout):
	}
	return err
}

func (l *wireLine) Close() error {
	l.wire.mu.Lock()
	defer l.wire.mu.Unlock()
	l.use("Close")
	l.wire.line = nil
	return nil
}

// A report is one call of Run's report.
type report struct {
	Reading
	after time.Duration // since the start of Run
}

// A watched sensor runs until the test's bubble is done with it.
type watched struct {
	start   time.Time
	mu      sync.Mutex
	reports []report
	stop    func() error // ends Run and returns its error
}

// run starts a sensor on the wire. It must be called in a synctest bubble.
func run(t *testing.T, w *wire, c Config) *watched {
	t.Helper()
	c.Open, c.OpenLevelHigh = w.open, true
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	x := &watched{start: time.Now()}
	x.stop = func() error { cancel(); return <-done }
	go func() {
		done <- s.Run(ctx, func(r Reading) {
			x.mu.Lock()
			defer x.mu.Unlock()
			x.reports = append(x.reports, report{r, time.Since(x.start)})
		})
	}()
	return x
}

func (x *watched) seen() []report {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.reports)
}

// readings returns what was reported, without the times.
func (x *watched) readings() []Reading {
	var all []Reading
	for _, r := range x.seen() {
		all = append(all, r.Reading)
	}
	return all
}
