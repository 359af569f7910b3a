//go:build linux

package main

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twinpanel/twinpanel/interop/faults/history"
	"github.com/twinpanel/twinpanel/twin"
	"github.com/twinpanel/twinpanel/twinclient"
)

// panelTimeout is shorter than twinclient's own, so that a blocked link costs less of a run's time.
const panelTimeout = 3 * time.Second

// A panel is a device on one connection after the other. It works on its own twin, and gets desired when there is a notice.
type panel struct {
	load    *load
	book    *twinBook
	process string
	told    atomic.Uint32 // the version of desired that notices have led to on the present connection
}

// run keeps connecting through the balancer until ctx ends.
func (p *panel) run(ctx context.Context, random *rand.Rand) {
	for ctx.Err() == nil {
		p.session(ctx, p.process, p.load.mqtt, random)
		sleep(ctx, jitter(random))
	}
}

// visit is a further connection of the same device, to this hub, which throws the other out.
func (p *panel) visit(ctx context.Context, hub string, random *rand.Rand) {
	p.session(ctx, p.process+"-twin", hub, random)
}

// session connects and works until the connection or ctx ends.
func (p *panel) session(ctx context.Context, process, hub string, random *rand.Rand) {
	l := p.load
	e := history.Event{Kind: history.Connect, Process: process, Device: string(p.book.id), Watches: p.book.desired.of, Call: l.recorder.Now()}
	number := l.lastConn.Add(1)
	strays := &strays{load: l, process: process, conn: number}
	conn, err := twinclient.Dial(ctx, twinclient.Options{
		Hub: "mqtt://" + hub, DeviceID: p.book.id, Timeout: panelTimeout, Logger: slog.New(strays),
	})
	e.Return = l.recorder.Now()
	if err != nil {
		if ctx.Err() == nil {
			e.Outcome, e.Note = history.Unknown, err.Error()
			if refused, ok := errors.AsType[*twinclient.TrustError](err); ok && refused.Err == nil {
				e.Outcome = history.Denied
			}
			l.recorder.Add(e)
		}
		return
	}
	strays.open.Store(conn)
	e.Conn, e.Outcome = number, history.OK
	l.recorder.Add(e)
	p.told.Store(0)
	p.work(ctx, process, conn, number, random)
	over := history.Event{Kind: history.Closed, Process: process, Device: string(p.book.id), Conn: number, Call: l.recorder.Now()}
	if err := conn.Err(); err != nil {
		over.Note = err.Error()
	}
	over.Return = over.Call
	l.recorder.Add(over)
	conn.Close()
}

// work asks and follows notices.
func (p *panel) work(ctx context.Context, process string, conn *twinclient.Conn, number uint64, random *rand.Rand) {
	l := p.load
	notices, err := conn.Notices(p.book.desired.name)
	if err != nil {
		return
	}
	do := func(r request) answer {
		return l.record(r, process, p.book.id, func(r request) (answer, uint64) { return ask(ctx, conn, r), number })
	}
	for {
		began := time.Now()
		var a answer
		if l.quiet.Load() {
			select {
			case <-notices:
				a = p.follow(do)
			case <-conn.Done():
			case <-ctx.Done():
			}
		} else {
			select {
			case <-notices:
				a = p.follow(do)
			default:
				a = do(l.newRequest(p.choose(random), random))
			}
		}
		if conn.Err() != nil || !l.wait(ctx, began, a, random) {
			return
		}
	}
}

// follow gets what a notice was about.
func (p *panel) follow(do func(request) answer) answer {
	a := do(request{document: p.book.desired, kind: history.Get, noticed: true})
	if a.outcome == history.OK {
		p.told.Store(a.version)
	}
	return a
}

func (p *panel) choose(random *rand.Rand) *document {
	switch n := random.IntN(10); {
	case n < 4:
		return p.book.current
	case n < 7:
		return p.book.shared
	}
	d := p.book.life.Load()
	d.uses.Add(1)
	return d
}

// ask sends a request on a connection and reads its answer.
func ask(ctx context.Context, conn *twinclient.Conn, r request) answer {
	var doc twin.Document
	var err error
	switch r.kind {
	case history.Get:
		doc, err = conn.Get(ctx, r.document.name)
	case history.Put:
		doc, err = conn.Put(ctx, r.document.name, r.update())
	case history.Patch:
		doc, err = conn.Patch(ctx, r.document.name, r.update())
	}
	if err == nil {
		return r.answered(doc)
	}
	if mismatch, ok := errors.AsType[*twin.VersionError](err); ok {
		return answer{outcome: history.Mismatch, version: mismatch.Actual}
	}
	if errors.Is(err, twin.ErrDocumentNotFound) {
		return answer{outcome: history.Absent}
	}
	if errors.Is(err, twin.ErrPermissionDenied) {
		return answer{outcome: history.Denied, note: err.Error()}
	}
	if conn.Err() == nil { // the hub's own trouble; a refusal leaves the connection as it is
		return answer{outcome: history.Failed, note: err.Error()}
	}
	return answer{outcome: history.Unknown, note: err.Error()}
}

// Strays takes what a connection logs, and writes down messages that nothing on it had asked for. A
// connection that waits no longer has ended; what it is sent after that is no stray.
type strays struct {
	load    *load
	process string
	conn    uint64
	open    atomic.Pointer[twinclient.Conn]
}

// Enabled implements [slog.Handler].
func (s *strays) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements [slog.Handler].
func (s *strays) Handle(_ context.Context, r slog.Record) error {
	if conn := s.open.Load(); conn != nil && conn.Err() != nil {
		return nil
	}
	text := []string{r.Message}
	r.Attrs(func(a slog.Attr) bool {
		text = append(text, a.String())
		return true
	})
	now := s.load.recorder.Now()
	s.load.recorder.Add(history.Event{Kind: history.Stray, Process: s.process, Conn: s.conn, Note: strings.Join(text, " "), Call: now, Return: now})
	return nil
}

// WithAttrs implements [slog.Handler].
func (s *strays) WithAttrs([]slog.Attr) slog.Handler { return s }

// WithGroup implements [slog.Handler].
func (s *strays) WithGroup(string) slog.Handler { return s }
