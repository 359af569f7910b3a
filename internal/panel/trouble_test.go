package panel

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/sensor"
	"github.com/twinpanel/twinpanel/statemachine"
)

// slowJournal makes every write take a while.
func slowJournal(d time.Duration) func(*Panel) {
	return func(p *Panel) {
		write := p.journal.write
		p.journal.write = func(b []byte) error { time.Sleep(d); return write(b) }
	}
}

// A disk that hangs for ever, and somebody who taps every three seconds because nothing seems to happen.
func TestTapsOnAHangingDiskAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		var hangs atomic.Bool
		h := armed(t, func(p *Panel) {
			write := p.journal.write
			p.journal.write = func(b []byte) error {
				if hangs.Load() {
					<-hang
				}
				return write(b)
			}
		})
		defer h.end()
		hangs.Store(true)
		h.desired(2, `{"alarm_armed":false}`)
		h.sleep(3 * time.Second)
		for v := range uint32(20) {
			h.desired(v+3, `{"alarm_armed":false}`)
			h.sleep(3 * time.Second)
			if h.mute() {
				t.Fatalf("nothing is told %v after the first tap", time.Duration(v+2)*3*time.Second)
			}
		}
		if c := h.document(); c.AlarmArmed || !slices.Contains(c.Faults, "journal") {
			t.Errorf("document %+v, want disarmed with the fault journal", c)
		}
		close(hang)
		h.sleep(time.Second)
		if c := h.document(); len(c.Faults) != 0 {
			t.Errorf("faults %q after the disk has come back, want none", c.Faults)
		}
	})
}

// A document that was asked for too early is announced once it can be told, even if it has not changed.
func TestWhoeverAsksTooEarlyIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, t.TempDir(), []string{"door"}, nil, slowJournal(time.Second))
		defer h.end()
		h.door(0, sensor.Closed)
		told := h.changed
		h.desired(1, `{"alarm_armed":false}`) // the state is the same, but the version seen goes to the journal
		if !h.mute() {
			t.Fatal("told before the journal was written")
		}
		h.sleep(time.Second)
		if h.changed != told+1 {
			t.Errorf("announced %d times, want once", h.changed-told)
		}
	})
}

// A supply that breaks down whenever the siren starts, on a card that takes 150 ms to write: every ring that is heard was
// charged, so one intrusion is heard for its ring time at the most.
func TestBudgetWithAWeakSupplyAndASlowDisk(t *testing.T) {
	for _, entry := range []time.Duration{0, 30 * time.Second} {
		t.Run(entry.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rules := func(c *Config) { c.Rules.EntryDelay = entry }
				dir := t.TempDir()
				h := start(t, dir, []string{"door"}, rules, nil)
				h.door(0, sensor.Closed)
				h.desired(1, `{"alarm_armed":true}`)
				h.end()
				heard := 0
				for range 40 {
					h := start(t, dir, []string{"door"}, rules, slowJournal(150*time.Millisecond))
					h.door(0, sensor.Open)
					h.sleep(entry)
					for until := time.Now().Add(time.Second); time.Now().Before(until); h.sleep(10 * time.Millisecond) {
						if h.siren.sounds() {
							heard++
							break
						}
					}
					next := t.TempDir() // the power is gone: what is on the disk now
					if b, err := os.ReadFile(filepath.Join(dir, journalName)); err != nil {
						t.Fatal(err)
					} else if err := os.WriteFile(filepath.Join(next, journalName), b, 0o600); err != nil {
						t.Fatal(err)
					}
					h.end()
					dir = next
				}
				if most := int(statemachine.DefaultRules().SirenLimit / (10 * time.Second)); heard < 2 || heard > most {
					t.Errorf("heard after %d of 40 starts, want 2 to %d", heard, most)
				}
			})
		})
	}
}

func TestTheSirenStaysOffAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := armed(t, slowJournal(50*time.Millisecond))
		h.sleep(time.Second)
		h.door(0, sensor.Open) // the siren waits for the journal
		h.end()                // the fake panics when it is used after Close
		if h.siren.sounds() {
			t.Error("the siren sounds after the end")
		}
	})
}

func TestAnEndThatCannotTurnTheSirenOffIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := armed(t, nil)
		h.siren.fails(errors.New("the line is gone"))
		h.stop()
		if err := <-h.ended; err == nil || !strings.Contains(err.Error(), "the line is gone") {
			t.Errorf("Run = %v, want the siren's error", err)
		}
	})
}

func TestTheSirenIsOffBeforeTheDiskIsTouched(t *testing.T) {
	s := &fakeSiren{start: time.Now()}
	c := Config{Rules: statemachine.DefaultRules(), Contacts: []Contact{{"door", make(fakeContact)}}, Siren: s, StateDir: t.TempDir()}
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.all(); len(got) != 1 || !strings.HasSuffix(got[0], "off") {
		t.Errorf("siren %q after New, want off", got)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// A write that hangs over the end of one panel must not put an older state under the next.
func TestAHangingWriteKeepsTheFolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		hang := make(chan struct{})
		h := start(t, dir, []string{"door"}, nil, func(p *Panel) {
			p.journal.write = func([]byte) error { <-hang; return nil }
		})
		h.door(0, sensor.Closed)
		h.desired(1, `{"alarm_armed":false}`)
		h.end()
		next := h.panel.config
		next.Siren = &fakeSiren{}
		if _, err := New(next); err == nil {
			t.Error("another panel took the folder while a write of the first was under way")
		}
		close(hang)
	})
}

// Somebody removes the state folder under a running panel: journal and socket come back.
func TestTheStateFolderIsRemoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	door := make(fakeContact)
	p, err := New(Config{
		Rules: statemachine.DefaultRules(), Contacts: []Contact{{"door", door}}, Siren: &fakeSiren{start: time.Now()}, StateDir: dir,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	door <- sensor.Closed
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if s, err := p.Command(ctx, true); err != nil || !s.Armed || len(s.Faults) != 0 && !slices.Equal(s.Faults, []string{"clock"}) {
		t.Errorf("armed without a folder: %+v, %v", s, err)
	}
	if r, err := readJournal(dir); err != nil || !r.Armed {
		t.Errorf("journal %+v, %v; want armed in a new folder", r, err)
	}
	if err := CommandOffline(dir, false); err == nil {
		t.Error("the new folder is not locked")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A watchdog that Alive feeds hears nothing while a call of the siren's driver hangs, be it for ever.
func TestAliveWhileTheLoopTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var alive atomic.Int32
		hang := make(chan struct{})
		siren := &hangingSiren{hang: hang}
		h := start(t, t.TempDir(), []string{"door"}, func(c *Config) {
			siren.Siren, c.Siren = c.Siren, siren
			c.Alive = func() { alive.Add(1) }
		}, nil)
		if alive.Load() != 1 {
			t.Errorf("alive %d times at the start, want 1", alive.Load())
		}
		h.sleep(21 * time.Second)
		if alive.Load() != 11 {
			t.Errorf("alive %d times in 21 s, want 11", alive.Load())
		}
		siren.hangs.Store(true)
		h.sleep(10 * time.Second) // it is looked at every 10 s
		before := alive.Load()
		h.sleep(time.Hour)
		if alive.Load() != before {
			t.Errorf("alive %d times while the siren's driver hangs, want none", alive.Load()-before)
		}
		close(hang)
		h.sleep(10 * time.Second)
		if alive.Load() < before+5 {
			t.Errorf("alive %d times in the 10 s after that, want 5", alive.Load()-before)
		}
		h.end()
	})
}

// A hangingSiren is one whose Check hangs until hang is closed.
type hangingSiren struct {
	Siren
	hangs atomic.Bool
	hang  chan struct{}
}

func (s *hangingSiren) Check() error {
	if s.hangs.Load() {
		<-s.hang
	}
	return s.Siren.Check()
}
