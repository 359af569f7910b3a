package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// A sample is a figure as it was measured again and again.
type sample []time.Duration

func (s *sample) add(began, ended time.Time) { *s = append(*s, ended.Sub(began)) }

// quantile is the smallest value that at least this part of the sample doesn't exceed, by nearest rank. The sample is
// not empty, and 0 < q ≤ 1.
func (s sample) quantile(q float64) time.Duration {
	rank := int(math.Ceil(q * float64(len(s))))
	return slices.Sorted(slices.Values(s))[rank-1]
}

// row shows a sample.
func (s sample) row(what, note string) row {
	return row{what, milliseconds(s.quantile(0.5)), milliseconds(s.quantile(0.99)), milliseconds(s.quantile(1)), note}
}

// A row of the table has a figure's median, 99th percentile and maximum, as they are shown.
type row struct{ what, median, p99, max, note string }

// single shows a figure that is measured once.
func single(what, value, note string) row { return row{what: what, median: value, note: note} }

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

type table []row

// print writes the table with its columns aligned.
func (t table) print(w io.Writer) error {
	t = slices.Insert(slices.Clone(t), 0, row{"", "median", "p99", "max", ""})
	what, value := 0, 0
	for _, r := range t {
		what = max(what, utf8.RuneCountInString(r.what))
		value = max(value, len(r.median), len(r.p99), len(r.max))
	}
	for _, r := range t {
		line := fmt.Sprintf("%-*s  %*s  %*s  %*s  %s", what, r.what, value, r.median, value, r.p99, value, r.max, r.note)
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " ")); err != nil {
			return err
		}
	}
	return nil
}
