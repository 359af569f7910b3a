package main

import (
	"strings"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/internal/cli"
)

func TestWrongFlagsAreRefused(t *testing.T) {
	tests := []struct{ args, want string }{
		{"--rounds 0", "figures: --rounds is 0: expected 1 to 10000\nhint: figures --help"},
		{"-n 10001", "figures: --rounds is 10001: expected 1 to 10000\n"},
		{"-n many", "figures: --rounds is \"many\": expected a whole number"},
		{"--idle -1s", "figures: --idle is -1s: expected 0s to 1h\n"},
		{"--idle 61m", "figures: --idle is 1h1m0s: expected 0s to 1h\n"},
		{"--idle 60", "figures: --idle is \"60\": expected the unit as well, as in 60s or 60ms"},
		{"all", "figures: un"},
	}
	for _, tt := range tests {
		var stdout, stderr strings.Builder
		code := cli.Run(t.Context(), command(), strings.Fields(tt.args), &stdout, &stderr)
		if code != cli.ExitUsage || stdout.Len() > 0 || !strings.HasPrefix(stderr.String(), tt.want) {
			t.Errorf("%s: got code %d, stdout %q, stderr %q, want code %d and %q", tt.args, code, &stdout, &stderr, cli.ExitUsage, tt.want)
		}
	}
}

func TestOtherSystemsAreRefused(t *testing.T) {
	for _, goos := range []string{"darwin", "windows", "freebsd"} {
		if err := checkSystem(goos); err == nil || !strings.Contains(err.Error(), "this is "+goos) {
			t.Errorf("%s: got %v, want an error that names it", goos, err)
		}
	}
	if err := checkSystem("linux"); err != nil {
		t.Errorf("linux: got %v, want none", err)
	}
}

func TestMemoryIsRead(t *testing.T) {
	for name, rollup := range map[string]string{
		"empty":           "",
		"no Pss":          "Rss:  1844 kB\n",
		"no Rss":          "Pss:  309 kB\nPss_Anon:  4 kB\n",
		"unknown unit":    "Rss:  1844 MB\nPss:  309 MB\n",
		"no number":       "Rss:  many kB\nPss:  309 kB\n",
		"number too long": "Rss:  99999999999999999999 kB\nPss:  309 kB\n",
	} {
		if m, err := parseMemory([]byte(rollup)); err == nil {
			t.Errorf("%s: got %+v, want an error", name, m)
		}
	}
	const rollup = "556d53091000-7ffffcf90000 ---p 00000000 00:00 0    [rollup]\n" +
		"Rss:                1844 kB\nPss:                 309 kB\nPss_Dirty:           144 kB\n"
	m, err := parseMemory([]byte(rollup))
	if want := (memory{resident: 1844 * 1024, proportional: 309 * 1024}); err != nil || m != want {
		t.Errorf("got %+v, error %v, want %+v", m, err, want)
	}
}

func TestProcessorTimeIsRead(t *testing.T) {
	for name, stat := range map[string]string{
		"empty":     "",
		"no name":   "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16",
		"too short": "7 (panel) S 1 7 7 0 -1 4194304 100 0 0 0 3",
		"no number": "7 (panel) S 1 7 7 0 -1 4194304 100 0 0 0 x 4 0 0",
	} {
		if d, err := parseProcessorTime(stat); err == nil {
			t.Errorf("%s: got %v, want an error", name, d)
		}
	}
	d, err := parseProcessorTime("7 (a panel) S 9 (x) S 1 7 7 0 -1 4194304 100 0 0 0 3 4 1 2 20 0\n")
	if want := 7 * tick; err != nil || d != want {
		t.Errorf("got %v, error %v, want %v", d, err, want)
	}
}

func TestQuantilesAreByNearestRank(t *testing.T) {
	hundred := make(sample, 100) // 100 ms down to 1 ms
	for i := range hundred {
		hundred[i] = time.Duration(100-i) * time.Millisecond
	}
	tests := []struct {
		name string
		s    sample
		q    float64
		want time.Duration
	}{
		{"median of one", sample{5}, 0.5, 5},
		{"p99 of one", sample{5}, 0.99, 5},
		{"median of two", sample{7, 5}, 0.5, 5},
		{"median of three", sample{9, 5, 7}, 0.5, 7},
		{"median of a hundred", hundred, 0.5, 50 * time.Millisecond},
		{"p99 of a hundred", hundred, 0.99, 99 * time.Millisecond},
		{"maximum of a hundred", hundred, 1, 100 * time.Millisecond},
	}
	for _, tt := range tests {
		if got := tt.s.quantile(tt.q); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
	if hundred[0] != 100*time.Millisecond {
		t.Error("quantile has sorted the sample itself")
	}
}

func TestTableIsAligned(t *testing.T) {
	s := sample{201 * time.Millisecond, 202 * time.Millisecond, 1200 * time.Millisecond}
	var b strings.Builder
	err := table{
		s.row("door to siren", "with the debounce"),
		single("size of the siren – loud", mebibytes(8<<20+1<<19), ""),
	}.print(&b)
	want := "" +
		"                             median        p99        max\n" +
		"door to siren              202.0 ms  1200.0 ms  1200.0 ms  with the debounce\n" +
		"size of the siren – loud    8.5 MiB\n"
	if err != nil || b.String() != want {
		t.Errorf("got error %v and\n%s\nwant\n%s", err, &b, want)
	}
}
