//go:build linux

package main

import (
	"fmt"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/twinpanel/twinpanel/interop/faults/check"
	"github.com/twinpanel/twinpanel/interop/faults/history"
)

// print writes the summary.
func (t *trial) print(f check.Figures, s check.Sampling) {
	w := tabwriter.NewWriter(t.stdout, 0, 8, 2, ' ', 0)
	outcomes := []history.Outcome{history.OK, history.Mismatch, history.Absent, history.Failed, history.Unknown, history.Denied, history.Wrong}
	fmt.Fprint(w, "requests")
	for _, o := range outcomes {
		fmt.Fprintf(w, "\t%s", o)
	}
	fmt.Fprintln(w)
	for _, k := range []history.Kind{history.Get, history.Put, history.Patch, history.Delete} {
		fmt.Fprint(w, k)
		for _, o := range outcomes {
			fmt.Fprintf(w, "\t%d", f.Outcomes[k][o])
		}
		fmt.Fprintln(w)
	}
	w.Flush()
	fmt.Fprintln(w, "\nfaults")
	for _, name := range slices.Sorted(maps.Keys(t.sabotage.counts)) {
		fmt.Fprintf(w, "%s\t%d\n", name, t.sabotage.counts[name])
	}
	w.Flush()
	fmt.Fprintln(t.stdout)
	fmt.Fprintf(t.stdout, "under faults for %v, %.0f requests a second; longest time in which nobody had any success: %v\n",
		t.underway.Round(time.Second), float64(f.Requests)/t.underway.Seconds(), t.barren.Round(time.Millisecond))
	fmt.Fprintf(t.stdout, "connections of devices: %d, and %d attempts that came to nothing\n", f.Connects, f.NotConnected)
	fmt.Fprintf(t.stdout, "checked: %d requests, %d documents, %d versions; writes of unknown outcome that were done: %d, of them after a newer connection of the device: %d\n",
		f.Requests, f.Documents, f.Versions, f.Happened, f.Late)
	fmt.Fprintf(t.stdout, "porcupine: %d documents, %d requests; not finished in time: %d documents\n", s.Samples, s.Events, s.Unfinished)
}
