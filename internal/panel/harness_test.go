package panel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/sensor"
	"github.com/twinpanel/twinpanel/statemachine"
	"github.com/twinpanel/twinpanel/twin"
)

// A fakeContact reports what the test says.
type fakeContact chan sensor.Reading

func (c fakeContact) Run(ctx context.Context, report func(sensor.Reading)) error {
	for {
		select {
		case r := <-c:
			report(r)
		case <-ctx.Done():
			return nil
		}
	}
}

// A fakeSiren records every call with its time since the test began.
type fakeSiren struct {
	start  time.Time
	mu     sync.Mutex
	calls  []string
	on     bool
	closed bool
	err    error
}

func (s *fakeSiren) call(what string, on bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		panic("siren used after Close: " + what)
	}
	s.on = on
	s.closed = what == "close"
	s.calls = append(s.calls, fmt.Sprintf("%v %s", time.Since(s.start), what))
	return s.err
}

func (s *fakeSiren) Set(on bool) error {
	return s.call(map[bool]string{true: "on", false: "off"}[on], on)
}
func (s *fakeSiren) Check() error { return s.call("check", s.sounds()) }
func (s *fakeSiren) Close() error { return s.call("close", false) }

func (s *fakeSiren) sounds() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.on
}

// fails makes every later call return err.
func (s *fakeSiren) fails(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// all are the calls so far; changes are those that are not checks.
func (s *fakeSiren) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

func (s *fakeSiren) changes() []string {
	return slices.DeleteFunc(s.all(), func(c string) bool { return strings.HasSuffix(c, "check") })
}

// A house is a panel with fakes, running in a bubble.
type house struct {
	t       *testing.T
	panel   *Panel
	doors   []fakeContact
	siren   *fakeSiren
	stop    context.CancelFunc
	ended   chan error
	changed int
	shown   []string
}

// start runs a panel on dir with the given doors; edit may change the configuration, prepare the panel.
func start(t *testing.T, dir string, names []string, edit func(*Config), prepare func(*Panel)) *house {
	t.Helper()
	h := &house{t: t, siren: &fakeSiren{start: time.Now()}, ended: make(chan error, 1)}
	c := Config{
		Rules:    statemachine.DefaultRules(),
		Siren:    h.siren,
		StateDir: dir,
		Changed:  func() { h.changed++ },
		Show: func(w string, faults bool) {
			if faults {
				w += " with faults"
			}
			h.shown = append(h.shown, w)
		},
		// A bubble's clock begins in 2000.
		Now: func() time.Time { return time.Now().AddDate(30, 0, 0) },
	}
	for _, name := range names {
		door := make(fakeContact)
		h.doors = append(h.doors, door)
		c.Contacts = append(c.Contacts, Contact{name, door})
	}
	if edit != nil {
		edit(&c)
	}
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if prepare != nil {
		prepare(p)
	}
	h.panel = p
	ctx, cancel := context.WithCancel(t.Context())
	h.stop = cancel
	go func() { h.ended <- p.Run(ctx) }()
	synctest.Wait()
	return h
}

// end stops the panel cleanly.
func (h *house) end() {
	h.t.Helper()
	h.stop()
	if err := <-h.ended; err != nil {
		h.t.Errorf("Run = %v, want nil", err)
	}
}

func (h *house) door(i int, r sensor.Reading) {
	h.doors[i] <- r
	synctest.Wait()
}

// sleep lets time pass and everything settle.
func (h *house) sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (h *house) desired(version uint32, data string) {
	h.panel.Desired(twin.Document{Version: version, Data: json.RawMessage(data)}, nil)
	synctest.Wait()
}

// document is the current document, asked for until the journal has had its say.
func (h *house) document() current {
	h.t.Helper()
	for range 3600 {
		b, err := h.panel.Document(h.t.Context())
		if errors.Is(err, ErrUnwritten) {
			h.sleep(100 * time.Millisecond)
			continue
		}
		if err != nil {
			h.t.Fatalf("Document: %v", err)
		}
		var c current
		if err := json.Unmarshal(b, &c); err != nil {
			h.t.Fatalf("Document %s: %v", b, err)
		}
		return c
	}
	h.t.Fatal("the journal has had no say for six minutes")
	panic("unreachable")
}

// mute says that nothing can be told right now.
func (h *house) mute() bool {
	_, err := h.panel.Document(h.t.Context())
	return errors.Is(err, ErrUnwritten)
}

// armed starts a panel with one closed door and arms it.
func armed(t *testing.T, prepare func(*Panel)) *house {
	h := start(t, t.TempDir(), []string{"door"}, nil, prepare)
	h.door(0, sensor.Closed)
	h.desired(1, `{"alarm_armed":true}`)
	return h
}
