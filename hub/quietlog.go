package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

// Limits of the hub's log in one minute. A client that is refused and comes back
// for ever must not fill the disk, and a line is a hundred bytes or two. Whatever
// somebody else may have chosen is cut.
//
// Each level has a budget of its own, so that what somebody must act on is still
// said on a day when much else happens. Connections without a device have their
// own beside it: anybody can open those, and must not silence the devices by it.
const (
	logWindow       = time.Minute
	linesPerSubject = 6    // of one level about one device, or one address where there is no device
	infoLines       = 300  // in all, as the next three
	warnLines       = 600  //
	errorLines      = 1200 //
	strangerLines   = 60   // of one level, about connections without a device
	maxLogValue     = 1000 // bytes of one value: a stranger's certificate or header may be hundreds of times as long
)

// A logBudget is what lines share.
type logBudget struct {
	level    slog.Level
	stranger bool
}

func (b logBudget) lines() int {
	switch {
	case b.stranger:
		return strangerLines
	case b.level >= slog.LevelError:
		return errorLines
	case b.level >= slog.LevelWarn:
		return warnLines
	}
	return infoLines
}

// A logKey is what linesPerSubject holds for.
type logKey struct {
	logBudget
	subject string
}

// A quietLog writes lines about subjects, and only counts those beyond the limits.
// The count of a minute is written when the next line comes, or at the end.
type quietLog struct {
	logger *slog.Logger

	mu      sync.Mutex
	start   time.Time         // of this minute
	lines   map[logKey]int    // written; at most as many keys as the budgets have lines
	written map[logBudget]int //
	omitted int
	inAll   int // omitted since the start
}

func newQuietLog(l *slog.Logger) *quietLog {
	return &quietLog{logger: l, lines: make(map[logKey]int), written: make(map[logBudget]int)}
}

func (q *quietLog) info(subject, msg string, attrs ...any) {
	q.write(logKey{logBudget{level: slog.LevelInfo}, subject}, msg, attrs)
}

func (q *quietLog) warn(subject, msg string, attrs ...any) {
	q.write(logKey{logBudget{level: slog.LevelWarn}, subject}, msg, attrs)
}

func (q *quietLog) error(subject, msg string, attrs ...any) {
	q.write(logKey{logBudget{level: slog.LevelError}, subject}, msg, attrs)
}

// stranger writes about an address that no device stands behind.
func (q *quietLog) stranger(level slog.Level, address, msg string, attrs ...any) {
	q.write(logKey{logBudget{level, true}, address}, msg, attrs)
}

func (q *quietLog) write(key logKey, msg string, attrs []any) {
	if !q.logger.Enabled(context.Background(), key.level) {
		return
	}
	ok, omitted := q.allow(key)
	q.writeOmitted(omitted)
	if ok {
		q.logger.Log(context.Background(), key.level, msg, cutValues(withHint(attrs))...)
	}
}

// withHint adds what to do about an error among the values, where it says so.
func withHint(attrs []any) []any {
	for _, value := range attrs {
		if err, ok := value.(error); ok {
			if e, ok := errors.AsType[interface {
				error
				Hint() string
			}](err); ok {
				return append(slices.Clip(attrs), "hint", e.Hint())
			}
		}
	}
	return attrs
}

// cutValues cuts texts that are too long, but for what the hub says about its own faults.
func cutValues(attrs []any) []any {
	attrs = slices.Clone(attrs)
	for i := 1; i < len(attrs); i += 2 {
		if attrs[i-1] == "panic" || attrs[i-1] == "stack" {
			continue
		}
		text, ok := attrs[i].(string)
		if err, isError := attrs[i].(error); isError {
			text, ok = err.Error(), true
		}
		if ok && len(text) > maxLogValue {
			attrs[i] = fmt.Sprintf("%s… (%d bytes)", text[:maxLogValue], len(text))
		}
	}
	return attrs
}

// omittedInAll is how many lines were omitted since the start.
func (q *quietLog) omittedInAll() float64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return float64(q.inAll)
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
		q.start, omitted, q.omitted = now, q.omitted, 0
		clear(q.written)
		clear(q.lines)
	}
	if q.written[key.logBudget] == key.logBudget.lines() || q.lines[key] == linesPerSubject {
		q.omitted++
		q.inAll++
		return false, omitted
	}
	q.written[key.logBudget]++
	q.lines[key]++
	return true, omitted
}

// shortID is a device's id as a log may show it: enough to find the device. The
// whole of it opens an insecure device's twin to whoever reads the log.
func shortID(id twin.ID) string { return fmt.Sprintf("%.8s…", id) }

// hostOf is an address without its port, which is another one each time.
func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}
