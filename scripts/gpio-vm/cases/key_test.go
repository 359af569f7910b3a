//go:build gpiovm

package cases

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/internal/board"
	"github.com/twinpanel/twinpanel/internal/gpiosim"
)

const (
	keys    gpiosim.Line = 22
	buzzers gpiosim.Line = 24
)

// settles is far longer than a contact needs to count.
const settles = 2 * time.Second

// noted waits until the panel has read its key switch for the first time, turned until it was turned so many times.
func (r *running) noted() { r.logs(`msg="key switch read, nothing changes"`, 1) }

func (r *running) turned(times int) { r.logs(`msg="key switch turned"`, times) }

func (r *running) logs(what string, times int) {
	r.Helper()
	r.await("times that the log has "+what, strconv.Itoa(times), func() string {
		return strconv.Itoa(strings.Count(r.Log.String(), what))
	})
}

// closes closes the door of a panel that was just started, whose request pulls it open.
func (r *running) closes(level bool) {
	r.Helper()
	r.is("disarmed; door open")
	r.move(front, level)
	r.is("disarmed; door closed")
}

// TestKeySwitch turns key switches of both types in both wirings.
func TestKeySwitch(t *testing.T) {
	for _, level := range []string{"high", "low"} {
		open := level == "high"
		t.Run("momentary, open is "+level, func(t *testing.T) {
			b := newBench(t)
			r := b.start("--door-open-level", level, "--key", "GPIO22")
			r.closes(!open)
			r.noted() // open, by the pull
			for _, want := range []string{"armed", "disarmed", "armed"} {
				r.move(keys, !open)
				r.is(want + "; door closed")
				r.move(keys, open)
				time.Sleep(settles)
				r.is(want + "; door closed")
			}
			r.stop(syscall.SIGTERM)
		})
		t.Run("maintained, open is "+level, func(t *testing.T) {
			b := newBench(t)
			flags := []string{"--door-open-level", level, "--key", "pinctrl-sim:22", "--key-type", "maintained"}
			r := b.start(flags...)
			r.noted() // open, by the pull, which does not arm
			r.closes(!open)
			for n, turn := range []struct {
				open bool
				want string
			}{{!open, "disarmed"}, {open, "armed"}, {!open, "disarmed"}} {
				r.move(keys, turn.open)
				r.turned(n + 1)
				r.is(turn.want + "; door closed")
			}
			r.stop(os.Kill)

			r = b.start(flags...)
			r.noted()
			r.is("disarmed; door open")
			r.stop(syscall.SIGTERM)
		})
	}
}

// TestKeySwitchIsLostAndBack has another program use the line of a maintained key switch at first. Found turned when the line
// is free, it commands nothing.
func TestKeySwitchIsLostAndBack(t *testing.T) {
	b := newBench(t)
	other, err := board.OpenOutput("GPIO22", false)
	b.must(err)
	r := b.start("--key", "GPIO22", "--key-type", "maintained")
	r.closes(false)
	r.is("disarmed; door closed; faults: key")
	r.logs("line GPIO22 is in use by panel", 1)
	b.must(other.Close())
	r.is("disarmed; door closed") // and the key is found open, by the pull
	r.move(keys, false)
	r.turned(1)
	r.move(keys, true)
	r.is("armed; door closed")
	r.stop(syscall.SIGTERM)
}

// TestBuzzer records what is done to the buzzer's line from the start to the end.
func TestBuzzer(t *testing.T) {
	b := newBench(t)
	b.must(gpiosim.Record())
	r := b.start("--buzzer", "GPIO24", "--entry-delay", "30s")
	r.closes(false)
	b.beeps("at the start", 0)
	r.tell("arm")
	b.await("beeps since the start", "1", func() string { return strconv.Itoa(b.beeped()) })
	r.goes(buzzers, false)
	b.beeps("armed", 1)
	r.move(front, true)
	r.is("entry_delay; door open")
	b.await("beeps on coming in", "enough", func() string { return map[bool]string{true: "enough"}[b.beeped() > 5] })
	r.tell("disarm")
	r.is("disarmed; door open")
	time.Sleep(settles)
	if b.level(buzzers) {
		t.Error("it beeps after the confirmation of the disarm")
	}

	r.move(front, false)
	r.is("disarmed; door closed")
	r.tell("arm")
	r.move(front, true)
	r.is("entry_delay; door open")
	r.stop(syscall.SIGTERM) // amid the beeps
	if b.level(buzzers) {
		t.Error("it beeps after the panel's end")
	}
}

// beeps wants the buzzer's line to have gone high so many times since Record.
func (b *bench) beeps(when string, want int) {
	b.Helper()
	if got := b.beeped(); got != want {
		b.Errorf("%s: %d beeps; want %d", when, got, want)
	}
}

// beeped is how many times the buzzer's line went high since Record, in which time it was told something.
func (b *bench) beeped() int {
	b.Helper()
	acts, err := b.Acts(buzzers)
	b.must(err)
	if len(acts) == 0 {
		b.Fatal("the buzzer's line was not used")
	}
	acts = slices.CompactFunc(acts, func(x, y gpiosim.Act) bool { return level(x.What) == level(y.What) })
	n := 0
	for _, a := range acts {
		if level(a.What) == "high" {
			n++
		}
	}
	return n
}

// TestSirenOffTurnsTheBuzzerOff has a buzzer whose line stays high after a panel was killed, as some kernels leave it.
func TestSirenOffTurnsTheBuzzerOff(t *testing.T) {
	b := newBench(t)
	b.move(buzzers, true)
	b.must(gpiosim.Record())
	out, err := b.command("siren-off", "--siren", "GPIO27", "--buzzer", "GPIO24", "--state-dir", b.dir).CombinedOutput()
	if want := "siren line GPIO27 is off\nbuzzer line GPIO24 is off\n"; err != nil || string(out) != want {
		t.Errorf("panel siren-off: %v, %q; want %q", err, out, want)
	}
	b.beeps("siren-off", 0)
}

// TestOneLineByTwoNames is found at a first start and by panel check.
func TestOneLineByTwoNames(t *testing.T) {
	const want = "--door door and --key name the same line: GPIO17 is pinctrl-sim:17"
	b := newBench(t)
	if got := b.fails(b.command(b.flags("--key", "pinctrl-sim:17")...)); !strings.Contains(got, "panel: "+want+"\n") {
		t.Errorf("first start: %s; want %q", got, want)
	}
	out, err := b.command(append([]string{"check"}, b.flags("--key", "pinctrl-sim:17")...)...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), want) {
		t.Errorf("panel check: %v\n%s\nwant a finding: %q", err, out, want)
	}
}
