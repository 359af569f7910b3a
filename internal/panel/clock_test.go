package panel

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/sensor"
)

const twoWeeks = 14 * 24 * time.Hour

// What a kernel can say.
func told() (yes, known bool)    { return true, true }
func notTold() (yes, known bool) { return false, true }
func silent() (yes, known bool)  { return false, false }

func TestClockProblem(t *testing.T) {
	now := time.Date(2030, 5, 6, 7, 8, 9, 0, time.UTC)
	for _, test := range []struct {
		name         string
		now, journal time.Time
		synchronised func() (yes, known bool)
		want         string
	}{
		{"no clock", time.Unix(7, 0), time.Time{}, notTold, "it says 1970-01-01 00:00:07 UTC, before this program was built"},
		{"told a wrong time", time.Unix(7, 0), time.Time{}, told, "it says 1970-01-01 00:00:07 UTC, before this program was built"},
		{"before the journal", now, now.Add(twoWeeks), notTold, "it says 2030-05-06 07:08:09 UTC, but the journal was written at 2030-05-20 07:08:09 UTC"},
		{"before the journal, nobody knows", now, now.Add(twoWeeks), silent, "it says 2030-05-06 07:08:09 UTC, but the journal was written at 2030-05-20 07:08:09 UTC"},
		{"a journal of a wrong clock", now, now.Add(twoWeeks), told, ""},
		{"a moment before the journal", now, now.Add(clockTolerance), notTold, ""},
		{"after the journal", now, now.Add(-twoWeeks), notTold, ""},
		{"no journal", now, time.Time{}, notTold, ""},
		{"beyond every certificate", now.AddDate(200, 0, 0), time.Time{}, notTold, ""},
	} {
		got := ""
		if err := clockProblem(test.now, test.journal, test.synchronised); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestClockProblemReadsTheJournal(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	if err := ClockProblem(now, dir); err != nil {
		t.Errorf("without a journal: %v", err)
	}
	journal := filepath.Join(dir, journalName)
	if err := os.WriteFile(journal, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(journal, time.Time{}, now.Add(twoWeeks)); err != nil {
		t.Fatal(err)
	}
	yes, _ := Synchronised() // of the computer that this test runs on
	if err := ClockProblem(now, dir); (err == nil) != yes {
		t.Errorf("with a journal of two weeks later: %v", err)
	}
}

// What a watch says of a clock that is set by jumps. Every step is a minute long.
func TestClockWatch(t *testing.T) {
	const fine, wrong = false, true
	present := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	type step struct {
		jump         time.Duration
		synchronised func() (yes, known bool)
		want         bool
	}
	for _, test := range []struct {
		name    string
		start   time.Time
		journal time.Time
		steps   []step
		lines   int // about jumps
	}{
		{"steady", present, time.Time{}, []step{{0, notTold, fine}, {0, notTold, fine}}, 0},
		{"small steps", present, time.Time{}, []step{{59 * time.Second, notTold, fine}, {59 * time.Second, notTold, fine}, {-59 * time.Second, notTold, fine}}, 0},
		{"back and right again", present, time.Time{}, []step{{-twoWeeks, notTold, wrong}, {0, notTold, wrong}, {twoWeeks, notTold, fine}}, 2},
		{"forth and right again", present, time.Time{}, []step{{twoWeeks, notTold, wrong}, {0, notTold, wrong}, {-twoWeeks, notTold, fine}}, 2},
		{"twice, and right again", present, time.Time{}, []step{{-twoWeeks, notTold, wrong}, {-twoWeeks, notTold, wrong}, {2 * twoWeeks, notTold, fine}}, 3},
		{"told the time", present, time.Time{}, []step{{3 * time.Hour, told, fine}, {0, notTold, fine}}, 1},
		{"told the time later", present, time.Time{}, []step{{3 * time.Hour, notTold, wrong}, {0, told, fine}, {0, notTold, fine}}, 1},
		{"nobody knows", present, time.Time{}, []step{{twoWeeks, silent, fine}, {-twoWeeks, silent, fine}}, 2},
		{"none at boot", time.Unix(0, 0), time.Time{}, []step{{0, notTold, wrong}, {present.Sub(time.Unix(0, 0)), notTold, fine}, {0, notTold, fine}}, 1},
		{"none at boot, set to a time that cannot be", time.Unix(0, 0), time.Time{}, []step{{time.Hour, notTold, wrong}}, 1},
		{"where it was stopped", present, present.Add(time.Hour), []step{{0, notTold, wrong}, {3 * time.Hour, notTold, fine}}, 1},
		{"where it was stopped, and told", present, present.Add(time.Hour), []step{{0, notTold, wrong}, {0, told, fine}}, 0},
		{"where it was stopped, and time passes", present, present.Add(3 * time.Minute), []step{{0, notTold, wrong}, {0, notTold, fine}}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			var log bytes.Buffer
			state := notTold
			c := clock{
				journal: test.journal, log: slog.New(slog.NewTextHandler(&log, nil)),
				synchronised: func() (yes, known bool) { return state() },
			}
			now, passed := test.start, time.Duration(0)
			c.look(now, passed)
			for i, s := range test.steps {
				passed += time.Minute
				now = now.Add(time.Minute + s.jump)
				state = s.synchronised
				c.look(now, passed)
				if got := c.problem != nil; got != s.want {
					t.Errorf("step %d: wrong is %v, want %v: %v", i+1, got, s.want, c.problem)
				}
			}
			if got := strings.Count(log.String(), "clock jumps"); got != test.lines {
				t.Errorf("%d lines about jumps, want %d:\n%s", got, test.lines, &log)
			}
		})
	}
}

// A wallClock is one that a test sets.
type wallClock struct {
	ahead atomic.Int64 // of the bubble's clock
	told  atomic.Bool

	mu  sync.Mutex
	log bytes.Buffer
}

func (w *wallClock) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

func (w *wallClock) logged(what string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Count(w.log.String(), what)
}

// thirtyYears are from a bubble's beginning to the present of these tests.
const thirtyYears = 30 * 365 * 24 * time.Hour

func newWallClock() *wallClock {
	w := new(wallClock)
	w.ahead.Store(int64(thirtyYears))
	return w
}

func (w *wallClock) jump(by time.Duration) { w.ahead.Add(int64(by)) }

func (w *wallClock) use(c *Config) {
	c.Now = func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }
	c.Synchronised = func() (yes, known bool) { return w.told.Load(), true }
	c.Logger = slog.New(slog.NewTextHandler(w, nil))
}

func faulty(c current) bool { return slices.Contains(c.Faults, faultClock) }

// An intrusion is what a house went through, second by second.
type intrusion struct {
	states  []string
	siren   []string
	journal record
	faults  []bool // of the clock
}

// intrude lives through an exit delay of 20 s, an entry delay of 15 s and a ring of 30 s, and calls each with each second.
func intrude(t *testing.T, w *wallClock, each func(second int)) (i intrusion) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		h := start(t, dir, []string{"door"}, func(c *Config) {
			c.Rules.ExitDelay, c.Rules.EntryDelay, c.Rules.SirenLimit = 20*time.Second, 15*time.Second, 30*time.Second
			w.use(c)
		}, nil)
		h.door(0, sensor.Closed)
		h.desired(1, `{"alarm_armed":true}`)
		for second := range 120 {
			switch second {
			case 40:
				h.door(0, sensor.Open)
			case 42:
				h.door(0, sensor.Closed)
			}
			each(second)
			h.sleep(time.Second)
			c := h.document()
			i.states = append(i.states, c.State)
			i.faults = append(i.faults, faulty(c))
		}
		h.end()
		i.siren = h.siren.changes()
		r, err := readJournal(dir)
		if err != nil {
			t.Fatal(err)
		}
		i.journal = r
	})
	return i
}

// Two weeks back or forth, or none at all, amid a delay or a ring: everything takes as long as ever.
func TestClockJumpsChangeNothing(t *testing.T) {
	want := intrude(t, newWallClock(), func(int) {})
	if !slices.Contains(want.states, "exit_delay") || !slices.Contains(want.states, "entry_delay") || !slices.Contains(want.states, "ringing") ||
		slices.Contains(want.faults, true) || want.journal.Rings != 1 {
		t.Fatalf("without jumps: %+v", want)
	}
	for name, at := range map[string]int{"exit delay": 10, "guarding": 30, "entry delay": 47, "ring": 65, "after the ring": 100} {
		for _, by := range []time.Duration{-twoWeeks, twoWeeks, -thirtyYears, -thirtyYears - 29*365*24*time.Hour} {
			t.Run(name+" "+by.String(), func(t *testing.T) {
				const wrong = 8 // seconds
				w := newWallClock()
				got := intrude(t, w, func(second int) {
					switch second {
					case at:
						w.jump(by)
					case at + wrong:
						w.jump(-by)
					}
				})
				if !slices.Equal(got.states, want.states) {
					t.Errorf("states %q, want %q", got.states, want.states)
				}
				if !slices.Equal(got.siren, want.siren) {
					t.Errorf("siren %q, want %q", got.siren, want.siren)
				}
				if !reflect.DeepEqual(got.journal, want.journal) {
					t.Errorf("journal %+v, want %+v", got.journal, want.journal)
				}
				for second, fault := range got.faults {
					switch {
					case second >= at+2 && second < at+wrong && !fault:
						t.Errorf("second %d: no fault", second)
					case (second < at || second > at+wrong+1) && fault:
						t.Errorf("second %d: a fault", second)
					}
				}
				for line, want := range map[string]int{`"clock jumps"`: 2, `"clock is wrong;`: 1, `"clock is right again"`: 1} {
					if got := w.logged(line); got != want {
						t.Errorf("%s: %d lines, want %d", line, got, want)
					}
				}
			})
		}
	}
}

// A Pi boots without a clock, guards, and says so until network time comes.
func TestNoClockAtBoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(wallClock)
		w.ahead.Store(int64(-30 * 365 * 24 * time.Hour)) // 1970
		h := start(t, t.TempDir(), []string{"door"}, w.use, nil)
		defer h.end()
		h.door(0, sensor.Closed)
		h.desired(1, `{"alarm_armed":true}`)
		h.sleep(time.Minute)
		if c := h.document(); !faulty(c) || !c.AlarmArmed {
			t.Errorf("in 1970: %+v, want armed with the fault clock", c)
		}
		h.door(0, sensor.Open)
		if !h.siren.sounds() {
			t.Error("no ring in 1970")
		}
		announced := h.changed
		w.ahead.Store(int64(thirtyYears))
		h.sleep(2 * aliveEvery)
		if c := h.document(); faulty(c) || !c.SirenRinging {
			t.Errorf("in the present: %+v, want ringing without the fault", c)
		}
		if h.changed == announced {
			t.Error("that the clock is right again is not announced")
		}
	})
}

// A clock that starts where it was stopped, before the journal was written. What happened so far keeps its times.
func TestClockStartsInThePast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		w := newWallClock()
		h := start(t, dir, []string{"door"}, w.use, nil)
		h.door(0, sensor.Closed)
		h.desired(1, `{"alarm_armed":true}`)
		h.end()
		written := time.Now().Add(thirtyYears)
		if err := os.Chtimes(filepath.Join(dir, journalName), time.Time{}, written); err != nil {
			t.Fatal(err)
		}

		w.jump(-time.Hour)
		h = start(t, dir, []string{"door"}, w.use, nil)
		defer h.end()
		h.door(0, sensor.Closed)
		if c := h.document(); !faulty(c) || !c.AlarmArmed {
			t.Errorf("an hour before the journal: %+v, want armed with the fault clock", c)
		}
		h.desired(2, `{"alarm_armed":false}`)
		h.sleep(time.Minute)
		if c := h.document(); !faulty(c) {
			t.Error("a journal that was written by the wrong clock ends the fault")
		}
		before := h.events()
		w.jump(3 * time.Hour)
		w.told.Store(true)
		h.sleep(time.Minute)
		if c := h.document(); faulty(c) {
			t.Errorf("told the time: faults %q", c.Faults)
		}
		if after := h.events(); after != before || before == "" {
			t.Errorf("events %s, before the clock was set %s", after, before)
		}
	})
}

// events is the document of that name.
func (h *house) events() string {
	h.t.Helper()
	b, err := h.panel.Events(h.t.Context())
	if err != nil {
		h.t.Error(err)
	}
	return string(b)
}

// A certificate that is not valid yet is a fault of the clock, as long as that is why there is no connection.
func TestClockByWhichACertificateIsEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, t.TempDir(), []string{"door"}, nil, nil)
		defer h.end()
		h.door(0, sensor.Closed)
		for _, step := range []struct {
			link Link
			want bool
		}{
			{Link{Err: errors.New("no route"), Early: false}, false},
			{Link{Err: errors.New("not valid yet"), Next: "set the clock", Early: true}, true},
			{Link{Err: errors.New("no route")}, false},
			{Link{Err: errors.New("not valid yet"), Early: true}, true},
			{Link{}, false},
		} {
			h.panel.Link(step.link)
			s, err := h.panel.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := slices.Contains(s.Faults, faultClock); got != step.want {
				t.Errorf("%v: fault %v, want %v", step.link, got, step.want)
			}
		}
	})
}

// A computer that slept has not lost any time.
func TestClockOfThisComputer(t *testing.T) {
	before := suspended()
	if after := suspended(); (after-before).Abs() > time.Second || before < 0 {
		t.Errorf("it has slept %v, then %v", before, after)
	}
	if yes, known := Synchronised(); yes && !known {
		t.Error("synchronised, and that is not known")
	}
}
