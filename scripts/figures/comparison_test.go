package main

import (
	"strings"
	"testing"
	"time"
)

func TestVerdicts(t *testing.T) {
	tests := []struct {
		name string
		c    comparison
		want string
	}{
		{"more", comparison{panel: 2, peer: 1}, "BEHIND"},
		{"more than is allowed", comparison{panel: 7.1e6, peer: 1e6, allowance: 6e6}, "BEHIND"},
		{"as much as is allowed", comparison{panel: 7e6, peer: 1e6, allowance: 6e6}, "met, 6.0 ms allowed"},
		{"the same", comparison{panel: 1, peer: 1}, "even"},
		{"less", comparison{panel: 1, peer: 2}, "ahead"},
		{"no race", comparison{panel: 2, peer: 1, uneven: true}, ""},
	}
	for _, tt := range tests {
		tt.c.show = inMilliseconds
		if got := tt.c.verdict(); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestComparisonsAreAligned(t *testing.T) {
	slow := sample{30 * time.Millisecond, 31 * time.Millisecond, 1200 * time.Millisecond}
	quick := sample{20 * time.Millisecond, 21 * time.Millisecond, 25 * time.Millisecond}
	var b strings.Builder
	err := comparisons{
		compareTimes("edge", slow, quick, 5*time.Millisecond, "C"),
		{what: "memory – resident", show: inMebibytes, panel: 8 << 20, peer: 32 << 20, note: "Python"},
		{what: "bytes", show: inKilobytes, panel: 1000, peer: 2000},
	}.print(&b)
	want := "" +
		"                     panel        p99      peer      p99  panel/peer\n" +
		"edge               31.0 ms  1200.0 ms   21.0 ms  25.0 ms        1.48  BEHIND  C\n" +
		"memory – resident  8.0 MiB             32.0 MiB                 0.25  ahead   Python\n" +
		"bytes                 1 kB                 2 kB                 0.50  ahead\n" +
		"\ntargets missed: 1\n"
	if err != nil || b.String() != want {
		t.Errorf("got error %v and\n%s\nwant\n%s", err, &b, want)
	}
}
