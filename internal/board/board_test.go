package board

import (
	"errors"
	"io/fs"
	"log"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What holds on any computer, with GPIO or without. The kernel's own simulated chip is
// for a machine of its own.

func TestOpenUnknownLine(t *testing.T) {
	for _, name := range []string{"NO_SUCH_LINE", "no-such-chip:3"} {
		in, err := OpenInput(name, PullUp)
		if err == nil || !strings.Contains(err.Error(), name) || in != nil {
			t.Errorf("OpenInput(%q) = %v, %v; want an error with the name", name, in, err)
		}
		if err := Lookup(name); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("Lookup(%q) = %v; want an error with the name", name, err)
		}
		out, err := OpenOutput(name, false)
		if err == nil || !strings.Contains(err.Error(), name) || out != nil {
			t.Errorf("OpenOutput(%q) = %v, %v; want an error with the name", name, out, err)
		}
	}
}

func TestOpenWithoutChipsSaysSo(t *testing.T) {
	_, err := OpenInput("GPIO17", PullUp)
	if len(deviceNodes()) == 0 && (err == nil || !strings.Contains(err.Error(), "no GPIO chip")) {
		t.Errorf("OpenInput without a chip: %v; want an error that says so", err)
	}
}

func TestInitLeavesTheProcessAsItWas(t *testing.T) {
	before, err := os.Stdin.Stat()
	if err != nil {
		t.Fatal(err)
	}
	writer := log.Writer()
	for range 3 {
		if err := Init(); err != nil {
			t.Fatal(err)
		}
	}
	if log.Writer() != writer {
		t.Error("the standard logger prints elsewhere")
	}
	if after, err := os.Stdin.Stat(); err != nil || !os.SameFile(before, after) {
		t.Errorf("standard input is another file: %v", err)
	}
}

func TestRequestErrors(t *testing.T) {
	// As the library makes them: texts without the kernel's number.
	busy := errors.New("LineSetFromConfig: " + syscall.EBUSY.Error())
	gone := errors.New("LineSetFromConfig: " + syscall.ENODEV.Error())
	for _, tt := range []struct {
		consumer string
		err      error
		want     string
	}{
		{"", gone, "opening line GPIO17: LineSetFromConfig: no such device"},
		{"", busy, "line GPIO17 is in use by another program; stop it"},
		{"panel@812", busy, "line GPIO17 is in use by panel@812; stop it"},
	} {
		if got := requestError("GPIO17", tt.consumer, tt.err).Error(); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%v, used by %q: %q; want %q at the start", tt.err, tt.consumer, got, tt.want)
		}
	}
}

func TestClosedLinesRefuse(t *testing.T) {
	in, out := &Input{name: "GPIO17"}, &Output{name: "GPIO27"}
	_, readErr := in.Read()
	_, levelErr := out.Level()
	for call, err := range map[string]error{
		"Read":  readErr,
		"Wait":  in.Wait(time.Second),
		"Set":   out.Set(true),
		"Level": levelErr,
	} {
		if !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s on a closed line: %v; want %v", call, err, fs.ErrClosed)
		}
	}
	if err := errors.Join(in.Close(), out.Close()); err != nil {
		t.Errorf("closing again: %v", err)
	}
}
