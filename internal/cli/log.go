package cli

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

// Limits of a writer that its callers never wait for.
const (
	maxQueued   = 1000            // lines that wait while as many may be on their way
	flushWithin = 2 * time.Second // at the end, for what is still queued
)

// NewLogger returns a logger of text lines on w that never keeps its caller waiting: see
// [NoWait]. stop writes what is still queued, for 2 s at most.
func NewLogger(w io.Writer) (log *slog.Logger, stop func()) {
	w, stop = NoWait(w)
	return slog.New(slog.NewTextHandler(w, nil)), stop
}

// NoWait returns a writer that passes whole lines on to w in their order, but never
// blocks and never fails, whatever w does: an alarm has to sound also when nobody reads
// the log any more. While w blocks, 1000 lines or a few more wait. What w doesn't take is
// dropped, and once it takes lines again, one in the format of a log says how many are
// missing.
//
// stop gives w 2 s to take what waits. Afterwards lines are dropped in silence.
func NoWait(w io.Writer) (queue io.Writer, stop func()) {
	q := &lineQueue{w: w, filled: make(chan struct{}, 1), ended: make(chan struct{})}
	go q.run()
	return q, q.stop
}

// A lineQueue is what stands between those who write lines and a writer that may block.
type lineQueue struct {
	w      io.Writer
	filled chan struct{} // one slot
	ended  chan struct{} // closed when nothing will be written any more

	mu      sync.Mutex
	lines   [][]byte
	dropped int // since the last of lines
	stopped bool
}

// Write queues a line.
func (q *lineQueue) Write(line []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.stopped:
		return len(line), nil
	case len(q.lines) == maxQueued:
		q.dropped++
	default:
		q.lines = append(q.lines, bytes.Clone(line)) // the caller uses its memory again
	}
	q.wake()
	return len(line), nil
}

// wake tells the goroutine that there is something to do.
func (q *lineQueue) wake() {
	select {
	case q.filled <- struct{}{}:
	default:
	}
}

// run writes until stop.
func (q *lineQueue) run() {
	defer close(q.ended)
	missing := 0
	for range q.filled {
		q.mu.Lock()
		lines, dropped, stopped := q.lines, q.dropped, q.stopped
		q.lines, q.dropped = nil, 0
		q.mu.Unlock()
		for _, line := range lines {
			missing = q.report(missing)
			if _, err := q.w.Write(line); err != nil {
				missing++
			}
		}
		missing = q.report(missing + dropped)
		if stopped {
			return
		}
	}
}

// report writes how many lines are missing, if any are, and returns how many it could not
// tell of.
func (q *lineQueue) report(missing int) int {
	if missing == 0 {
		return 0
	}
	r := slog.NewRecord(time.Now(), slog.LevelWarn, "log lines dropped", 0)
	r.Add("lines", missing)
	if err := slog.NewTextHandler(q.w, nil).Handle(context.Background(), r); err != nil {
		return missing
	}
	return 0
}

func (q *lineQueue) stop() {
	q.mu.Lock()
	q.stopped = true
	q.wake()
	q.mu.Unlock()
	select {
	case <-q.ended:
	case <-time.After(flushWithin):
	}
}
