//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/twinpanel/twinpanel/interop/faults/check"
	"github.com/twinpanel/twinpanel/interop/faults/history"
	"github.com/twinpanel/twinpanel/interop/faults/link"
)

const (
	// patience bounds how long everybody may take to be served again when nothing is wrong any more. It is a bound
	// for "at all", not a figure: the machine may be slow and shared.
	patience = 2 * time.Minute

	// noticeTime is how long a change notice may be on its way, faults included.
	noticeTime = 30 * time.Second

	// Bounds of the search by porcupine.
	sampleEvents = 3000
	sampleTime   = 5 * time.Second
)

// A trial is one run from an empty store to the verdict.
type trial struct {
	config         *Config
	dir, history   string
	seed           uint64
	stdout, stderr io.Writer

	random   *rand.Rand
	recorder *history.Recorder
	stage    *stage
	load     *load
	sabotage *sabotage
	underway time.Duration // how long the load went on under faults
	barren   time.Duration // the longest time in which nobody had any success
}

func (t *trial) run(ctx context.Context) (err error) {
	t.random = rand.New(rand.NewPCG(t.seed, 0))
	if t.recorder, err = history.Create(t.history); err != nil {
		return fmt.Errorf("making a file for the history: %w", err)
	}
	fmt.Fprintf(t.stdout, "seed %d\n", t.seed)
	err = t.play(ctx)
	if e := t.recorder.Close(); e != nil || ctx.Err() != nil || t.sabotage == nil {
		return errors.Join(err, e)
	}
	return errors.Join(err, t.judge(ctx))
}

// play starts everything, lets the faults happen, and ends everything.
func (t *trial) play(ctx context.Context) (err error) {
	if t.stage, err = newStage(ctx, t.config, t.dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.stage.close()) }()
	t.load = newLoad(t.recorder, t.stage.devices, t.stage.token, t.stage.mqtt, t.stage.rest, t.config.Rate, t.config.Apps)
	t.sabotage = newSabotage(t.stage, t.load, t.config.Calm, t.random, func(format string, args ...any) {
		fmt.Fprintf(t.stderr, format+"\n", args...)
	})
	t.load.start(ctx, t.config.Apps, t.random)
	defer t.load.stop()
	began := time.Now()
	err = t.sabotage.run(ctx, func() bool {
		return t.sabotage.rounds() > 0 && time.Since(began) >= t.config.Time && t.load.requests.Load() >= int64(t.config.Operations)
	})
	t.underway = time.Since(began)
	for _, l := range t.stage.links() {
		l.Set(link.State{})
	}
	if err != nil {
		return err
	}
	return t.settle(ctx)
}

// settle waits until everybody is served again, makes a last change of what notices are about, waits until all have learned of it, and
// reads every document from every hub.
func (t *trial) settle(ctx context.Context) error {
	healed := t.recorder.Now()
	if err := t.await(ctx, "all clients are served again", func() []string { return t.load.unserved(healed) }); err != nil {
		return err
	}
	t.barren = t.load.success.longest()
	t.load.quiet.Store(true)
	if err := t.await(ctx, "the last request is answered", t.load.underway); err != nil {
		return err
	}
	var readers []*app
	for _, h := range t.stage.hubs {
		readers = append(readers, newApp(t.load, "reader-of-"+h.name, h.restDirect))
		defer readers[len(readers)-1].http.CloseIdleConnections()
	}
	for i, b := range t.load.books {
		r := request{document: b.desired, kind: history.Put}
		if err := t.insist(ctx, readers[i%len(readers)], r); err != nil {
			return err
		}
	}
	if err := t.await(ctx, "panels have heard of the last change", t.load.untold); err != nil {
		return err
	}
	for _, b := range t.load.books {
		for _, d := range b.all() {
			for _, reader := range readers {
				if err := t.insist(ctx, reader, request{document: d, kind: history.Get}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// insist sends a request until it is answered.
func (t *trial) insist(ctx context.Context, a *app, r request) error {
	return t.await(ctx, fmt.Sprintf("%s: %s %s", a.process, r.kind, r.document.of), func() []string {
		switch got := a.do(ctx, t.load.numbered(r)); got.outcome {
		case history.OK, history.Absent:
			return nil
		default:
			return []string{string(got.outcome) + " " + got.note}
		}
	})
}

// await waits until nothing is missing any more.
func (t *trial) await(ctx context.Context, what string, missing func() []string) error {
	const interval = 20 * time.Millisecond
	deadline := time.Now().Add(patience)
	for {
		m := missing()
		switch {
		case len(m) == 0:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("waited %v until %s; not so: %q", patience, what, m)
		case !sleep(ctx, interval):
			return context.Cause(ctx)
		}
	}
}

// judge checks the history and prints the summary.
func (t *trial) judge(ctx context.Context) error {
	c := check.New(int64(noticeTime))
	if err := history.Read(t.history, c.Add); err != nil {
		return err
	}
	found := c.Check()
	sampling, more := c.Sample(ctx, check.Limits{Samples: t.config.Samples, Events: sampleEvents, Time: sampleTime}, t.random)
	found = append(found, more...)
	t.print(c.Figures, sampling)
	const most = 20
	for _, v := range found[:min(most, len(found))] {
		fmt.Fprintf(t.stdout, "violated: %s\n", v)
	}
	if len(found) > 0 {
		fmt.Fprintf(t.stdout, "verdict: %d violations\n", len(found))
		return fmt.Errorf("%d violations, seed %d", len(found), t.seed)
	}
	fmt.Fprintln(t.stdout, "verdict: nothing violated")
	return nil
}
