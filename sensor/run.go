package sensor

import (
	"context"
	"fmt"
	"time"
)

// Run watches the contact until ctx ends, then releases the line; its error is that of
// the release. It takes at most a sample longer than ctx.
//
// report is called with each change, in order, starting from Unknown, which is not
// reported. It is called by Run's goroutine and must not block: no level is read meanwhile.
func (s *Sensor) Run(ctx context.Context, report func(Reading)) error {
	return s.Watch(ctx, func(Reading) {}, report)
}

// Watch is Run with a forewarning: moved is called when a level is first seen that will be another reading if it lasts
// for Config.Debounce. It may come to nothing. Like report, it must not block.
func (s *Sensor) Watch(ctx context.Context, moved, report func(Reading)) error {
	w := watch{Config: s.config, moved: moved, report: report}
	for ctx.Err() == nil {
		w.read()
		w.judge()
		w.wait(ctx)
	}
	if w.line == nil {
		return nil
	}
	return w.line.Close()
}

// A watch is the state of one Run.
type watch struct {
	Config
	moved   func(Reading)
	report  func(Reading)
	reading Reading // reported last

	line   Line      // nil = lost
	opened time.Time // the last attempt to open it

	valid bool      // level was read, and no error came since
	level bool      // the last one read
	since time.Time // when it was first read

	// Since a level was last seen settled; zero = none.
	unsettled time.Time // the first pass that found it unsettled
	failed    time.Time // the first error
}

// read reads the line, opening it if need be and due.
func (w *watch) read() {
	if w.line == nil {
		if !w.opened.IsZero() && time.Since(w.opened) < reopenPace {
			return
		}
		w.opened = time.Now()
		line, err := w.Open()
		if err != nil {
			w.fail(fmt.Errorf("opening contact line: %w", err))
			return
		}
		w.line = line
	}
	level, err := w.line.Read()
	if err != nil {
		w.fail(fmt.Errorf("reading contact line: %w", err))
		return
	}
	if !w.valid || level != w.level {
		w.valid, w.level, w.since = true, level, time.Now()
		if r := w.means(); r != w.reading {
			w.moved(r)
		}
	}
}

// means is the reading of the level, once it has settled.
func (w *watch) means() Reading {
	if w.level == w.OpenLevelHigh {
		return Open
	}
	return Closed
}

// fail notes an error and gives the line up, if there is one.
func (w *watch) fail(err error) {
	w.valid = false
	if w.failed.IsZero() {
		w.failed = time.Now()
		w.Logger.Warn("contact line lost", "error", err)
	}
	if w.line != nil {
		w.line.Close() // its error would only repeat that the line is lost
		w.line = nil
	}
}

// judge reports what the level and the time since the last good one amount to.
func (w *watch) judge() {
	now := time.Now()
	if w.valid && now.Sub(w.since) >= w.Debounce {
		if !w.failed.IsZero() {
			w.Logger.Info("contact line back")
		}
		w.unsettled, w.failed = time.Time{}, time.Time{}
		w.change(w.means())
		return
	}
	// Not from when it was last seen settled: that may be long ago if the whole process
	// or the computer stood still, and the contact is not to blame for it.
	if w.unsettled.IsZero() {
		w.unsettled = now
	}
	switch {
	case !w.failed.IsZero() && w.reading != Unknown && now.Sub(w.failed) >= mendWithin:
		w.change(Fault)
	case now.Sub(w.unsettled) >= settleWithin:
		if w.failed.IsZero() && w.reading != Fault {
			w.Logger.Warn("contact does not settle", "for", settleWithin)
		}
		w.change(Fault)
	}
}

func (w *watch) change(r Reading) {
	if w.reading != r {
		w.reading = r
		w.report(r)
	}
}

// wait returns when there may be something new: an edge, the end of the debounce, or a
// sample later. It returns no sooner than minPass after it was called, unless the
// debounce ends earlier: edges without end must not keep the computer busy.
func (w *watch) wait(ctx context.Context) {
	start := time.Now()
	longest := w.Sample
	if left := w.Debounce - start.Sub(w.since); w.valid && left > 0 {
		longest = min(longest, left)
	}
	if w.line == nil {
		sleep(ctx, longest)
		return
	}
	if err := w.line.Wait(longest); err != nil {
		w.fail(fmt.Errorf("waiting for contact line: %w", err))
	}
	sleep(ctx, min(longest, minPass)-time.Since(start))
}

// sleep returns after d or when ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
