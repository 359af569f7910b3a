package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/internal/board"
	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/internal/panel"
	"github.com/twinpanel/twinpanel/siren"
)

// While the siren's line is in use, siren-off tries again: a panel that was just killed may not be gone yet.
const (
	busyPatience = 5 * time.Second
	busyRetry    = 100 * time.Millisecond
)

// sirenOffCommand is what a service runs when the panel has ended.
func sirenOffCommand() *cli.Command {
	var c Config
	return &cli.Command{
		Name:  "siren-off",
		Short: "Turn the siren's line off: for a service's stop command, when the panel has died.",
		Long: `Turn the siren's line off: for a service's stop command, when the panel has died.

While the line is in use it tries again for 5 s. A panel that runs is told by
"panel disarm". A buzzer's line is turned off after the siren's. In a simulated
house there is nothing to do.`,
		Flags: func(fs *pflag.FlagSet) {
			c.sirenFlags(fs)
			c.buzzerFlag(fs)
			c.simulateFlag(fs)
			stateDirFlag(fs, &c.StateDir)
		},
		Run: func(ctx context.Context, _ []string, stdout, _ io.Writer) error {
			if c.Simulate != "" {
				fmt.Fprintln(stdout, "nothing to do: the siren is simulated")
				return nil
			}
			if err := c.checkSiren(); err != nil {
				return err
			}
			if err := board.Init(); err != nil {
				return err
			}
			l := c.real()
			err := c.sirenOff(ctx, l.siren, l.soundsHigh)
			if err == nil {
				fmt.Fprintf(stdout, "siren line %s is off\n", c.Siren)
			}
			if c.Buzzer != "" {
				err = cmp.Or(err, c.buzzerOff(stdout))
			}
			return err
		},
	}
}

// sirenOff turns the siren's line off. While another program uses it, it asks whether that is a panel, and if not tries again.
func (c *Config) sirenOff(ctx context.Context, open func() (siren.Line, error), soundsHigh bool) error {
	ctx, cancel := context.WithTimeout(ctx, busyPatience)
	defer cancel()
	for {
		s := siren.New(siren.Config{Open: open, ActiveHigh: soundsHigh})
		err := s.Set(false)
		if err == nil {
			return s.Close()
		}
		s.Close() // its error would only repeat this one
		if _, busy := errors.AsType[*board.InUseError](err); !busy {
			return err
		}
		if _, asked := panel.Control(c.StateDir).Status(ctx); asked == nil {
			return cli.Hint(err, "a panel runs: panel disarm silences it")
		}
		select {
		case <-time.After(busyRetry):
		case <-ctx.Done():
			return cli.Hint(err, "if a panel runs, panel disarm silences it; otherwise end what uses the line, or cut the siren's supply")
		}
	}
}
