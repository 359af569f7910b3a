package panels

import (
	"context"
	"sync/atomic"
	"time"
)

// A pace says when one panel's requests are due. Without an interval each is due when the one before is answered.
type pace struct {
	start    time.Time
	offset   time.Duration // of the first one, after start
	interval time.Duration // between two of them
	end      time.Time     // nothing is due from here on
}

// keep asks as often as the pace says until its end, one request after the other, and counts how long after its due time
// each was answered. late counts what was answered after the end, in a job that is not paced. Before it waits it calls idle.
func (p pace) keep(ctx context.Context, ask, idle func() error, h *Histogram, late *atomic.Int64) error {
	due := p.start.Add(p.offset)
	for {
		if p.interval == 0 {
			due = time.Now()
		}
		if !due.Before(p.end) {
			return idle()
		}
		if wait := time.Until(due); wait > 0 {
			if err := idle(); err != nil {
				return err
			}
			if err := sleep(ctx, wait); err != nil {
				return err
			}
		}
		if err := ask(); err != nil {
			return err
		}
		now := time.Now()
		h.Add(now.Sub(due))
		if p.interval == 0 && now.After(p.end) {
			late.Add(1)
		}
		due = due.Add(p.interval)
	}
}

// sleep waits, or returns why ctx has ended.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
