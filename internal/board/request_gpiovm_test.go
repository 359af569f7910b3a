//go:build gpiovm

package board

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"periph.io/x/conn/v3/gpio"

	"github.com/twinpanel/twinpanel/internal/gpiosim"
)

// What this package asks of the kernel itself, on simulated chips.

// newChip makes a chip that is gone at the end of the test.
func newChip(t *testing.T, label string, lines ...string) *gpiosim.Chip {
	t.Helper()
	chip, err := gpiosim.New(label, lines...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := chip.Remove(); err != nil {
			t.Error(err)
		}
	})
	return chip
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestOutputsHaveTheirLevelFromTheFirstMoment(t *testing.T) {
	chip := newChip(t, "outputs", "RELAY0", "", "RELAY2", "")
	for l, name := range []string{"RELAY0", "outputs:1", "outputs:2", "outputs:3"} {
		for _, high := range []bool{true, false, true} {
			// Pulled the other way, so that nothing but the request can be the reason for the level.
			must(t, chip.Pull(gpiosim.Line(l), !high))
			must(t, gpiosim.Record())
			out, err := OpenOutput(name, high)
			must(t, err)
			if level, err := out.Level(); err != nil || level != high {
				t.Errorf("%s opened at %v: reads %v, %v", name, high, level, err)
			}
			must(t, out.Close())
			acts, err := chip.Acts(gpiosim.Line(l))
			must(t, err)
			wrong := map[bool]string{true: "low", false: "high"}[high]
			if len(acts) == 0 || slices.ContainsFunc(acts, func(a gpiosim.Act) bool { return strings.HasSuffix(a.What, wrong) }) {
				t.Errorf("%s opened at %v: the kernel was told %v, want something, and nothing that sets it %s", name, high, acts, wrong)
			}
		}
	}
}

func TestLinesWithoutAName(t *testing.T) {
	chip := newChip(t, "nameless", "", "NAMED", "")
	for _, l := range []gpiosim.Line{0, 2} {
		name := fmt.Sprintf("nameless:%d", l)
		t.Run(name, func(t *testing.T) {
			for _, up := range []bool{true, false} {
				in, err := OpenInput(name, map[bool]Pull{true: PullUp, false: PullDown}[up])
				must(t, err)
				if high, err := in.Read(); err != nil || high != up || !in.edges {
					t.Errorf("pulled up %v: reads %v, %v, edges %v", up, high, err, in.edges)
				}
				must(t, in.Close())
			}

			in, err := OpenInput(name, NoPull)
			must(t, err)
			defer in.Close()
			must(t, chip.Pull(l, false))
			for in.waits() { // what moved so far
			}
			for n := range 50 { // more edges than the kernel keeps
				must(t, chip.Pull(l, n%2 == 0))
			}
			must(t, chip.Pull(l, true))
			if !in.waits() {
				t.Error("no edge was told of")
			}
			if high, err := in.Read(); err != nil || !high {
				t.Errorf("after a burst: %v, %v, want high", high, err)
			}
			for n := 0; in.waits(); n++ {
				if n > eventQueue {
					t.Fatal("edges that were told of come again")
				}
			}

			again, err := OpenInput(name, NoPull)
			busy, ok := errors.AsType[*InUseError](err)
			if !ok || busy.By != consumer {
				t.Errorf("opened twice: %v, %v; want that it is in use by %s", again, err, consumer)
			}
			out, err := OpenOutput(name, false)
			if _, ok := errors.AsType[*InUseError](err); !ok {
				t.Errorf("opened as output, too: %v, %v; want that it is in use", out, err)
			}
		})
	}
}

// waits says whether an edge ended a wait.
func (in *Input) waits() bool {
	start := time.Now()
	if err := in.Wait(longestWait); err != nil {
		panic(err)
	}
	return time.Since(start) < longestWait
}

func TestChipsThatComeAndGo(t *testing.T) {
	chip := newChip(t, "hotplug", "HOT0", "", "HOT2", "")
	// Without edges: before Linux 6.10 the kernel keeps a chip's interrupts beyond its removal, and may fall over them.
	c, line, err := find("hotplug:1")
	must(t, err)
	set, err := openSet(c, line, PullUp, gpio.NoEdge)
	must(t, err)
	in := &Input{name: "hotplug:1", line: set}
	out, err := OpenOutput("HOT2", true)
	must(t, err)
	must(t, chip.Unplug())
	_, readErr := in.Read()
	_, levelErr := out.Level()
	for call, err := range map[string]error{
		"Read": readErr, "Set": out.Set(false), "Level": levelErr,
	} {
		if !errors.Is(err, syscall.ENODEV) {
			t.Errorf("%s on a chip that is gone: %v, want %v", call, err, syscall.ENODEV)
		}
	}
	must(t, errors.Join(in.Close(), out.Close()))
	if _, err := OpenOutput("HOT2", true); err == nil || !strings.Contains(err.Error(), "HOT2") {
		t.Errorf("opened on a chip that is gone: %v", err)
	}

	// It comes back, beside another chip, with another device node.
	node := chip.Node()
	newChip(t, "newcomer", "NEW0", "NEW1", "NEW2", "NEW3")
	must(t, chip.Plug())
	if chip.Node() == node {
		t.Errorf("the node %s of a chip that is held open was given away", node)
	}
	out, err = OpenOutput("hotplug:3", true)
	must(t, err)
	defer out.Close()
	if high, err := chip.Level(3); err != nil || !high {
		t.Errorf("line of the chip that is back: %v, %v, want high", high, err)
	}
}

func TestTwoNodesOfOneChip(t *testing.T) {
	chip := newChip(t, "double", "DOUBLE0", "")
	link := "/dev/gpiochip99"
	must(t, os.Symlink(chip.Node(), link))
	defer os.Remove(link)
	for l, name := range []string{"DOUBLE0", "double:1"} {
		out, err := OpenOutput(name, true)
		must(t, err)
		if high, err := chip.Level(gpiosim.Line(l)); err != nil || !high {
			t.Errorf("%s: %v, %v, want high", name, high, err)
		}
		must(t, out.Close())
		in, err := OpenInput(name, PullDown)
		must(t, err)
		if high, err := in.Read(); err != nil || high {
			t.Errorf("%s: %v, %v, want low", name, high, err)
		}
		must(t, in.Close())
	}
}

func TestTwoNamesOfOneLine(t *testing.T) {
	newChip(t, "same", "SAME0", "SAME1", "")
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"SAME0", "same:1", false},
		{"same:2", "same:3", false},
		{"NOWHERE", "NOWHERE", false},
		{"SAME0", "same:0", true},
		{"sa:2", "same:2", true},
	} {
		if got := Same(tt.a, tt.b); got != tt.want {
			t.Errorf("%s and %s are the same line: %v, want %v", tt.a, tt.b, got, tt.want)
		}
	}
}
