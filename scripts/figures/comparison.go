package main

import (
	"fmt"
	"io"
	"time"

	"github.com/twinpanel/twinpanel/internal/cli"
)

// A comparison is a figure of the panel beside that of a peer: a time in nanoseconds, a size in bytes, or a number. The
// less, the better.
type comparison struct {
	what                string
	show                func(float64) string
	panel, peer         float64 // medians, or what is measured once
	panelRare, peerRare float64 // 99th percentiles; 0 = measured once
	allowance           float64 // how much more than the peer's the panel's may be
	uneven              bool    // the peer does far less: no verdict
	note                string
}

func compareTimes(what string, panel, peer sample, allowance time.Duration, note string) comparison {
	return comparison{
		what: what, show: inMilliseconds, allowance: float64(allowance), note: note,
		panel: float64(panel.quantile(0.5)), panelRare: float64(panel.quantile(0.99)),
		peer: float64(peer.quantile(0.5)), peerRare: float64(peer.quantile(0.99)),
	}
}

func inMilliseconds(v float64) string { return milliseconds(time.Duration(v)) }
func inMebibytes(v float64) string    { return mebibytes(int64(v)) }
func inKilobytes(v float64) string    { return fmt.Sprintf("%.0f kB", v/1000) }
func inWhole(v float64) string        { return fmt.Sprintf("%.0f", v) }

// verdict says whether the panel is where it should be: ahead, or no more than the allowance behind.
func (c comparison) verdict() string {
	switch {
	case c.uneven:
		return ""
	case c.panel > c.peer+c.allowance:
		return "BEHIND"
	case c.allowance > 0:
		return fmt.Sprintf("met, %s allowed", c.show(c.allowance))
	case c.panel == c.peer:
		return "even"
	}
	return "ahead"
}

// cells are those of the comparison's row.
func (c comparison) cells() []string {
	rare := func(v float64) string {
		if v == 0 {
			return ""
		}
		return c.show(v)
	}
	return []string{c.what, c.show(c.panel), rare(c.panelRare), c.show(c.peer), rare(c.peerRare),
		fmt.Sprintf("%.2f", c.panel/c.peer), c.verdict(), c.note}
}

type comparisons []comparison

// print writes a table with aligned columns, and below it how many targets are missed.
func (t comparisons) print(w io.Writer) error {
	rows := [][]string{{"", "panel", "p99", "peer", "p99", "panel/peer", "", ""}}
	behind := 0
	for _, c := range t {
		rows = append(rows, c.cells())
		if c.verdict() == "BEHIND" {
			behind++
		}
	}
	_, err := fmt.Fprintf(w, "%s\ntargets missed: %d\n", cli.Table(rows, 1, 5), behind)
	return err
}
