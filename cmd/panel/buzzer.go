package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/buzzer"
	"github.com/twinpanel/twinpanel/internal/board"
)

// buzzerFlag is the flag of the buzzer's line.
func (c *Config) buzzerFlag(fs *pflag.FlagSet) {
	fs.StringVar(&c.Buzzer, "buzzer", "", "`LINE` of a buzzer that sounds while it is high, as in GPIO24: it beeps through delays and confirms arming and disarming")
}

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

// buzzerOff turns the buzzer's line off.
func (c *Config) buzzerOff(stdout io.Writer) error {
	line, err := board.OpenOutput(c.Buzzer, false)
	if err == nil {
		err = line.Close()
	}
	if err != nil {
		return fmt.Errorf("turning the buzzer off: %w", err)
	}
	fmt.Fprintf(stdout, "buzzer line %s is off\n", c.Buzzer)
	return nil
}
