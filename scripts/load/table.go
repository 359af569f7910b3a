//go:build linux

package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/twinpanel/twinpanel/internal/cli"
)

// A sample is what a figure was in each run.
type sample []float64

// median is the middle one, or the mean of the two in the middle. The sample is not empty.
func (s sample) median() float64 { return s.quantile(0.5) }

// noise is half of the distance between the quartiles, as a part of the median.
func (s sample) noise() float64 {
	if s.median() == 0 {
		return 0
	}
	return (s.quantile(0.75) - s.quantile(0.25)) / 2 / s.median()
}

// quantile is linear between the two values beside it.
func (s sample) quantile(q float64) float64 {
	sorted := slices.Sorted(slices.Values(s))
	at := q * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}

// A figure is a line of the table: what was measured of the hub, beside a peer if there is one.
type figure struct {
	what      string
	show      func(float64) string
	hub, peer sample
	more      bool    // more is better; else less is
	target    float64 // the ratio hub/peer that is wanted, or better; 0 = none
	limit     float64 // of the hub's figure itself; 0 = none
	uneven    bool    // the two are not after the same: no verdict
	note      string
}

func (f figure) ratio() float64 { return f.hub.median() / f.peer.median() }

// better tells whether a is as good as b, or better.
func (f figure) better(a, b float64) bool {
	if f.more {
		return a >= b
	}
	return a <= b
}

// verdict says where the hub stands: whether it has its target, and whether it is behind its peer.
func (f figure) verdict() string {
	var parts []string
	sign := map[bool]string{true: "≥", false: "≤"}[f.more]
	if f.limit > 0 {
		parts = append(parts, met(f.better(f.hub.median(), f.limit))+" "+sign+" "+f.show(f.limit))
	}
	if f.target > 0 {
		parts = append(parts, fmt.Sprintf("%s %s %.2f", met(f.better(f.ratio(), f.target)), sign, f.target))
	}
	if len(f.peer) > 0 && !f.uneven {
		switch {
		case !f.better(f.ratio(), 1):
			parts = append(parts, "BEHIND")
		case len(parts) == 0:
			parts = append(parts, "ahead")
		}
	}
	return strings.Join(parts, ", ")
}

func met(ok bool) string {
	if ok {
		return "met"
	}
	return "MISSED"
}

func (f figure) cells() []string {
	cells := []string{f.what, f.show(f.hub.median()), noise(f.hub), "", "", "", f.verdict(), f.note}
	if len(f.peer) > 0 {
		cells[3], cells[4] = f.show(f.peer.median()), noise(f.peer)
		cells[5] = fmt.Sprintf("%.2f", f.ratio())
	}
	return cells
}

func noise(s sample) string {
	if len(s) < 2 {
		return ""
	}
	return fmt.Sprintf("±%.0f%%", 100*s.noise())
}

type table []figure

// print writes a table with aligned columns, and below it how many targets are missed and where the hub is behind.
func (t table) print(w io.Writer) error {
	cells := [][]string{{"", "hub", "", "peer", "", "hub/peer", "", ""}}
	missed, behind := 0, 0
	for _, f := range t {
		cells = append(cells, f.cells())
		missed += strings.Count(f.verdict(), "MISSED")
		behind += strings.Count(f.verdict(), "BEHIND")
	}
	_, err := fmt.Fprintf(w, "%s\ntargets missed: %d; lines on which the hub is behind its peer: %d\n", cli.Table(cells, 1, 5), missed, behind)
	return err
}

// What figures look like. Times are in nanoseconds, sizes in bytes.
func asNumber(v float64) string { return fmt.Sprintf("%.0f", v) }
func asTenths(v float64) string { return fmt.Sprintf("%.1f", v) }
func asSize(v float64) string   { return fmt.Sprintf("%.1f kB", v/1000) }
func asMega(v float64) string   { return fmt.Sprintf("%.1f MB", v/1e6) }

func asTime(v float64) string {
	switch d := time.Duration(math.Round(v)); {
	case d < time.Millisecond:
		return fmt.Sprintf("%.0f µs", v/1e3)
	case d < time.Second:
		return fmt.Sprintf("%.1f ms", v/1e6)
	}
	return fmt.Sprintf("%.2f s", v/1e9)
}

// loadAverage is what the kernel says of the last 1, 5 and 15 minutes.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	fields := strings.Fields(string(text))
	return strings.Join(fields[:min(3, len(fields))], " ")
}
