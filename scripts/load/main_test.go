//go:build linux

package main

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/internal/cli"
)

func TestWrongFlagsAreRefused(t *testing.T) {
	tests := []struct{ args, want string }{
		{"--rows gets,speed", `load: --rows has "speed": expected of gets, paced, `},
		{"-n 0", "load: --runs is 0: expected 1 to 100\nhint: load --help"},
		{"--runs 101", "load: --runs is 101: expected 1 to 100\n"},
		{"--time 99ms", "load: --time is 99ms: expected 100ms to 1m\n"},
		{"--time 61s", "load: --time is 1m1s: expected 100ms to 1m\n"},
		{"gets", `load: unknown command "gets": commands come before flags and are generate, respond, store`},
	}
	for _, tt := range tests {
		var stdout, stderr strings.Builder
		code := cli.Run(t.Context(), command(), strings.Fields(tt.args), &stdout, &stderr)
		if code != cli.ExitUsage || stdout.Len() > 0 || !strings.HasPrefix(stderr.String(), tt.want) {
			t.Errorf("%s: got code %d, stdout %q, stderr %q, want code %d and %q", tt.args, code, &stdout, &stderr, cli.ExitUsage, tt.want)
		}
	}
}

func TestHelpHasEveryRow(t *testing.T) {
	var stdout, stderr strings.Builder
	if code := cli.Run(t.Context(), command(), []string{"--help"}, &stdout, &stderr); code != cli.ExitOK {
		t.Fatalf("got code %d, %s", code, &stderr)
	}
	for _, name := range rowNames() {
		if !strings.Contains(stdout.String(), "\n  "+name+" ") {
			t.Errorf("help lacks the row %s", name)
		}
	}
}

func TestProcessTimeOfWhatHasEnded(t *testing.T) {
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if _, err := processTime(cmd.Process.Pid); !errors.Is(err, errEnded) {
		t.Errorf("got error %v, want %v", err, errEnded)
	}
}
