package main

import (
	"strings"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/internal/cli"
)

func TestWrongFlagsBesideAreRefused(t *testing.T) {
	tests := []struct{ args, want string }{
		{"--rounds 0", "figures: --rounds is 0: expected 1 to 10000\nhint: figures beside --help"},
		{"-n 10001", "figures: --rounds is 10001: expected 1 to 10000\n"},
		{"--idle -1s", "figures: --idle is -1s: expected 0s to 1h\n"},
		{"--idle 61m", "figures: --idle is 1h1m0s: expected 0s to 1h\n"},
		{"everything", "figures: unexpected argument \"everything\"\n"},
	}
	for _, tt := range tests {
		var stdout, stderr strings.Builder
		code := cli.Run(t.Context(), command(), append([]string{"beside"}, strings.Fields(tt.args)...), &stdout, &stderr)
		if code != cli.ExitUsage || stdout.Len() > 0 || !strings.HasPrefix(stderr.String(), tt.want) {
			t.Errorf("%s: got code %d, stdout %q, stderr %q, want code %d and %q", tt.args, code, &stdout, &stderr, cli.ExitUsage, tt.want)
		}
	}
}

// A panel is compared in two modes, each row with its own figures.
func TestIdlenessIsCompared(t *testing.T) {
	panel := idleness{cpu: 1, packets: 2, bytes: 3, memory: memory{resident: 4}}
	polling := idleness{cpu: 10, packets: 20, bytes: 30, memory: memory{resident: 40}}
	alarm := idleness{cpu: 100, packets: 200, bytes: 300, memory: memory{resident: 400}}
	rows := compareIdle(panel, polling, alarm, time.Minute)
	want := []float64{4, 40, 1, 10, 2, 20, 3, 30}
	if len(rows) != len(want) {
		t.Fatalf("got %d rows, want %d", len(rows), len(want))
	}
	for i, c := range rows {
		peer := 100 * want[i-i%2]
		if c.panel != want[i] || c.peer != peer {
			t.Errorf("row %d, %s: got %v beside %v, want %v beside %v", i, c.what, c.panel, c.peer, want[i], peer)
		}
	}
}
