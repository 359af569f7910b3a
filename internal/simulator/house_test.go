package simulator

import (
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func newHouse(t *testing.T, c Config) *House {
	t.Helper()
	h, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

func TestNewRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config Config
		want   string
	}{
		{"nine doors", Config{Doors: strings.Split("a b c d e f g h i", " ")}, "9 doors are too many"},
		{"nameless door", Config{Doors: []string{""}}, "door name"},
		{"capital letter", Config{Doors: []string{"Door"}}, "door name"},
		{"slash", Config{Doors: []string{"a/b"}}, "door name"},
		{"markup", Config{Doors: []string{"<b>"}}, "door name"},
		{"long name", Config{Doors: []string{strings.Repeat("x", 33)}}, "door name"},
		{"same name", Config{Doors: []string{"door", "door"}}, "two doors are called door"},
		{"unknown start", Config{Start: "ajar"}, `cannot start "ajar"`},
		{"negative bounce", Config{Bounce: -1}, "-1 bounces"},
		{"too much bounce", Config{Bounce: 1001}, "1001 bounces"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := New(tt.config); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New: %v; want an error with %q", err, tt.want)
			}
		})
	}
}

func TestLinesRefuse(t *testing.T) {
	h := newHouse(t, Config{})
	if _, err := h.OpenDoor("window"); !errors.Is(err, ErrNoDoor) {
		t.Errorf("opening the line of a door that is not there: %v", err)
	}
	if err := errors.Join(h.MoveDoor("door", true), h.BreakDoor("door", false)); err != nil {
		t.Error(err)
	}
	if err := h.MoveDoor("window", true); !errors.Is(err, ErrNoDoor) {
		t.Errorf("moving a door that is not there: %v", err)
	}
	door, err := h.OpenDoor("door")
	if err != nil {
		t.Fatal(err)
	}
	siren, err := h.OpenSiren()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.OpenDoor("door"); !errors.Is(err, errBusy) {
		t.Errorf("opening the door's line twice: %v; want %v", err, errBusy)
	}
	if _, err := h.OpenSiren(); !errors.Is(err, errBusy) {
		t.Errorf("opening the siren's line twice: %v; want %v", err, errBusy)
	}
	for range 2 {
		if err := errors.Join(door.Close(), siren.Close()); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	_, readErr := door.Read()
	_, levelErr := siren.Level()
	for call, err := range map[string]error{"Read": readErr, "Wait": door.Wait(time.Second), "Level": levelErr, "Set": siren.Set(true)} {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s on a closed line: %v; want %v", call, err, os.ErrClosed)
		}
	}
	if h.SirenOn() {
		t.Error("a closed line turned the siren on")
	}
	// Released lines can be opened again, and the old ones stay closed.
	if _, err := h.OpenDoor("door"); err != nil {
		t.Error(err)
	}
	door.Close()
	if _, err := h.OpenDoor("door"); !errors.Is(err, errBusy) {
		t.Errorf("closing an old line released the new one: %v", err)
	}
}

func TestDoorLineShowsTheDoor(t *testing.T) {
	for start, want := range map[string]bool{"": false, "closed": false, "open": true} {
		h := newHouse(t, Config{Doors: []string{"front", "back"}, Start: start})
		front, _ := h.OpenDoor("front")
		back, _ := h.OpenDoor("back")
		if got, err := front.Read(); got != want || err != nil {
			t.Errorf("start %q: line reads %v, %v; want %v", start, got, err, want)
		}
		h.MoveDoor("front", !want)
		if got, err := front.Read(); got == want || err != nil {
			t.Errorf("start %q: line of the moved door reads %v, %v", start, got, err)
		}
		if got, err := back.Read(); got != want || err != nil {
			t.Errorf("start %q: line of the other door reads %v, %v", start, got, err)
		}
	}
}

func TestBrokenContactGivesErrors(t *testing.T) {
	h := newHouse(t, Config{Start: "fault"})
	line, err := h.OpenDoor("door")
	if err != nil {
		t.Fatal(err)
	}
	fails := func(when string, want bool) {
		t.Helper()
		high, err := line.Read()
		if waitErr := line.Wait(time.Nanosecond); (err != nil) != want || (waitErr != nil) != want || high {
			t.Errorf("%s: read %v, %v, waited %v; want errors: %v", when, high, err, waitErr, want)
		}
	}
	fails("at the start", true)
	h.BreakDoor("door", false)
	fails("repaired", false)
	h.BreakDoor("door", true)
	fails("broken", true)
	h.MoveDoor("door", false)
	fails("moved", false)
}

func TestWaitTellsOfEdges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, Config{})
		line, _ := h.OpenDoor("door")
		wait := func(what string, atMost, want time.Duration) {
			t.Helper()
			start := time.Now()
			err := line.Wait(atMost)
			if took := time.Since(start); took != want || (err != nil) != (what == "broken") {
				t.Errorf("%s: Wait took %v, %v; want %v", what, took, err, want)
			}
		}
		wait("nothing", time.Minute, time.Minute)
		h.MoveDoor("door", true)
		wait("moved before", time.Minute, 0)
		wait("told already", time.Minute, time.Minute)
		h.MoveDoor("door", true)
		wait("moved to where it is", time.Minute, time.Minute)
		time.AfterFunc(time.Second, func() { h.MoveDoor("door", false) })
		wait("moved meanwhile", time.Minute, time.Second)
		time.AfterFunc(time.Second, func() { h.BreakDoor("door", true) })
		wait("broken", time.Minute, time.Second)
	})
}

func TestBounces(t *testing.T) {
	for _, bounces := range []int{1, 2, 7, 50} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t, Config{Bounce: bounces})
			line, _ := h.OpenDoor("door")
			open := false
			for range 5 {
				open = !open
				before := !open
				h.MoveDoor("door", open)
				edges := 0
				for start := time.Now(); time.Since(start) < time.Duration(bounces)*longestPause; {
					line.Wait(time.Second)
					if level, _ := line.Read(); level != before {
						before = level
						edges++
					}
				}
				if level, err := line.Read(); level != open || err != nil {
					t.Errorf("%d bounces: level is %v, %v at the end; want %v", bounces, level, err, open)
				}
				// The move itself shows only if an even number of bounces follows.
				if want := bounces + 1 - bounces%2; edges != want {
					t.Errorf("%d bounces: %d edges seen; want %d", bounces, edges, want)
				}
			}
		})
	}
}

func TestSirenSoundsWhileItsLineIsHigh(t *testing.T) {
	h := newHouse(t, Config{})
	line, err := h.OpenSiren()
	if err != nil || h.SirenOn() {
		t.Fatalf("siren sounds: %v, %v; want silence", h.SirenOn(), err)
	}
	for _, on := range []bool{true, true, false, true} {
		if err := line.Set(on); err != nil {
			t.Fatal(err)
		}
		if level, err := line.Level(); level != on || err != nil || h.SirenOn() != on {
			t.Errorf("set %v: reads back %v, %v, sounds %v", on, level, err, h.SirenOn())
		}
	}
	line.Close()
	if h.SirenOn() {
		t.Error("sounds although nobody has its line open")
	}
}
