package sensor

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const ms = time.Millisecond

func TestNewRefuses(t *testing.T) {
	open := func() (Line, error) { return nil, errGone }
	tests := []struct {
		name   string
		config Config
		want   string // part of the error; "" = accepted
	}{
		{"no line", Config{}, "no line"},
		{"debounce negative", Config{Open: open, Debounce: -1}, "debounce of -1ns is out of range: 20ms to 300ms"},
		{"debounce short", Config{Open: open, Debounce: 19 * ms}, "debounce"},
		{"debounce long", Config{Open: open, Debounce: 301 * ms}, "debounce"},
		{"sample short", Config{Open: open, Sample: 9 * ms}, "sample"},
		{"sample long", Config{Open: open, Sample: 101 * ms}, "sample"},
		{"400 ms missed", Config{Open: open, Debounce: 300 * ms, Sample: 100 * ms}, "would miss"},
		{"shortest", Config{Open: open, Debounce: 20 * ms, Sample: 10 * ms}, ""},
		{"longest", Config{Open: open, Debounce: 300 * ms, Sample: 99 * ms}, ""},
		{"longest debounce and no sample", Config{Open: open, Debounce: 300 * ms}, ""},
		{"defaults", Config{Open: open}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(tt.config)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New: %v; want an error with %q", err, tt.want)
			}
		})
	}
}

func TestReadingHasAWord(t *testing.T) {
	for r, want := range map[Reading]string{Unknown: "unknown", Closed: "closed", Open: "open", Fault: "fault", 9: "reading 9"} {
		if got := r.String(); got != want {
			t.Errorf("String of %d = %q; want %q", uint8(r), got, want)
		}
	}
}

// allEdges runs a test with edges that are told, never come, and never end.
func allEdges(t *testing.T, f func(t *testing.T, e edges)) {
	for e, name := range []string{"edges told", "edges never", "edges for ever"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, edges(e)) })
		})
	}
}

func TestPulses(t *testing.T) {
	for _, tt := range []struct {
		debounce, pulse time.Duration
		seen            bool
	}{
		{0, 1 * ms, false},
		{0, 100 * ms, false},
		{0, 199 * ms, false},
		{0, 400 * ms, true},
		{0, 20 * time.Second, true},
		{20 * ms, 19 * ms, false},
		{20 * ms, 400 * ms, true},
		{300 * ms, 299 * ms, false},
		{300 * ms, 400 * ms, true},
	} {
		t.Run(fmt.Sprintf("%v after debounce %v", tt.pulse, tt.debounce), func(t *testing.T) {
			allEdges(t, func(t *testing.T, e edges) {
				w := newWire(t, e)
				x := run(t, w, Config{Debounce: tt.debounce})
				time.Sleep(time.Second + 13*ms)
				w.set(true)
				time.Sleep(tt.pulse)
				w.set(false)
				time.Sleep(time.Second)
				x.stop()
				want := []Reading{Closed}
				if tt.seen {
					want = []Reading{Closed, Open, Closed}
				}
				if got := x.readings(); !slices.Equal(got, want) {
					t.Errorf("reported %v; want %v", got, want)
				}
			})
		})
	}
}

func TestChangeIsReportedAfterTheDebounce(t *testing.T) {
	allEdges(t, func(t *testing.T, e edges) {
		w := newWire(t, e)
		x := run(t, w, Config{})
		time.Sleep(time.Second + 13*ms)
		moved := time.Since(x.start)
		w.set(true)
		time.Sleep(time.Second)
		x.stop()
		got := x.seen()
		if len(got) != 2 || got[0].after != DefaultDebounce {
			t.Fatalf("reported %v; want closed after %v, then open", got, DefaultDebounce)
		}
		late := minPass
		if e == edgesNever {
			late = DefaultSample
		}
		if took := got[1].after - moved; took < DefaultDebounce || took > DefaultDebounce+late {
			t.Errorf("open reported after %v; want %v to %v", took, DefaultDebounce, DefaultDebounce+late)
		}
	})
}

// A move is told when it is first seen, whether it lasts or not; what lasts is reported after the debounce.
func TestMovesAreForetold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, edgesTold)
		s, err := New(Config{Open: w.open, OpenLevelHigh: true})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var got []string
		start := time.Now()
		tell := func(what string) func(Reading) {
			return func(r Reading) { got = append(got, fmt.Sprint(time.Since(start).Round(20*ms), " ", what, " ", r)) }
		}
		done := make(chan error)
		go func() { done <- s.Watch(ctx, tell("moved"), tell("settled")) }()
		for _, lasts := range []time.Duration{100 * ms, time.Second} {
			time.Sleep(time.Second)
			w.set(true)
			time.Sleep(lasts)
			w.set(false)
		}
		time.Sleep(time.Second)
		cancel()
		<-done
		want := []string{
			"0s moved closed", "200ms settled closed", "1s moved open",
			"2.1s moved open", "2.3s settled open", "3.1s moved closed", "3.3s settled closed",
		}
		if !slices.Equal(got, want) {
			t.Errorf("told %q\nwant %q", got, want)
		}
	})
}

// A door that moves bounces: however it does, there is one change, to where it ends.
func TestBounceTrainsGiveOneChange(t *testing.T) {
	for seed := range uint64(30) {
		allEdges(t, func(t *testing.T, e edges) {
			random := rand.New(rand.NewPCG(seed, uint64(e)))
			w := newWire(t, e)
			x := run(t, w, Config{})
			time.Sleep(time.Second)
			var want = []Reading{Closed}
			for door := range 6 {
				opens := door%2 == 0
				for left := 150 * ms; ; {
					w.set(opens)
					gap := time.Duration(random.Int64N(int64(20 * ms)))
					if left -= gap; left < 0 {
						break
					}
					time.Sleep(gap)
					w.set(!opens)
					time.Sleep(min(gap, time.Duration(random.Int64N(int64(5*ms)))))
				}
				time.Sleep(DefaultDebounce + DefaultSample)
				want = append(want, map[bool]Reading{true: Open, false: Closed}[opens])
				if got := x.readings(); !slices.Equal(got, want) {
					t.Fatalf("seed %d: reported %v; want %v", seed, got, want)
				}
			}
			x.stop()
		})
	}
}

// Whatever the line does: no reading is reported twice in a row, a level that lasts is
// reported, and the last report is the last level.
func TestRandomLevels(t *testing.T) {
	for seed := range uint64(30) {
		allEdges(t, func(t *testing.T, e edges) {
			random := rand.New(rand.NewPCG(seed, uint64(e)))
			w := newWire(t, e)
			x := run(t, w, Config{})
			for range 100 {
				high := random.IntN(2) == 0
				w.set(high)
				lasts := time.Duration(random.Int64N(int64(500 * ms)))
				time.Sleep(lasts)
				synctest.Wait()
				got := x.readings()
				want := map[bool]Reading{true: Open, false: Closed}[high]
				if lasts >= DefaultDebounce+DefaultSample && (len(got) == 0 || got[len(got)-1] != want) {
					t.Fatalf("seed %d: %v for %v; reported %v", seed, want, lasts, got)
				}
			}
			x.stop()
			got := x.readings()
			if again := slices.Compact(slices.Clone(got)); len(again) != len(got) {
				t.Errorf("seed %d: a reading was reported twice: %v", seed, got)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	tests := []struct {
		name          string
		openErr, err  error
		before, lasts time.Duration // the wire works, fails, and works again
		want          []Reading
	}{
		{"from the start, 8 s, no line", errGone, nil, 0, 8 * time.Second, []Reading{Closed}},
		{"from the start, 8 s, no level", nil, errGone, 0, 8 * time.Second, []Reading{Closed}},
		{"from the start, 11 s, no line", errGone, nil, 0, 11 * time.Second, []Reading{Fault, Closed}},
		{"from the start, 11 s, no level", nil, errGone, 0, 11 * time.Second, []Reading{Fault, Closed}},
		{"an error before the first reading", nil, errGone, 100 * ms, 5 * time.Second, []Reading{Closed}},
		{"later, an instant", errGone, errGone, 20 * time.Second, 1, []Reading{Closed}},
		{"later, 700 ms", errGone, errGone, 20 * time.Second, 700 * ms, nil},
		{"later, 1.1 s, no line", errGone, errGone, 20 * time.Second, 1100 * ms, []Reading{Closed, Fault, Closed}},
		{"later, 1.1 s, no level", nil, errGone, 20 * time.Second, 1100 * ms, []Reading{Closed, Fault, Closed}},
		{"later, ten minutes", errGone, errGone, 20 * time.Second, 10 * time.Minute, []Reading{Closed, Fault, Closed}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			allEdges(t, func(t *testing.T, e edges) {
				w := newWire(t, e)
				if tt.before == 0 {
					w.fail(tt.openErr, tt.err)
				}
				x := run(t, w, Config{})
				time.Sleep(tt.before)
				w.fail(tt.openErr, tt.err)
				time.Sleep(tt.lasts)
				w.fail(nil, nil)
				time.Sleep(reopenPace + DefaultDebounce + DefaultSample)
				got := x.readings()
				if tt.want != nil && !slices.Equal(got, tt.want) {
					t.Errorf("reported %v; want %v", got, tt.want)
				}
				if got[len(got)-1] != Closed {
					t.Errorf("reported %v at last; want closed", got)
				}
				if err := x.stop(); err != nil || w.line != nil {
					t.Errorf("Run ended with %v, line open: %v; want it closed", err, w.line != nil)
				}
			})
		})
	}
}

func TestFaultComesInTime(t *testing.T) {
	for _, tt := range []struct {
		name            string
		failAfter, want time.Duration
	}{
		{"at the start", 0, settleWithin},
		{"later", 20 * time.Second, 20*time.Second + mendWithin},
	} {
		t.Run(tt.name, func(t *testing.T) {
			allEdges(t, func(t *testing.T, e edges) {
				w := newWire(t, e)
				if tt.failAfter == 0 {
					w.fail(errGone, errGone)
				}
				x := run(t, w, Config{})
				time.Sleep(tt.failAfter)
				w.fail(errGone, errGone)
				time.Sleep(2 * time.Minute)
				x.stop()
				got := x.seen()
				last := got[len(got)-1]
				if last.Reading != Fault || last.after < tt.want || last.after > tt.want+2*DefaultSample {
					t.Errorf("reported %v after %v; want fault after %v", last.Reading, last.after, tt.want)
				}
			})
		})
	}
}

// The line is low while it fails, which is the level of a closed door.
func TestErrorIsNeverClosed(t *testing.T) {
	allEdges(t, func(t *testing.T, e edges) {
		w := newWire(t, e)
		w.set(true)
		w.fail(nil, errGone)
		x := run(t, w, Config{})
		time.Sleep(20 * time.Second)
		w.fail(nil, nil)
		time.Sleep(20 * time.Second)
		w.fail(nil, errGone)
		time.Sleep(20 * time.Second)
		x.stop()
		if got, want := x.readings(), []Reading{Fault, Open, Fault}; !slices.Equal(got, want) {
			t.Errorf("reported %v; want %v", got, want)
		}
	})
}

// Every other read fails: the line is back each time, and yet there is nothing to rely on.
func TestFlakyLineIsAFault(t *testing.T) {
	allEdges(t, func(t *testing.T, e edges) {
		w := newWire(t, e)
		x := run(t, w, Config{})
		time.Sleep(20 * time.Second)
		for range 20 {
			w.fail(nil, errGone)
			time.Sleep(60 * ms)
			w.fail(nil, nil)
			time.Sleep(60 * ms)
		}
		if got, want := x.readings(), []Reading{Closed, Fault}; !slices.Equal(got, want) {
			t.Errorf("reported %v; want %v", got, want)
		}
		x.stop()
	})
}

func TestContactThatNeverSettlesIsAFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, edgesTold)
		x := run(t, w, Config{})
		time.Sleep(20 * time.Second)
		for i := range 12 * 10 {
			w.set(i%2 == 0)
			time.Sleep(100 * ms)
		}
		if got, want := x.readings(), []Reading{Closed, Fault}; !slices.Equal(got, want) {
			t.Errorf("reported %v; want %v", got, want)
		}
		w.set(true)
		time.Sleep(time.Second)
		x.stop()
		if got, want := x.readings(), []Reading{Closed, Fault, Open}; !slices.Equal(got, want) {
			t.Errorf("reported %v; want %v", got, want)
		}
	})
}

// The process or the computer stands still, and then the contact needs a moment to settle.
func TestStandstillIsNoFault(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		high bool
		want []Reading
	}{
		{"one error", errGone, false, []Reading{Closed}},
		{"a change", nil, true, []Reading{Closed, Open}},
		{"one error and a change", errGone, true, []Reading{Closed, Open}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			allEdges(t, func(t *testing.T, e edges) {
				w := newWire(t, e)
				x := run(t, w, Config{})
				time.Sleep(20 * time.Second)
				w.mu.Lock()
				w.high, w.stall, w.once = tt.high, time.Minute, tt.err
				w.mu.Unlock()
				time.Sleep(2 * time.Minute)
				x.stop()
				if got := x.readings(); !slices.Equal(got, tt.want) {
					t.Errorf("reported %v; want %v", got, tt.want)
				}
			})
		})
	}
}

func TestLostLineIsOpenedOnceASecondForEver(t *testing.T) {
	allEdges(t, func(t *testing.T, e edges) {
		w := newWire(t, e)
		x := run(t, w, Config{})
		time.Sleep(20 * time.Second)
		w.fail(errGone, errGone)
		const away = 5 * time.Minute
		time.Sleep(away)
		w.fail(nil, nil)
		time.Sleep(2 * time.Second)
		x.stop()
		if got, most := len(w.attempts), int(away/reopenPace)+3; got < most/2 || got > most {
			t.Errorf("opened %d times in %v; want at most once a %v, and no less than half of that", got, away, reopenPace)
		}
		for i := 2; i < len(w.attempts); i++ {
			if gap := w.attempts[i].Sub(w.attempts[i-1]); gap < reopenPace || gap > reopenPace+DefaultSample {
				t.Fatalf("attempt %d came %v after the one before; want %v", i, gap, reopenPace)
			}
		}
	})
}

func TestEdgesForEverAreReadAtABoundedRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, edgesEver)
		x := run(t, w, Config{})
		time.Sleep(10 * time.Second)
		x.stop()
		if most := int(10*time.Second/minPass) + 2; w.reads > most {
			t.Errorf("%d reads in 10 s; want at most %d", w.reads, most)
		}
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	allEdges(t, func(t *testing.T, e edges) {
		for _, lost := range []bool{false, true} {
			w := newWire(t, e)
			if lost {
				w.fail(errGone, nil)
			}
			x := run(t, w, Config{})
			time.Sleep(20 * time.Second)
			end := time.Now()
			if err := x.stop(); err != nil {
				t.Errorf("Run: %v", err)
			}
			if took := time.Since(end); took > DefaultSample {
				t.Errorf("Run ended %v after its context; want at most %v", took, DefaultSample)
			}
			if w.line != nil {
				t.Error("line still open")
			}
		}
	})
}

func TestLogsEachLossAndReturnOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		w := newWire(t, edgesTold)
		x := run(t, w, Config{Logger: slog.New(slog.NewTextHandler(&out, nil))})
		time.Sleep(20 * time.Second)
		w.fail(errGone, errGone)
		time.Sleep(2 * time.Minute)
		w.fail(nil, nil)
		time.Sleep(2 * time.Minute)
		x.stop()
		for _, msg := range []string{`msg="contact line lost"`, `msg="contact line back"`} {
			if got := strings.Count(out.String(), msg); got != 1 {
				t.Errorf("%s logged %d times; want once:\n%s", msg, got, out.String())
			}
		}
	})
}
