package main

import (
	"context"
	"log/slog"
	"sync"

	"github.com/twinpanel/twinpanel/buzzer"
	"github.com/twinpanel/twinpanel/internal/board"
)

// buzz runs the buzzer beside the panel, until ctx ends or end is called, which turns it off. show tells it the state.
// Without a buzzer show is nil.
func (c *Config) buzz(ctx context.Context, log *slog.Logger) (show func(word string, faults bool), end func()) {
	if c.Buzzer == "" {
		return nil, func() {}
	}
	b := buzzer.New(buzzer.Config{
		Open:      func() (buzzer.Line, error) { return board.OpenOutput(c.Buzzer, false) },
		ExitDelay: c.Rules.ExitDelay,
		Logger:    log,
	})
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		if err := b.Run(ctx); err != nil {
			log.Warn("buzzer may not be off", "error", err)
		}
	})
	return b.Show, func() {
		cancel()
		running.Wait()
	}
}
