package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/internal/board"
	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/internal/durable"
	"github.com/twinpanel/twinpanel/internal/panel"
	"github.com/twinpanel/twinpanel/siren"
)

// commandTimeout bounds what a running panel takes to answer: it waits up to 5 s for a slow disk.
const commandTimeout = 10 * time.Second

// armCommand is panel arm, or panel disarm.
func armCommand(armed bool) *cli.Command {
	name := "disarm"
	if armed {
		name = "arm"
	}
	var dir string
	return &cli.Command{
		Name:  name,
		Short: "Tell the panel on this computer to " + name + ".",
		Long: `Tell the panel on this computer to ` + name + `.

This rules until the document "desired" gets another version, which is when
somebody taps on the phone. Without a running panel it is written to the
journal, and the next start begins with it. It returns when it is on disk.`,
		Flags: func(fs *pflag.FlagSet) { stateDirFlag(fs, &dir) },
		Run: func(ctx context.Context, _ []string, stdout, _ io.Writer) error {
			if err := checkStateDir(dir); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(ctx, commandTimeout)
			defer cancel()
			status, err := panel.Control(dir).Command(ctx, armed)
			if notRunning(err) {
				if err := panel.CommandOffline(dir, armed); err != nil {
					return offlineHint(err)
				}
				fmt.Fprintf(stdout, "%sed in the journal; no panel is running on %s\n", name, dir)
				return nil
			}
			if err != nil {
				return err
			}
			fmt.Fprintln(stdout, describe(status))
			if slices.Contains(status.Faults, "journal") {
				return cli.Hint(fmt.Errorf("%sed, but the journal cannot be written: a power cut will lose it", name),
					"see the panel's log, and make room on the disk of %s", dir)
			}
			return nil
		},
	}
}

// notRunning says that nobody answers on the control socket.
func notRunning(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

func offlineHint(err error) error {
	switch {
	case errors.Is(err, durable.ErrLocked):
		return cli.Hint(err, "a panel runs on this folder but doesn't answer on its socket: see its log")
	case errors.Is(err, fs.ErrNotExist):
		return cli.Hint(err, "no panel was ever started with this --state-dir")
	case errors.Is(err, fs.ErrPermission):
		return cli.Hint(err, "run this as the panel's user")
	}
	return err
}

// describe is a status in one line: "armed; front closed, back open; faults: back".
func describe(s panel.Status) string {
	var doors []string
	for name, reading := range s.Doors {
		doors = append(doors, name+" "+reading)
	}
	slices.Sort(doors)
	line := s.State + "; " + strings.Join(doors, ", ")
	if len(s.Faults) > 0 {
		line += "; faults: " + strings.Join(s.Faults, ", ")
	}
	return line
}

// sirenOffCommand is what a service runs when the panel has died.
func sirenOffCommand() *cli.Command {
	var c Config
	return &cli.Command{
		Name:  "siren-off",
		Short: "Turn the siren's line off: for a service's stop command, when the panel has died.",
		Flags: func(fs *pflag.FlagSet) {
			fs.StringVar(&c.Siren, "siren", "", "`LINE` of the siren's relay, as in GPIO27")
			fs.StringVar(&c.SirenActive, "siren-active", "high", "level of the siren's line when it sounds: high or low")
		},
		Run: func(context.Context, []string, io.Writer, io.Writer) error {
			if c.Siren == "" {
				return cli.Usagef("--siren is missing")
			}
			if c.SirenActive != "high" && c.SirenActive != "low" {
				return cli.Usagef("--siren-active is %q: expected high or low", c.SirenActive)
			}
			if err := board.Init(); err != nil {
				return err
			}
			s := siren.New(siren.Config{
				Open:       func() (siren.Line, error) { return board.OpenOutput(c.Siren) },
				ActiveHigh: c.SirenActive == "high",
			})
			return errors.Join(s.Set(false), s.Close())
		},
	}
}
