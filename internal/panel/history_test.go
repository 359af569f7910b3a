package panel

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/sensor"
)

// told are the events, a line for each transition.
func (h *house) told() []string {
	h.t.Helper()
	b, err := h.panel.Events(h.t.Context())
	if err != nil {
		h.t.Fatalf("Events: %v", err)
	}
	var document struct{ Events []Transition }
	if err := json.Unmarshal(b, &document); err != nil || document.Events == nil {
		h.t.Fatalf("Events are %s: %v", b, err)
	}
	lines := []string{}
	for _, e := range document.Events {
		line := fmt.Sprintf("%s|%s|%s", e.What, e.Contact, e.Why)
		if e.By != "" {
			line += "|" + string(e.By)
		}
		lines = append(lines, line)
	}
	return lines
}

func TestEventsTellWhatHappenedAndWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		rules := func(c *Config) { c.Rules.EntryDelay, c.Rules.ExitDelay = 30*time.Second, 45*time.Second }
		h := start(t, dir, []string{"front", "back"}, rules, nil)
		if got := h.told(); len(got) != 0 {
			t.Errorf("a panel that knows of nothing tells %q", got)
		}
		h.door(0, sensor.Closed)
		h.door(1, sensor.Open)
		h.desired(7, `{"alarm_armed":true}`)
		h.sleep(time.Minute)
		h.door(1, sensor.Fault)
		h.door(1, sensor.Closed)
		h.door(0, sensor.Open)
		h.door(0, sensor.Closed) // and 30 s later the siren rings
		h.sleep(time.Minute)
		h.panel.Command(t.Context(), false)
		h.sleep(time.Second)
		want := []string{
			"armed||desired 7", "exit delay started||desired 7",
			"exit delay ended||", "not guarded until closed|back|back open",
			"cannot be read|back|", "can be read again|back|back closed", "guarded|back|back closed",
			"entry delay started|front|front open", "ring started|front|entry delay over",
			"disarmed||a command at the panel", "ring stopped||a command at the panel",
		}
		if got := h.told(); !slices.Equal(got, want) {
			t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		h.desired(8, `{"alarm_armed":true}`)
		h.sleep(time.Minute)
		h.door(0, sensor.Open)
		h.sleep(time.Second)
		h.end()

		h = start(t, dir, []string{"front", "back"}, rules, nil)
		h.door(0, sensor.Open)
		h.sleep(time.Second)
		want = []string{"entry delay started||a restart had cut it off"}
		if got := h.told(); !slices.Equal(got, want) {
			t.Errorf("after a restart: got %q, want %q", got, want)
		}
		h.end()
	})
}

// The past arrives when the panel has long begun, and only the last twenty are told.
func TestEventsWithAPast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, t.TempDir(), []string{"door"}, nil, nil)
		h.door(0, sensor.Closed)
		h.desired(1, `{"alarm_armed":true}`)
		h.sleep(time.Second)
		told := h.changed
		past := []Transition{}
		for i := range 30 {
			past = append(past, Transition{What: fmt.Sprint("event ", i)})
		}
		past[29] = Started(time.Now(), "after a stop")
		h.panel.Past(past)
		h.sleep(time.Second)
		got := h.told()
		if len(got) != 20 || got[0] != "event 11||" || got[18] != "panel started||after a stop" || got[19] != "armed||desired 1" {
			t.Errorf("got %d events:\n%s", len(got), strings.Join(got, "\n"))
		}
		if h.changed != told+1 {
			t.Errorf("whoever publishes was told %d times, want once", h.changed-told)
		}
		h.end()
		h.panel.Past(past) // and nothing hangs
	})
}

// What the journal doesn't hold yet is not told as an event either; then it is, also where the current document is as before.
func TestEventsWaitForTheJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		h := start(t, t.TempDir(), []string{"door"}, nil, func(p *Panel) {
			write := p.journal.write
			p.journal.write = func(b []byte) error { <-gate; return write(b) }
		})
		h.door(0, sensor.Closed)
		told := h.changed
		h.desired(1, `{"alarm_armed":true}`)
		h.desired(2, `{"alarm_armed":false}`)
		if _, err := h.panel.Events(t.Context()); !errors.Is(err, ErrUnwritten) || h.changed != told {
			t.Errorf("before the journal was written: got error %v, told %d times", err, h.changed-told)
		}
		close(gate)
		synctest.Wait()
		want := []string{"armed||desired 1", "disarmed||desired 2"}
		if got := h.told(); !slices.Equal(got, want) || h.changed == told {
			t.Errorf("got %q, want %q; told %d times", got, want, h.changed-told)
		}
		h.end()
	})
}

// Who asked stands beside what the wish has caused, and nowhere else.
func TestEventsSayWhoAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		h := start(t, t.TempDir(), []string{"door"}, func(c *Config) {
			c.Rules.ExitDelay = 45 * time.Second
			c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		}, nil)
		h.door(0, sensor.Closed)
		h.desired(1, `{"alarm_armed":true,"by":"Anna"}`)
		h.sleep(time.Minute)
		h.door(0, sensor.Open)
		h.desired(2, `{"alarm_armed":true,"by":"Ben"}`) // which changes nothing
		h.desired(3, `{"alarm_armed":false,"by":"Ben"}`)
		h.desired(4, `{"alarm_armed":true}`)
		h.panel.Command(t.Context(), false)
		want := []string{
			"armed||desired 1|Anna", "exit delay started||desired 1|Anna", "exit delay ended||",
			"ring started|door|door open", "disarmed||desired 3|Ben", "ring stopped||desired 3|Ben",
			"armed||desired 4", "exit delay started||desired 4", "disarmed||a command at the panel",
		}
		if got := h.told(); !slices.Equal(got, want) {
			t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		h.end()
		for _, line := range []string{"msg=armed by=desired version=1 asked_by=Anna\n", "msg=armed by=desired version=4\n"} {
			if !strings.Contains(log.String(), line) {
				t.Errorf("no line %q in the log:\n%s", line, &log)
			}
		}
	})
}

// The vendor counts a message by started 4 kB, so the longest events, with last_update and what stands around them, have less.
func TestTheLongestEvents(t *testing.T) {
	name := strings.Repeat("x", 32)
	taps := func(by string) func(*house) {
		return func(h *house) {
			for v := range uint32(MaxTransitions) {
				h.desired(1<<32-1-v, fmt.Sprintf(`{"alarm_armed":%v,"by":"%s"}`, v%2 == 0, by))
			}
		}
	}
	for what, do := range map[string]func(*house){
		"askers with quotes":       taps(strings.Repeat(`\"`, 40)),
		"askers with less than":    taps(strings.Repeat("<", 40)),
		"askers of many bytes":     taps(strings.Repeat("é", 40)),
		"askers of the most bytes": taps(strings.Repeat(`\"`, 32) + strings.Repeat("📱", 8)),
		"contacts": func(h *house) {
			h.desired(1, `{"alarm_armed":true}`)
			h.sleep(2 * time.Second)
			for range 3 {
				h.door(0, sensor.Open)
				h.sleep(time.Minute)
				h.door(0, sensor.Closed)
			}
			for range MaxTransitions {
				h.door(0, sensor.Open) // all rings are used up
				h.door(0, sensor.Closed)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := start(t, t.TempDir(), []string{name}, func(c *Config) {
					c.Rules.SirenLimit, c.Rules.ExitDelay = 30*time.Second, time.Second
					c.Now = func() time.Time { return time.Now().AddDate(30, 0, 0).Add(123 * time.Millisecond) }
				}, nil)
				defer h.end()
				h.door(0, sensor.Closed)
				do(h)
				b, err := h.panel.Events(t.Context())
				if err != nil || len(h.told()) != MaxTransitions {
					t.Fatalf("%d events, %v", len(h.told()), err)
				}
				const around = `{"version":4294967295,"data":{"last_update":"2026-11-21T21:00:00.000Z",}}` + "$SCW/twins/me/events/put/response/success"
				if n := len(b) + len(around); n >= 4000 {
					t.Errorf("%d bytes, want less than 4000: %s", n, b)
				} else {
					t.Logf("%d bytes", n)
				}
			})
		})
	}
}
