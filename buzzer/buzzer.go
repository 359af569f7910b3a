// Package buzzer beeps over an output line what an alarm panel does, for somebody at the
// door: to hurry through a delay, and that arming and disarming have worked.
//
// It is told the state and never keeps anybody waiting: a [Buzzer] has a goroutine of its
// own, Run, which owns the line. The line is driven low before anything else, while there is
// nothing to beep, and at the end. One that is lost is opened again, for ever.
//
// Nothing depends on it. A buzzer that does not work is told to the log, once.
package buzzer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// A Line is one output line. One goroutine uses it.
type Line interface {
	// Set drives the line: true is high.
	Set(high bool) error
	// Close releases the line.
	Close() error
}

const (
	reopenPace = time.Second      // between two attempts to open the line
	checkIdle  = 10 * time.Second // how often a silent line is driven low again
)

// Config says how a buzzer is wired, and when it has to hurry.
type Config struct {
	// Open opens the line, low: at the start of Run, and again after each loss. The buzzer
	// sounds while it is high. Required.
	Open func() (Line, error)
	// ExitDelay is how long an exit delay lasts.
	ExitDelay time.Duration
	// Logger gets a line when the buzzer is lost and when it is back. nil = silent.
	Logger *slog.Logger
}

// A Buzzer is a buzzer behind an output line. Its uses are Run, and Show from one other goroutine.
type Buzzer struct {
	config Config
	next   chan pattern // the last one wins

	shown string // the state shown last; Show's own

	// Run's own.
	line   Line      // nil = lost
	opened time.Time // the last attempt to open it
	lost   bool      // which the log knows
}

// New returns a buzzer that is silent. It touches no hardware.
func New(c Config) *Buzzer {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Buzzer{config: c, next: make(chan pattern, 1)}
}

// Show beeps what has come of the panel's state, one of the words disarmed, exit_delay, armed, entry_delay, ringing and
// silenced, or empty when it is not known; and, when that is armed, whether the panel has faults. What is known first is
// not confirmed, since nobody at the door has asked for it. Show does not wait.
func (b *Buzzer) Show(state string, faults bool) {
	p := patternFor(b.shown, state, faults, b.config.ExitDelay)
	b.shown = state
	select {
	case <-b.next: // too late for that one
	default:
	}
	b.next <- p // there is room: only this goroutine sends
}

// Run drives the line until ctx ends, then turns the buzzer off and releases the line; its error is that of doing so.
func (b *Buzzer) Run(ctx context.Context) error {
	b.set(false)
	var p pattern
	for ctx.Err() == nil {
		p = b.play(ctx, p)
	}
	if b.line == nil {
		return nil
	}
	err := errors.Join(b.line.Set(false), b.line.Close())
	if err != nil {
		return fmt.Errorf("turning the buzzer off: %w", err)
	}
	return nil
}

// play beeps a pattern and is silent afterwards. It returns the next one as soon as there is one.
func (b *Buzzer) play(ctx context.Context, p pattern) (next pattern) {
	for _, part := range p {
		for n := 0; part.times == endless || n < part.times; n++ {
			b.set(true)
			if next, over := b.wait(ctx, part.beep); over {
				return next
			}
			b.set(false)
			if next, over := b.wait(ctx, part.pause); over {
				return next
			}
		}
	}
	for {
		b.set(false)
		if next, over := b.wait(ctx, checkIdle); over {
			return next
		}
	}
}

// wait lets time pass. It is over before that when there is something else to beep, or ctx ends.
func (b *Buzzer) wait(ctx context.Context, d time.Duration) (next pattern, over bool) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return nil, true
	case next = <-b.next:
		return next, true
	case <-t.C:
		return nil, false
	}
}

// set drives the line, opened if need be and due.
func (b *Buzzer) set(on bool) {
	if b.line == nil {
		if !b.opened.IsZero() && time.Since(b.opened) < reopenPace {
			return
		}
		b.opened = time.Now()
		line, err := b.config.Open()
		if err != nil {
			b.fail(fmt.Errorf("opening buzzer line: %w", err))
			return
		}
		b.line = line
	}
	if err := b.line.Set(on); err != nil {
		b.fail(fmt.Errorf("driving buzzer line: %w", err))
		b.line.Close() // its error would only repeat that the line is lost
		b.line = nil
		return
	}
	if b.lost {
		b.lost = false
		b.config.Logger.Info("buzzer line back")
	}
}

func (b *Buzzer) fail(err error) {
	if !b.lost {
		b.lost = true
		b.config.Logger.Warn("buzzer line lost", "error", err)
	}
}
