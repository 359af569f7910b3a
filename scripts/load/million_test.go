//go:build linux

package main

import (
	"math"
	"testing"
)

func TestNeedOf(t *testing.T) {
	p := price{getHub: 30_000, getDatabase: 60_000, patchHub: 100_000, patchDatabase: 200_000, connection: 40_000, patches: 1000}
	got := needOf(60_001, habit{gets: 0.5, patches: 0.1}, p)
	want := need{requests: 36_000.6, writes: 6000.1, hubCPU: 1.50, dbCPU: 3.0, memory: 2.40004e9, hubs: 4, databases: 7, messages: 1.8935e11}
	near := func(a, b float64) bool { return math.Abs(a-b) <= b/1000 }
	if got.hubs != want.hubs || got.databases != want.databases || !near(got.requests, want.requests) || !near(got.writes, want.writes) ||
		!near(got.hubCPU, want.hubCPU) || !near(got.dbCPU, want.dbCPU) || !near(got.memory, want.memory) || !near(got.messages, want.messages) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestHabits(t *testing.T) {
	if polling.gets != 0.5 || noticed.gets >= polling.gets || polling.patches != noticed.patches {
		t.Errorf("got %v for panels that look, %v for those that are told", polling, noticed)
	}
}
