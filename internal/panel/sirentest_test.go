package panel

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/sensor"
	"github.com/twinpanel/twinpanel/statemachine"
)

// disarmed starts a panel with one closed door.
func disarmed(t *testing.T, edit func(*Config)) *house {
	h := start(t, t.TempDir(), []string{"door"}, edit, nil)
	h.door(0, sensor.Closed)
	return h
}

// testSiren begins a test of the siren, as somebody else would.
func (h *house) testSiren() <-chan error {
	ended := make(chan error, 1)
	go func() {
		_, err := h.panel.TestSiren(h.t.Context())
		ended <- err
	}()
	synctest.Wait()
	return ended
}

func TestSirenTestIsRefused(t *testing.T) {
	tests := []struct {
		name string
		do   func(*house)
		want string
	}{
		{"armed", func(h *house) { h.desired(1, `{"alarm_armed":true}`) }, "the siren is tested only while the panel is disarmed, and now it is exit_delay"},
		{"armed, after the exit delay", func(h *house) { h.desired(1, `{"alarm_armed":true}`); h.sleep(time.Minute) }, "the siren is tested only while the panel is disarmed, and now it is armed"},
		{"ringing", func(h *house) {
			h.desired(1, `{"alarm_armed":true}`)
			h.sleep(time.Minute)
			h.door(0, sensor.Open)
			h.sleep(time.Second)
		}, "the siren is tested only while the panel is disarmed, and now it is ringing"},
		{"being tested", func(h *house) { h.testSiren() }, "the siren is being tested already"},
		{"stopped", (*house).end, "the panel has stopped"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := disarmed(t, func(c *Config) { c.Rules.ExitDelay = 30 * time.Second })
				tt.do(h)
				before := h.siren.changes()
				if err := <-h.testSiren(); err == nil || err.Error() != tt.want {
					t.Errorf("got %v, want %s", err, tt.want)
				}
				if after := h.siren.changes(); !slices.Equal(after, before) {
					t.Errorf("siren %q before and %q after a test that was refused", before, after)
				}
				if tt.name != "stopped" {
					h.end()
				}
			})
		})
	}
}

// A test is one second of sound and nothing else, whatever the door does meanwhile.
func TestSirenTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := disarmed(t, func(c *Config) {
			c.Record = func(s Step) {
				if s.Event.Kind != statemachine.ContactRead && s.After != s.Before {
					t.Errorf("the black box was given %v", s.Event)
				}
			}
		})
		h.sleep(5 * time.Second)
		ended := h.testSiren()
		h.sleep(300 * time.Millisecond)
		h.door(0, sensor.Open)
		h.door(0, sensor.Closed)
		if c := h.document(); c.SirenRinging || c.AlarmArmed || c.State != "disarmed" || len(c.Faults) > 0 {
			t.Errorf("document %+v during a test, want no alarm", c)
		}
		if err := <-ended; err != nil {
			t.Errorf("test ended with %v", err)
		}
		h.end()
		if got, want := h.siren.changes(), []string{"0s off", "5s on", "6s off", "6s close"}; !slices.Equal(got, want) {
			t.Errorf("siren %q, want %q", got, want)
		}
		if _, err := os.Stat(filepath.Join(h.panel.config.StateDir, journalName)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("journal: %v, want none", err)
		}
	})
}

func TestSirenTestEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := disarmed(t, nil)
		ended := h.testSiren()
		h.sleep(400 * time.Millisecond)
		h.desired(1, `{"alarm_armed":true}`)
		if err := <-ended; !errors.Is(err, errTestCut) {
			t.Errorf("armed: test ended with %v, want %v", err, errTestCut)
		}
		h.door(0, sensor.Open) // which rings, as if there had been no test
		h.sleep(time.Second)
		h.desired(2, `{"alarm_armed":false}`)
		ended = h.testSiren()
		h.sleep(100 * time.Millisecond)
		h.end()
		if err := <-ended; !errors.Is(err, ErrStopped) {
			t.Errorf("stopped: test ended with %v, want %v", err, ErrStopped)
		}
		want := []string{"0s off", "0s on", "400ms off", "400ms on", "1.4s off", "1.4s on", "1.5s off", "1.5s close"}
		if got := h.siren.changes(); !slices.Equal(got, want) {
			t.Errorf("siren %q, want %q", got, want)
		}
	})
}

func TestSirenTestOfASirenThatDoesNotObey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := disarmed(t, nil)
		for _, when := range []string{"before", "meanwhile"} {
			broken := errors.New("its line reads back off " + when)
			if when == "before" {
				h.siren.fails(broken)
			}
			ended := h.testSiren()
			h.siren.fails(broken)
			if err := <-ended; !errors.Is(err, broken) {
				t.Errorf("test ended with %v, want %v", err, broken)
			}
			if c := h.document(); !slices.Contains(c.Faults, "siren") {
				t.Errorf("faults %q, want siren", c.Faults)
			}
			h.siren.fails(nil)
			h.sleep(time.Second)
		}
		h.end()
	})
}

func TestStatusSaysWhenTheHubAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := disarmed(t, nil)
		defer h.end()
		if s, err := h.panel.Status(t.Context()); err != nil || s.HubAnswered != nil {
			t.Errorf("before: %v, %v; want nothing", s.HubAnswered, err)
		}
		h.desired(1, `{}`)
		h.sleep(3 * time.Second)
		if s, err := h.panel.Status(t.Context()); err != nil || s.HubAnswered == nil || *s.HubAnswered != 3000 {
			t.Errorf("got %+v, %v; want 3000 ms", s, err)
		}
	})
}
