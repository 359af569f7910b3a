//go:build gpiovm

package board

import (
	"slices"
	"testing"
)

// TestChipsTellWhoUsesWhat looks at a chip before, while and after lines are open.
func TestChipsTellWhoUsesWhat(t *testing.T) {
	newChip(t, "described", "LOOK0", "", "LOOK2")
	chip := func() Chip {
		t.Helper()
		chips, err := Chips()
		must(t, err)
		i := slices.IndexFunc(chips, func(c Chip) bool { return c.Label == "described" })
		if i < 0 {
			t.Fatalf("the chip is not among %+v", chips)
		}
		return chips[i]
	}
	if c := chip(); c.Lines != 3 || len(c.Used) != 0 || c.Err != nil {
		t.Errorf("before: got %+v, want 3 lines and none in use", c)
	}
	in, err := OpenInput("LOOK2", PullUp)
	must(t, err)
	defer in.Close()
	out, err := OpenOutput("described:1", false)
	must(t, err)
	defer out.Close()
	driven := Line{Chip: "described", Offset: 1, Used: true, By: consumer, Output: true}
	used := chip().Used
	if len(used) != 2 || used[0] != driven || used[1].Name != "LOOK2" || used[1].By == "" || used[1].Output {
		t.Errorf("while they are open: got %+v, want line 1 and LOOK2", used)
	}
	if line, err := Look("described:1"); err != nil || line != driven {
		t.Errorf("got %+v, %v; want %+v", line, err, driven)
	}
	must(t, in.Close())
	must(t, out.Close())
	line, err := Look("LOOK2")
	if want := (Line{Chip: "described", Offset: 2, Name: "LOOK2"}); err != nil || line != want {
		t.Errorf("afterwards: got %+v, %v; want %+v", line, err, want)
	}
	if _, err := Look("LOOK9"); err == nil {
		t.Error("a line that is not there was described")
	}
}
