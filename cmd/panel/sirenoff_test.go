package main

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/internal/board"
	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/siren"
)

// TestSirenOffTriesForAMoment has a line that another program uses for a while, and lines that fail for good.
func TestSirenOffTriesForAMoment(t *testing.T) {
	busy := &board.InUseError{Line: "GPIO27", By: "panel"}
	tests := []struct {
		name  string
		err   error
		until time.Duration // when the error is over
		took  time.Duration
		want  string // part of the error; "" = the siren is off
	}{
		{"no such line", errors.New("no line of this computer is called GPIO27"), time.Hour, 0, "opening siren line: no line of this computer is called GPIO27"},
		{"in use for ever", busy, time.Hour, busyPatience, "opening siren line: line GPIO27 is in use by panel; stop it or choose another line"},
		{"in use for a moment", busy, 4 * time.Second, 4 * time.Second, ""},
		{"free", nil, 0, 0, ""},
	}
	for _, tt := range tests {
		for _, soundsHigh := range []bool{true, false} {
			t.Run(tt.name, func(t *testing.T) {
				folder(t, nil)
				synctest.Test(t, func(t *testing.T) {
					began := time.Now()
					relay := relay{high: soundsHigh}
					open := func() (siren.Line, error) {
						if time.Since(began) < tt.until {
							return nil, tt.err
						}
						return &relay, nil
					}
					c := Config{StateDir: "state"}
					err := c.sirenOff(t.Context(), open, soundsHigh)
					if took := time.Since(began); took != tt.took {
						t.Errorf("took %v, want %v", took, tt.took)
					}
					if tt.want != "" {
						if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
							t.Errorf("got %v, want %s", err, tt.want)
						}
						return
					}
					calls := relay.all()
					off := map[bool]string{true: "set false", false: "set true"}[soundsHigh]
					if err != nil || !strings.HasSuffix(calls, off+", close") || strings.Contains(calls, "set ") && strings.Count(calls, off) != strings.Count(calls, "set") {
						t.Errorf("got %v and %s, want nothing but %s", err, calls, off)
					}
				})
			})
		}
	}
}

func TestSirenOffWhileAPanelRuns(t *testing.T) {
	folder(t, nil)
	start(t)
	c := Config{StateDir: "state"}
	err := c.sirenOff(t.Context(), func() (siren.Line, error) { return nil, &board.InUseError{Line: "GPIO27", By: "panel"} }, true)
	hint, ok := errors.AsType[interface {
		error
		Hint() string
	}](err)
	if !ok || hint.Hint() != "a panel runs: panel disarm silences it" {
		t.Errorf("got %v, hint %v; want to be told of panel disarm", err, hint)
	}
}

func TestSirenOffInASimulatedHouse(t *testing.T) {
	t.Setenv("PANEL_SIMULATE", "127.0.0.1:0")
	if code, stdout, stderr := run(t.Context(), "siren-off"); code != cli.ExitOK || stdout != "nothing to do: the siren is simulated\n" || stderr != "" {
		t.Errorf("got code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}
