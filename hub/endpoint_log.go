package hub

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Limits of the endpoint's log in one minute. A client that is refused and comes
// back for ever must not fill the disk.
const (
	logWindow       = time.Minute
	linesPerSubject = 6   // about one device, or one address where there is no device
	linesInAll      = 600 // a hundred bytes or two each
)

// A quietLog writes lines about subjects, and only counts those beyond the limits.
// The count of a minute is written when the next line comes.
type quietLog struct {
	logger *slog.Logger

	mu      sync.Mutex
	start   time.Time      // of this minute
	lines   map[string]int // by subject
	written int
	omitted int
}

func newQuietLog(l *slog.Logger) *quietLog {
	return &quietLog{logger: l, lines: make(map[string]int)}
}

func (q *quietLog) info(subject, msg string, attrs ...any) {
	q.write(slog.LevelInfo, subject, msg, attrs)
}

func (q *quietLog) warn(subject, msg string, attrs ...any) {
	q.write(slog.LevelWarn, subject, msg, attrs)
}

func (q *quietLog) error(subject, msg string, attrs ...any) {
	q.write(slog.LevelError, subject, msg, attrs)
}

func (q *quietLog) write(level slog.Level, subject, msg string, attrs []any) {
	if !q.logger.Enabled(context.Background(), level) {
		return
	}
	ok, omitted := q.allow(subject)
	if omitted > 0 {
		q.logger.Warn("log lines omitted", "count", omitted, "window", logWindow)
	}
	if ok {
		q.logger.Log(context.Background(), level, msg, attrs...)
	}
}

// allow counts a line, and tells whether to write it and how many were omitted in
// the minute before.
func (q *quietLog) allow(subject string) (ok bool, omitted int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if now := time.Now(); now.Sub(q.start) >= logWindow {
		q.start, omitted = now, q.omitted
		q.written, q.omitted = 0, 0
		clear(q.lines)
	}
	if q.written == linesInAll || q.lines[subject] == linesPerSubject {
		q.omitted++
		return false, omitted
	}
	q.written++
	q.lines[subject]++
	return true, omitted
}

// hostOf is an address without its port, which is another one each time.
func hostOf(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return host
}
