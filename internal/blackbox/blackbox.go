// Package blackbox keeps what a panel was told and what it did, so that somebody can ask later why
// it rang. The log is a transcript (package statemachine/transcript): text that can be read as it is, played, played with
// other rules, and kept as a test.
//
// # What is kept
//
// Every input of the rules with the time since the panel's start and the wall clock's, and the answers: readings, versions of
// desired, commands, times that ran out, starts and orderly ends. A start has its number, counted in the log itself, and
// the kernel's id of the computer's start, which tells a power cut from a crash of the program. An input that says what the
// last of its kind said and changes nothing is left out: desired is read every two seconds.
//
// The log is two files in the panel's state folder, blackbox and the older blackbox.1, of 256 KiB each. A file begins with
// the rules and the state at that time, so it can be played by itself; therefore the next file begins while no delay and no ring
// runs.
//
// # What it costs
//
// What changes something is written and flushed at once, the rest after ten minutes at the latest. A house that is armed and
// disarmed twice a day and whose doors open forty times in between writes 5 KB a day and flushes 30 times, so the
// two files hold about a hundred days. A ring of three minutes adds 2.5 KB and 20 flushes. A start reads up to 512 KiB.
//
// # What it promises
//
// [Box.Record] formats a few lines and returns: a goroutine of the box's own does all that touches the disk. While the disk
// hangs, is full or fails, 64 KiB wait in memory; what finds no room is counted, and the log says how much is missing when it
// can be written again. After a power cut it has all up to its last flush; a torn end is cut off, and the log says so. Nothing
// that is wrong with the log is an error of the panel.
package blackbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/twinpanel/twinpanel/internal/panel"
	"github.com/twinpanel/twinpanel/statemachine"
	"github.com/twinpanel/twinpanel/statemachine/transcript"
)

// The files in the state folder.
const (
	Name    = "blackbox"
	OldName = "blackbox.1"
)

const (
	// segment is how large a file gets before the next begins, in bytes. A delay or ring that runs then still gets in.
	segment = 256 << 10
	// largest is how much of a file is read, in bytes: more than any that a box has written.
	largest = 3 * segment
	// room is how much waits in memory while the disk takes nothing, in bytes.
	room = 64 << 10
	// lazily is how long a line waits that changes nothing.
	lazily = 10 * time.Minute
	// crowd is how much of that is written sooner, in bytes.
	crowd = 16 << 10
	// again is the pause after a write that failed.
	again = time.Minute
	// patience is how long Close waits for the disk.
	patience = 5 * time.Second
)

// Config is what a box needs.
type Config struct {
	Dir   string // the panel's state folder
	House transcript.House
	// Past is told once, from Run's goroutine, what was before this start, and the start itself at the end. nil = nobody.
	Past   func([]panel.Transition)
	Logger *slog.Logger // nil = silent
}

// A Box is the black box of one run of a panel.
type Box struct {
	config Config
	log    *slog.Logger
	write  func(path string, at int64, data []byte) error // appendTo, but for tests

	began   chan struct{} // closed at the first Record
	wake    chan struct{} // one slot: something wants to be on the disk
	dirty   chan struct{} // one slot: something has time
	flushes chan chan error
	closing chan struct{}
	done    chan struct{} // closed when Run returns

	disk // of Run's goroutine

	mu sync.Mutex // held for moments: the loop of the panel takes it
	lines
}

// New makes a box and touches no disk.
func New(c Config) *Box {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Past == nil {
		c.Past = func([]panel.Transition) {}
	}
	return &Box{
		config:  c,
		log:     c.Logger,
		write:   appendTo,
		began:   make(chan struct{}),
		wake:    make(chan struct{}, 1),
		dirty:   make(chan struct{}, 1),
		flushes: make(chan chan error),
		closing: make(chan struct{}),
		done:    make(chan struct{}),
		disk:    disk{path: filepath.Join(c.Dir, Name), old: filepath.Join(c.Dir, OldName)},
		lines:   lines{house: c.House, last: map[string]statemachine.Event{}},
	}
}

// Record takes a step of the panel. It doesn't wait for the disk. The first one is the start.
func (b *Box) Record(s panel.Step) {
	b.mu.Lock()
	defer b.mu.Unlock()
	first := b.first == nil
	b.record(s)
	switch {
	case first:
		close(b.began)
	case len(s.Notes) > 0, s.Before.Saved() != s.After.Saved(), len(b.now)+len(b.next) > crowd:
		signal(b.wake)
	case len(b.now)+len(b.next) > 0:
		signal(b.dirty)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run does the work of the disk until Close is called. It looks at what is there first.
func (b *Box) Run() {
	defer close(b.done)
	select {
	case <-b.began: // nothing comes between the panel's start and guarding
	case <-b.closing:
		return
	}
	past, run := b.load()
	b.mu.Lock()
	start := b.begin(run, b.good)
	b.mu.Unlock()
	b.config.Past(append(past, start))
	b.flush()

	due := time.NewTimer(lazily)
	due.Stop()
	waiting := false
	for {
		var reply chan error
		select {
		case <-b.dirty:
			if !waiting {
				waiting = true
				due.Reset(lazily)
			}
			continue
		case <-b.wake:
		case <-due.C:
		case reply = <-b.flushes:
		case <-b.closing:
			b.flush()
			return
		}
		err := b.flush()
		if reply != nil {
			reply <- err
		}
		waiting = err != nil
		due.Stop()
		if waiting {
			due.Reset(again)
		}
	}
}

// Flush writes what waits in memory, and returns when it is on the disk.
func (b *Box) Flush(ctx context.Context) error {
	reply := make(chan error, 1)
	select {
	case b.flushes <- reply:
	case <-ctx.Done():
		return ctx.Err()
	case <-b.done:
		return panel.ErrStopped
	}
	select {
	case err := <-reply:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close writes that the panel has stopped, and waits for the disk for 5 s at most. It is called once, behind the last Record,
// when Run has been called.
func (b *Box) Close() {
	b.mu.Lock()
	b.stop()
	b.mu.Unlock()
	close(b.closing)
	slow := time.NewTimer(patience)
	defer slow.Stop()
	select {
	case <-b.done:
	case <-slow.C:
		b.log.Warn("black box has not been written to its end: the disk does not answer")
	}
}

// flush brings what waits to the disk. What it could not write waits on.
func (b *Box) flush() error {
	err := b.flushOnce()
	if errors.Is(err, errGone) {
		b.mu.Lock()
		b.dropped += events(b.now) + events(b.next)
		b.now, b.next, b.size, b.gap = nil, nil, 0, true
		b.catchUp()
		b.mu.Unlock()
		b.good = 0
		err = b.flushOnce()
	}
	switch {
	case err != nil && b.trouble == nil:
		b.log.Warn("black box cannot be written; what happens now may be missing in it", "error", err)
	case err == nil && b.trouble != nil:
		b.log.Info("black box can be written again")
	}
	b.trouble = err
	return err
}

func (b *Box) flushOnce() error {
	b.mu.Lock()
	now, next := b.now, b.next
	b.now, b.next, b.writing = nil, nil, len(now)+len(next)
	b.mu.Unlock()
	now, next, err := b.put(b.write, now, next)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writing = 0
	if err != nil { // before what came meanwhile
		if next != nil {
			b.now, b.next = now, append(next, b.now...)
		} else {
			b.now = append(now, b.now...)
		}
		return err
	}
	if b.gap {
		b.catchUp()
		if len(b.now)+len(b.next) > 0 {
			signal(b.wake)
		}
	}
	return nil
}

// remark is the wall clock's time and more behind an event.
func remark(t time.Time, format string, args ...any) string {
	return transcript.Remark(t) + " " + fmt.Sprintf(format, args...)
}

// events counts those in a text.
func events(text []byte) int {
	return bytes.Count(text, []byte("\n")) - bytes.Count(text, []byte("\n    "))
}
