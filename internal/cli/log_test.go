package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A pipe is a writer whose reader may stop reading or go away.
type pipe struct {
	mu    sync.Mutex
	b     strings.Builder
	gone  error         // what writes fail with
	stuck chan struct{} // writes wait until it is closed; nil = they don't
	slow  time.Duration // how long each write takes
}

func (p *pipe) Write(line []byte) (int, error) {
	p.mu.Lock()
	stuck, slow := p.stuck, p.slow
	p.mu.Unlock()
	if stuck != nil {
		<-stuck
	}
	time.Sleep(slow)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone != nil {
		return 0, p.gone
	}
	return p.b.Write(line)
}

// read returns what was written since the last time, without times.
func (p *pipe) read() string {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.b.Reset()
	var b strings.Builder
	for line := range strings.Lines(p.b.String()) {
		_, rest, _ := strings.Cut(line, " ")
		b.WriteString(rest)
	}
	return b.String()
}

// lines are those of a logger that was told from i up to before j.
func lines(i, j int) string {
	var b strings.Builder
	for ; i < j; i++ {
		fmt.Fprintf(&b, "level=INFO msg=opened n=%d\n", i)
	}
	return b.String()
}

func TestLoggerWritesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pipe
		log, stop := NewLogger(&p)
		for i := range 2 * maxQueued {
			log.Info("opened", "n", i)
			if i%maxQueued == 0 {
				synctest.Wait()
			}
		}
		stop()
		if got, want := p.read(), lines(0, 2*maxQueued); got != want {
			t.Errorf("got %d bytes, want %d in order:\n%.200s", len(got), len(want), got)
		}
		log.Info("after the end")
		if got := p.read(); got != "" {
			t.Errorf("written after the end: %s", got)
		}
	})
}

func TestLoggerNeverWaitsForAStuckReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipe{stuck: make(chan struct{})}
		log, stop := NewLogger(p)
		began := time.Now()
		log.Info("opened", "n", 0)
		synctest.Wait() // it is on its way, for ever
		for i := range maxQueued + 7 {
			log.Info("opened", "n", i+1)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("the caller waited %v", took)
		}
		close(p.stuck)
		if got, want := p.read(), lines(0, maxQueued+1)+"level=WARN msg=\"log lines dropped\" lines=7\n"; got != want {
			t.Errorf("got %d bytes, ending\n%s\nwant %d", len(got), got[max(0, len(got)-200):], len(want))
		}
		log.Info("opened", "n", 1)
		stop()
		if got, want := p.read(), lines(1, 2); got != want {
			t.Errorf("afterwards got %q, want %q", got, want)
		}
	})
}

func TestLoggerSaysHowManyLinesFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipe{gone: syscall.EPIPE}
		log, stop := NewLogger(p)
		for i := range 5 {
			log.Info("opened", "n", i)
			synctest.Wait()
		}
		p.mu.Lock()
		p.gone = nil
		p.mu.Unlock()
		log.Info("opened", "n", 5)
		stop()
		if got, want := p.read(), "level=WARN msg=\"log lines dropped\" lines=5\n"+lines(5, 6); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestStopGivesASlowReaderAMoment(t *testing.T) {
	for _, tt := range []struct {
		name string
		pipe func() *pipe // made in the bubble
		want string
		took time.Duration
	}{
		{"stuck", func() *pipe { return &pipe{stuck: make(chan struct{})} }, "", flushWithin},
		{"too slow", func() *pipe { return &pipe{slow: flushWithin * 2 / 3} }, lines(0, 1), flushWithin},
		{"slow", func() *pipe { return &pipe{slow: flushWithin / 8} }, lines(0, 4), flushWithin / 2},
		{"gone", func() *pipe { return &pipe{gone: io.ErrClosedPipe} }, "", 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := tt.pipe()
			log, stop := NewLogger(p)
			for i := range 4 {
				log.Info("opened", "n", i)
			}
			began := time.Now()
			stop()
			took := time.Since(began)
			if got := p.read(); took != tt.took || got != tt.want {
				t.Errorf("%s: after %v got %q; want %q after %v", tt.name, took, got, tt.want, tt.took)
			}
			if p.stuck != nil {
				close(p.stuck)
			}
			time.Sleep(time.Minute) // for the goroutine that was given up
		})
	}
}

// A program that failed ends, so that it can be started again, even when nobody reads why.
func TestRunEndsWithAStuckReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipe{stuck: make(chan struct{})}
		defer close(p.stuck)
		root := &Command{Name: "hub", Run: func(context.Context, []string, io.Writer, io.Writer) error { return errors.New("broken") }}
		began := time.Now()
		if got := Run(t.Context(), root, nil, new(bytes.Buffer), p); got != ExitFailed {
			t.Errorf("got code %d, want %d", got, ExitFailed)
		}
		if took := time.Since(began); took != flushWithin {
			t.Errorf("ended after %v, want %v", took, flushWithin)
		}
	})
}
