//go:build linux

package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// A row is something to measure. It may print as several lines.
type row struct {
	name, what string
	measure    func(*stage, context.Context) error
}

// rows are all of them, in the order in which they are measured.
var rows = []row{
	{"gets", "round trips a second and their latency, beside mosquitto", (*stage).measureGets},
	{"paced", "latency at a fixed rate, beside mosquitto; and among hostile clients", (*stage).measurePaced},
	{"patches", "durable writes a second, beside the bare store and the disk", (*stage).measurePatches},
	{"memory", "memory of an idle connection, plain and TLS, beside mosquitto", (*stage).measureMemory},
	{"restart", "all panels come back at once after a kill, beside mosquitto", (*stage).measureRestart},
	{"cpu", "processor time of a get and a patch, on a data folder and on PostgreSQL", (*stage).measureCPU},
	{"panels", "what honest panels cost, by their number and kind", (*stage).measurePanels},
}

// rowNames are what --rows may have.
func rowNames() (names []string) {
	for _, r := range rows {
		names = append(names, r.name)
	}
	return names
}

func rowHelp() string {
	var b strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&b, "  %-9s%s\n", r.name, r.what)
	}
	return b.String()
}

// A size is how much there is of everything.
type size struct {
	connections []int // that get at the same time
	pacedPanels int
	pacedRate   float64 // gets a second of all of them
	hostile     int     // clients among them
	writers     []int
	many        int // panels that are idle, and that come back
	settle      time.Duration
	askers      int   // where the cost of a request is measured
	houses      []int // honest panels
}

var (
	full = size{
		connections: []int{1, 100, 1000}, pacedPanels: 1000, pacedRate: 5000, hostile: 50, writers: []int{64, 512},
		many: 10_000, settle: 3 * time.Second, askers: 64, houses: []int{100, 1000, 10_000},
	}
	// short is of the kind of full: small, and everything is there.
	short = size{
		connections: []int{1, 50}, pacedPanels: 50, pacedRate: 500, hostile: 10, writers: []int{16},
		many: 300, settle: 200 * time.Millisecond, askers: 16, houses: []int{100},
	}
)

const shortTime = 300 * time.Millisecond

// devices is how many a hub has to know.
func (s size) devices() int { return max(s.many, s.pacedPanels+s.hostile) }

// files is how many a process needs to have open.
func (s size) files() uint64 { return uint64(2*s.many + 4096) }

// fewer is the number of runs of what takes many panels.
func (s *stage) fewer() int { return max(s.runs/3, 1) }
