package siren

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var errGone = errors.New("no such device")

// A board is a strict stand-in for what a siren is wired to. It records every call and
// fails the test when a line is used in a way that the kernel refuses.
type board struct {
	t     *testing.T
	calls []string
	open  *line
	level bool // of the output
	idle  bool // what a resistor pulls the output to when no line drives it, as some kernels leave it

	failOpen, failSet, failLevel int  // how many of the next calls fail
	stuck                        bool // the output keeps its level whatever is set
}

type line struct{ board *board }

func (b *board) openLine() (Line, error) {
	b.calls = append(b.calls, "open")
	if b.open != nil {
		b.t.Error("line opened while it is open")
	}
	if fail(&b.failOpen) {
		return nil, errGone
	}
	b.open = &line{b}
	return b.open, nil
}

func fail(n *int) bool {
	*n--
	return *n >= 0
}

func (l *line) call(name string) {
	l.board.calls = append(l.board.calls, name)
	if l.board.open != l {
		l.board.t.Errorf("%s on a closed line", name)
	}
}

func (l *line) Set(high bool) error {
	l.call(map[bool]string{true: "high", false: "low"}[high])
	if fail(&l.board.failSet) {
		return errGone
	}
	if !l.board.stuck {
		l.board.level = high
	}
	return nil
}

func (l *line) Level() (bool, error) {
	l.call("read")
	if fail(&l.board.failLevel) {
		return false, errGone
	}
	return l.board.level, nil
}

func (l *line) Close() error {
	l.call("close")
	l.board.open = nil
	if !l.board.stuck {
		l.board.level = l.board.idle
	}
	return nil
}

// seen returns the calls since the last time, as one line.
func (b *board) seen() string {
	s := strings.Join(b.calls, " ")
	b.calls = nil
	return s
}

func newSiren(t *testing.T, activeHigh bool) (*Siren, *board) {
	b := &board{t: t, level: !activeHigh, idle: !activeHigh}
	return New(Config{Open: b.openLine, ActiveHigh: activeHigh}), b
}

func TestNewTouchesNothing(t *testing.T) {
	_, b := newSiren(t, true)
	if got := b.seen(); got != "" {
		t.Errorf("calls: %q; want none", got)
	}
}

func TestCallsOfTheLine(t *testing.T) {
	set := func(on bool) func(*Siren, *board) error {
		return func(s *Siren, _ *board) error { return s.Set(on) }
	}
	check := func(s *Siren, _ *board) error { return s.Check() }
	closeIt := func(s *Siren, _ *board) error { return s.Close() }
	type step struct {
		do    func(*Siren, *board) error
		calls string
		err   string // part of the error; "" = none
	}
	tests := []struct {
		name      string
		activeLow bool
		steps     []step
	}{
		{name: "opening fails, then works", steps: []step{
			{func(s *Siren, b *board) error { b.failOpen = 1; return s.Set(true) }, "open", "opening siren line: no such device"},
			{check, "open low high read", ""},
		}},
		{name: "making it inactive fails", steps: []step{
			{func(s *Siren, b *board) error { b.failSet = 1; return s.Set(true) }, "open low close", "turning siren off first"},
			{check, "open low high read", ""},
		}},
		{name: "line lost while ringing: opened anew and rings on", steps: []step{
			{set(true), "open low high read", ""},
			{func(s *Siren, b *board) error { b.failSet = 1; return s.Check() }, "high close", "turning siren on: no such device"},
			{func(s *Siren, b *board) error { b.failOpen = 1; return s.Check() }, "open", "opening siren line"},
			{check, "open low high read", ""},
			{check, "high read", ""},
		}},
		{name: "line lost when turned off: off in the same call", steps: []step{
			{set(true), "open low high read", ""},
			{func(s *Siren, b *board) error { b.failSet = 1; return s.Set(false) }, "low close open low low read", ""},
		}},
		{name: "line lost for longer when turned off: off by Check", steps: []step{
			{set(true), "open low high read", ""},
			{func(s *Siren, b *board) error { b.failSet, b.failOpen = 1, 1; return s.Set(false) }, "low close open", "opening siren line"},
			{check, "open low low read", ""},
		}},
		{name: "read back fails while silent: driven on", steps: []step{
			{set(false), "open low low read", ""},
			{func(s *Siren, b *board) error { b.failLevel = 3; return s.Check() }, "low read", "reading siren line back: no such device"},
			{set(false), "low read low read", "reading siren line back: no such device"},
			{check, "low read", ""},
		}},
		{name: "read back fails while ringing: rings on", steps: []step{
			{set(true), "open low high read", ""},
			{func(s *Siren, b *board) error { b.failLevel = 3; return s.Check() }, "high read", "reading siren line back"},
			{check, "high read", "reading siren line back"},
			{set(false), "low read low read", ""},
		}},
		{name: "reads back off while ringing: driven on", steps: []step{
			{func(s *Siren, b *board) error { b.stuck = true; return s.Set(true) }, "open low high read", "siren was turned on, but its line reads back off"},
			{check, "high read", "reads back off"},
			{check, "high read", "reads back off"},
			{func(s *Siren, b *board) error { b.stuck = false; return s.Check() }, "high read", ""},
		}},
		{name: "reads back on once while silent: driven on", steps: []step{
			{set(true), "open low high read", ""},
			{set(false), "low read", ""},
			{func(s *Siren, b *board) error { b.stuck, b.level = true, true; return s.Check() }, "low read", "siren was turned off, but its line reads back on"},
			{func(s *Siren, b *board) error { b.stuck = false; return s.Check() }, "low read", ""},
		}},
		{name: "stays on when turned off: opened anew in the same call, then once a minute", steps: []step{
			{set(true), "open low high read", ""},
			{func(s *Siren, b *board) error { b.stuck = true; return s.Set(false) }, "low read low read close open low low read", "siren was turned off, but its line reads back on"},
			{check, "low read", "reads back on"},
			{func(s *Siren, b *board) error { time.Sleep(reopenPace - time.Second); return s.Check() }, "low read", "reads back on"},
			{func(s *Siren, b *board) error { time.Sleep(time.Second); return s.Check() }, "low read close open low low read", "reads back on"},
			{check, "low read", "reads back on"},
			{set(true), "high read", ""},
			{func(s *Siren, b *board) error { b.stuck = false; return s.Set(false) }, "low read", ""},
		}},
		{name: "on, off, closed", steps: []step{
			{set(true), "open low high read", ""},
			{set(true), "high read", ""},
			{set(false), "low read", ""},
			{closeIt, "low read close", ""},
			{closeIt, "", ""},
			{set(true), "", "file already closed"},
			{check, "", "file already closed"},
		}},
		{name: "active low", activeLow: true, steps: []step{
			{set(false), "open high high read", ""},
			{set(true), "low read", ""},
			{closeIt, "high read close", ""},
		}},
		{name: "closed while ringing", steps: []step{
			{set(true), "open low high read", ""},
			{closeIt, "low read close", ""},
		}},
		{name: "closed while ringing and lost", steps: []step{
			{set(true), "open low high read", ""},
			{func(s *Siren, b *board) error { b.failSet = 1; return s.Check() }, "high close", "no such device"},
			{closeIt, "open low low read close", ""},
		}},
		{name: "closed without having been opened", steps: []step{
			{closeIt, "", ""},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, b := newSiren(t, !tt.activeLow)
				for i, step := range tt.steps {
					err := step.do(s, b)
					if got := b.seen(); got != step.calls {
						t.Errorf("step %d: calls %q; want %q", i+1, got, step.calls)
					}
					if (err == nil) != (step.err == "") || err != nil && !strings.Contains(err.Error(), step.err) {
						t.Errorf("step %d: error %v; want one with %q", i+1, err, step.err)
					}
				}
			})
		})
	}
}

func TestUseAfterCloseIsErrClosed(t *testing.T) {
	s, _ := newSiren(t, true)
	s.Close()
	if err := s.Set(false); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Set after Close: %v; want %v", err, os.ErrClosed)
	}
}

// Whatever fails and in whatever order things are asked: the output is active only while
// the siren is to be on, the first call on a line makes it inactive, and a line that can
// be opened and driven has the right level after every call, even when it cannot be read
// back, and is not let go while it sounds.
func TestRandomFaults(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 0))
		activeHigh := seed%2 == 0
		s, b := newSiren(t, activeHigh)
		on := false
		var history []string
		for range 40 {
			if random.IntN(4) == 0 {
				b.failOpen, b.failSet, b.failLevel = random.IntN(3), random.IntN(3), random.IntN(3)
			}
			before, setsFail := b.level == activeHigh, b.failSet > 0
			var err error
			switch random.IntN(3) {
			case 0:
				on = random.IntN(2) == 0
				err = s.Set(on)
			default:
				err = s.Check()
			}
			history = append(history, fmt.Sprintf("want %v: %s (%v)", on, strings.Join(b.calls, " "), err))
			sounds := b.level == activeHigh
			if (err == nil || strings.Contains(err.Error(), "reading siren line back")) && sounds != on {
				t.Fatalf("seed %d: sounds %v; want %v\n%s", seed, sounds, on, strings.Join(history, "\n"))
			}
			if before && on && !setsFail && slices.Contains(b.calls, "close") {
				t.Fatalf("seed %d: let go while it sounded\n%s", seed, strings.Join(history, "\n"))
			}
			if sounds && !on && !before {
				t.Fatalf("seed %d: began to sound unasked\n%s", seed, strings.Join(history, "\n"))
			}
			inactive := map[bool]string{true: "low", false: "high"}[activeHigh]
			for i, c := range b.calls {
				if c == "open" && i+1 < len(b.calls) && !slices.Contains([]string{inactive, "open"}, b.calls[i+1]) {
					t.Fatalf("seed %d: first call on a line is %s\n%s", seed, b.calls[i+1], strings.Join(history, "\n"))
				}
			}
			b.calls = nil
		}
		b.failOpen, b.failSet, b.failLevel = 0, 0, 0
		if err := s.Close(); err != nil {
			t.Errorf("seed %d: Close: %v", seed, err)
		}
		if b.open != nil {
			t.Errorf("seed %d: line still open after Close", seed)
		}
		if b.level == activeHigh {
			t.Errorf("seed %d: sounds after Close\n%s", seed, strings.Join(history, "\n"))
		}
	}
}

func ExampleSiren() {
	relay := &board{} // a computer's output line in real use
	s := New(Config{Open: relay.openLine, ActiveHigh: true})
	defer s.Close()
	if err := s.Set(false); err != nil { // off before anything else
		fmt.Println(err)
	}
	s.Set(true)
	fmt.Println("sounds:", relay.level)
	// Output: sounds: true
}
