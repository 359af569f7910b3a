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
	linesPerSubject = 6   // of one level about one device, or one address where there is no device
	linesInAll      = 600 // a hundred bytes or two each
)

// A logKey has an allowance of its own, so that a warning about a client isn't lost
// because the client comes and goes so often.
type logKey struct {
	subject string
	level   slog.Level
}

// A quietLog writes lines about subjects, and only counts those beyond the limits.
// The count of a minute is written when the next line comes, or at the end.
type quietLog struct {
	logger *slog.Logger

	mu      sync.Mutex
	start   time.Time // of this minute
	lines   map[logKey]int
	written int
	omitted int
}

func newQuietLog(l *slog.Logger) *quietLog {
	return &quietLog{logger: l, lines: make(map[logKey]int)}
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
	ok, omitted := q.allow(logKey{subject, level})
	q.writeOmitted(omitted)
	if ok {
		q.logger.Log(context.Background(), level, msg, attrs...)
	}
}

// flush writes how many lines of the present minute were omitted.
func (q *quietLog) flush() {
	q.mu.Lock()
	omitted := q.omitted
	q.omitted = 0
	q.mu.Unlock()
	q.writeOmitted(omitted)
}

func (q *quietLog) writeOmitted(n int) {
	if n > 0 {
		q.logger.Warn("log lines omitted", "count", n, "window", logWindow)
	}
}

// allow counts a line, and tells whether to write it and how many were omitted in
// the minute before.
func (q *quietLog) allow(key logKey) (ok bool, omitted int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if now := time.Now(); now.Sub(q.start) >= logWindow {
		q.start, omitted = now, q.omitted
		q.written, q.omitted = 0, 0
		clear(q.lines)
	}
	if q.written == linesInAll || q.lines[key] == linesPerSubject {
		q.omitted++
		return false, omitted
	}
	q.written++
	q.lines[key]++
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
