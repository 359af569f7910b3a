//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/twinpanel/twinpanel/interop/faults/history"
)

// lanes is how many faults happen at the same time.
const lanes = 2

// Sabotage deals out faults: in each round every kind once, in an order of its own.
type sabotage struct {
	stage *stage
	load  *load
	calm  time.Duration // the longest time between two faults of a lane
	log   func(format string, args ...any)

	mu     sync.Mutex
	random *rand.Rand
	due    []fault
	counts map[string]int
	err    error
}

func newSabotage(s *stage, l *load, calm time.Duration, random *rand.Rand, log func(string, ...any)) *sabotage {
	return &sabotage{stage: s, load: l, calm: calm, log: log, random: random, counts: map[string]int{}}
}

// kinds are those that this stage can have.
func (b *sabotage) kinds() []fault {
	return slices.DeleteFunc(slices.Clone(faults), func(f fault) bool { return f.postgres && b.stage.postgres == nil })
}

// rounds is how many times every kind has happened.
func (b *sabotage) rounds() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	least := -1
	for _, f := range b.kinds() {
		if n := b.counts[f.name]; least < 0 || n < least {
			least = n
		}
	}
	return least
}

// run goes on until done or an error, and returns when everything is undone.
func (b *sabotage) run(ctx context.Context, done func() bool) error {
	var all sync.WaitGroup
	for range lanes {
		s := &saboteur{b.stage, b.load, newRandom(b.random)}
		all.Go(func() {
			for !done() && sleep(ctx, time.Duration(s.random.Int64N(int64(b.calm)+1))) {
				if !b.one(ctx, s) {
					return
				}
			}
		})
	}
	all.Wait()
	return b.err
}

// one does the next fault.
func (b *sabotage) one(ctx context.Context, s *saboteur) bool {
	f, ok := b.next()
	if !ok {
		return false
	}
	e := history.Event{Kind: history.Fault, Process: f.name, Call: b.load.recorder.Now()}
	note, err := f.do(s, ctx)
	e.Note, e.Return = note, b.load.recorder.Now()
	b.load.recorder.Add(e)
	b.log("%8.3f to %8.3f s  %-35s %s", float64(e.Call)/1e9, float64(e.Return)/1e9, f.name, note)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counts[f.name]++
	if err != nil && b.err == nil && ctx.Err() == nil {
		b.err = fmt.Errorf("%s: %w", f.name, err)
	}
	return b.err == nil
}

// next takes a fault off. It is false when an error has ended all.
func (b *sabotage) next() (fault, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.due) == 0 {
		b.due = b.kinds()
		b.random.Shuffle(len(b.due), func(i, j int) { b.due[i], b.due[j] = b.due[j], b.due[i] })
	}
	f := b.due[0]
	b.due = b.due[1:]
	return f, b.err == nil
}
