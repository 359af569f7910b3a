//go:build linux

package main

import (
	"math"
	"strings"
	"testing"
)

func TestVerdicts(t *testing.T) {
	tests := []struct {
		name string
		f    figure
		want string
	}{
		{"slower", figure{hub: sample{2}, peer: sample{1}}, "BEHIND"},
		{"fewer", figure{hub: sample{1}, peer: sample{2}, more: true}, "BEHIND"},
		{"fewer than wanted", figure{hub: sample{1}, peer: sample{3}, more: true, target: 0.5}, "MISSED ≥ 0.50, BEHIND"},
		{"more, and fewer than wanted", figure{hub: sample{3}, peer: sample{2}, more: true, target: 2}, "MISSED ≥ 2.00"},
		{"as many as wanted", figure{hub: sample{1}, peer: sample{2}, more: true, target: 0.5}, "met ≥ 0.50, BEHIND"},
		{"above the limit", figure{hub: sample{13}, limit: 12}, "MISSED ≤ 12"},
		{"below the limit", figure{hub: sample{11}, peer: sample{1}, limit: 12}, "met ≤ 12, BEHIND"},
		{"quicker", figure{hub: sample{1}, peer: sample{2}}, "ahead"},
		{"no race", figure{hub: sample{2}, peer: sample{1}, uneven: true}, ""},
		{"without a peer", figure{hub: sample{1}}, ""},
	}
	for _, tt := range tests {
		tt.f.show = asNumber
		if got := tt.f.verdict(); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestMedianAndNoise(t *testing.T) {
	for _, tt := range []struct {
		s             sample
		median, noise float64
	}{
		{sample{7}, 7, 0},
		{sample{0, 0}, 0, 0},
		{sample{3, 1}, 2, 0.25},
		{sample{10, 30, 20, 50, 40}, 30, 1.0 / 3},
	} {
		if m, n := tt.s.median(), tt.s.noise(); m != tt.median || math.Abs(n-tt.noise) > 1e-9 {
			t.Errorf("%v: got median %v, noise %v; want %v, %v", tt.s, m, n, tt.median, tt.noise)
		}
	}
}

func TestTableIsAligned(t *testing.T) {
	var b strings.Builder
	err := table{
		{what: "gets", show: asNumber, hub: sample{900, 1000, 1100}, peer: sample{10, 10, 10}, more: true, target: 1, note: "a note"},
		{what: "  p99", show: asTime, hub: sample{1.5e6}, peer: sample{900}},
		{what: "alone", show: asTime, hub: sample{2e9}},
	}.print(&b)
	if err != nil {
		t.Fatal(err)
	}
	const want = `          hub       peer       hub/peer
gets     1000  ±5%    10  ±0%    100.00  met ≥ 1.00  a note
  p99  1.5 ms       1 µs        1666.67  BEHIND
alone  2.00 s

targets missed: 0; lines on which the hub is behind its peer: 1
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", &b, want)
	}
}

func TestMemoryIsRead(t *testing.T) {
	for _, tt := range []struct {
		text string
		want int64 // 0 = refused
	}{
		{"", 0},
		{"Rss: many kB\n", 0},
		{"Rss: 1 MB\n", 0},
		{"Pss: 1 kB\n", 0},
		{"00400000-7fff rollup\nRss:                1732 kB\nPss:     281 kB\n", 1732 << 10},
	} {
		got, err := parseSize([]byte(tt.text), "Rss:")
		if got != tt.want || (err == nil) != (tt.want > 0) {
			t.Errorf("%q: got %d, %v; want %d", tt.text, got, err, tt.want)
		}
	}
}
