package buzzer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A fakeLine writes down each change of its level with its time, and the buzzer's log.
type fakeLine struct {
	start   time.Time
	mu      sync.Mutex
	log     bytes.Buffer
	changes []string
	high    bool
	open    bool
	opened  int
	broken  error         // what every call returns, if any
	hangs   chan struct{} // what Set waits for, if not nil
}

func (l *fakeLine) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log.Write(p)
}

// use has the test look at the line, or change it.
func (l *fakeLine) use(do func()) {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	do()
}

// changed is what has changed so far.
func (l *fakeLine) changed() (changes []string) {
	l.use(func() { changes = slices.Clone(l.changes) })
	return changes
}

func (l *fakeLine) Open() (Line, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opened++
	if l.broken != nil {
		return nil, l.broken
	}
	if l.open {
		panic("opened twice")
	}
	l.open = true
	return l, nil
}

func (l *fakeLine) Set(high bool) error {
	l.mu.Lock()
	hangs := l.hangs
	l.mu.Unlock()
	if hangs != nil {
		<-hangs
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.open {
		panic("used while closed")
	}
	if l.broken != nil {
		return l.broken
	}
	if high != l.high {
		l.high = high
		l.changes = append(l.changes, fmt.Sprintf("%v %s", time.Since(l.start), map[bool]string{true: "on", false: "off"}[high]))
	}
	return nil
}

func (l *fakeLine) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.open {
		panic("closed twice")
	}
	l.open = false
	return l.broken
}

// buzz runs a buzzer in a bubble and calls do.
func buzz(t *testing.T, c Config, do func(*Buzzer, *fakeLine)) {
	synctest.Test(t, func(t *testing.T) {
		line := &fakeLine{start: time.Now()}
		c.Open, c.Logger = line.Open, slog.New(slog.NewTextHandler(line, nil))
		b := New(c)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.Run(ctx) }()
		synctest.Wait()
		do(b, line)
		stop()
		if err := <-ended; !errors.Is(err, line.broken) {
			t.Errorf("Run: %v, want %v", err, line.broken)
		}
		if line.open || line.high {
			t.Errorf("at the end the line is open: %v, high: %v; want neither", line.open, line.high)
		}
	})
}

func TestWhatIsBeeped(t *testing.T) {
	// beeps are the changes of a line for beeps of 100 ms that begin every so often.
	beeps := func(from, every time.Duration, n int) (changes []string) {
		for i := range n {
			at := from + time.Duration(i)*every
			changes = append(changes, fmt.Sprint(at, " on"), fmt.Sprint(at+100*time.Millisecond, " off"))
		}
		return changes
	}
	long := []string{"0s on", "1s off"}
	tests := []struct {
		name      string
		before    string
		now       string
		faults    bool
		exitDelay time.Duration
		after     time.Duration // how long to listen
		want      []string
	}{
		{"nothing known", "", "", false, 0, time.Minute, nil},
		{"a start", "", "disarmed", false, 0, time.Minute, nil},
		{"a start, armed", "", "armed", true, 0, time.Minute, nil},
		{"ringing", "entry_delay", "ringing", false, 0, time.Minute, nil},
		{"rings on after a start", "", "ringing", false, 0, time.Minute, nil},
		{"a ring is over", "ringing", "armed", false, 0, time.Minute, nil},
		{"a ring is over, the door is open", "ringing", "silenced", true, 0, time.Minute, nil},
		{"the door is closed again", "silenced", "armed", false, 0, time.Minute, nil},
		{"a word of a later version", "armed", "partly_armed", false, 0, time.Minute, nil},

		{"armed", "disarmed", "armed", false, 0, time.Minute, long},
		{"armed after the delay", "exit_delay", "armed", false, 45 * time.Second, time.Minute, long},
		{"armed with faults", "disarmed", "armed", true, 0, time.Minute, slices.Concat(long, beeps(1500*time.Millisecond, 200*time.Millisecond, 3))},
		{"disarmed", "armed", "disarmed", false, 0, time.Minute, beeps(0, 250*time.Millisecond, 2)},
		{"disarmed with faults", "ringing", "disarmed", true, 0, time.Minute, beeps(0, 250*time.Millisecond, 2)},
		{"leaving", "disarmed", "exit_delay", false, 30 * time.Second, 30 * time.Second,
			slices.Concat(beeps(0, time.Second, 20), beeps(20*time.Second, 500*time.Millisecond, 20))},
		{"leaving in a hurry", "disarmed", "exit_delay", true, 5 * time.Second, 5 * time.Second, beeps(0, 500*time.Millisecond, 10)},
		{"coming in", "armed", "entry_delay", false, 0, 30 * time.Second, beeps(0, 250*time.Millisecond, 120)},
		{"the delay goes on after a start", "", "entry_delay", false, 0, time.Second, beeps(0, 250*time.Millisecond, 4)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			buzz(t, Config{ExitDelay: tt.exitDelay}, func(b *Buzzer, line *fakeLine) {
				b.shown = tt.before
				b.Show(tt.now, tt.faults)
				time.Sleep(tt.after - time.Nanosecond)
				if got := line.changed(); !slices.Equal(got, tt.want) {
					t.Errorf("after %q, %q: line\n%q, want\n%q", tt.before, tt.now, got, tt.want)
				}
			})
		})
	}
}

func TestSomethingElseIsBeepedAtOnce(t *testing.T) {
	for _, tt := range []struct {
		name  string
		shown []string // each 25 ms after the one before
		want  []string
	}{
		{"the siren amid a beep", []string{"ringing"}, []string{"1h0m0.05s on", "1h0m0.125s off"}},
		{"the siren in a pause", []string{"entry_delay", "entry_delay", "entry_delay", "ringing"}, []string{"1h0m0.05s on", "1h0m0.2s off"}},
		{"disarmed, then armed amid the beep", []string{"disarmed", "armed"}, []string{"1h0m0.05s on", "1h0m1.15s off"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			buzz(t, Config{}, func(b *Buzzer, line *fakeLine) {
				b.Show("armed", false)
				time.Sleep(time.Hour + 50*time.Millisecond)
				b.Show("entry_delay", false)
				time.Sleep(50 * time.Millisecond)
				for _, state := range tt.shown {
					time.Sleep(25 * time.Millisecond)
					b.Show(state, false)
				}
				time.Sleep(time.Minute)
				if got := line.changed(); !slices.Equal(got, tt.want) {
					t.Errorf("line %q, want %q", got, tt.want)
				}
			})
		})
	}
}

func TestALineThatIsFoundHighIsSilencedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := &fakeLine{start: time.Now(), high: true}
		ctx, stop := context.WithCancel(t.Context())
		stop()
		if err := New(Config{Open: line.Open}).Run(ctx); err != nil || line.high || line.open {
			t.Errorf("Run: %v, line high: %v, open: %v; want neither", err, line.high, line.open)
		}
	})
}

func TestALineThatHangsKeepsNobodyWaiting(t *testing.T) {
	buzz(t, Config{}, func(b *Buzzer, line *fakeLine) {
		b.Show("armed", false)
		hangs := make(chan struct{})
		line.use(func() { line.hangs = hangs })
		b.Show("entry_delay", false)
		synctest.Wait()
		for range 100 {
			b.Show("ringing", false)
			b.Show("disarmed", false)
			b.Show("armed", false)
		}
		close(hangs)
		time.Sleep(time.Minute)
		if got, want := line.changed(), []string{"0s on", "1s off"}; !slices.Equal(got, want) {
			t.Errorf("line %q, want the last thing shown, %q", got, want)
		}
	})
}

func TestALostLineIsOpenedAgainForEver(t *testing.T) {
	buzz(t, Config{}, func(b *Buzzer, line *fakeLine) {
		b.Show("armed", false)
		line.use(func() { line.broken = errors.New("no such device") })
		time.Sleep(time.Hour)
		b.Show("entry_delay", false)
		time.Sleep(time.Hour + time.Millisecond)
		line.use(func() {
			lost := line.log.String()
			if strings.Count(lost, "\n") != 1 || !strings.Contains(lost, `msg="buzzer line lost" error="driving buzzer line: no such device"`) {
				t.Errorf("log %q, want one line that says why", lost)
			}
			// Every ten seconds in silence, every second or so while there is something to beep.
			if line.opened < 360+3600*3/4 || line.opened > 360+3600+2 {
				t.Errorf("tried to open %d times in two hours", line.opened)
			}
			line.broken, line.changes = nil, nil
			line.log.Reset()
		})
		time.Sleep(5 * time.Second)
		if got := line.changed(); len(got) < 2*4*3 {
			t.Errorf("after the line is back: %q, want beeps", got)
		}
		line.use(func() {
			if back := line.log.String(); strings.Count(back, "\n") != 1 || !strings.Contains(back, `msg="buzzer line back"`) {
				t.Errorf("log %q, want one line that says that it is back", back)
			}
		})
	})
}

func TestALineThatIsNeverThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{Open: func() (Line, error) { return nil, errors.New("no such line") }})
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		go func() {
			time.Sleep(time.Minute)
			b.Show("entry_delay", false)
		}()
		if err := b.Run(ctx); err != nil {
			t.Errorf("Run: %v, want nil: there is nothing to turn off", err)
		}
	})
}

func TestAnErrorAtTheEndIsTold(t *testing.T) {
	buzz(t, Config{}, func(_ *Buzzer, line *fakeLine) {
		line.use(func() { line.broken = errors.New("stuck") })
	})
}
