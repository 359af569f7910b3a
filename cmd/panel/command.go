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

	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/internal/durable"
	"github.com/twinpanel/twinpanel/internal/panel"
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
			ctx, cancel := context.WithTimeoutCause(ctx, commandTimeout, errNoAnswer)
			defer cancel()
			status, err := panel.Control(dir).Command(ctx, armed)
			if notRunning(err) {
				if err := panel.CommandOffline(dir, armed); err != nil {
					return withNextStep(err)
				}
				fmt.Fprintf(stdout, "%sed in the journal; no panel is running on %s\n", name, dir)
				return nil
			}
			if err != nil {
				return withNextStep(err)
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

var errNoAnswer = fmt.Errorf("the panel has not answered within %v", commandTimeout)

// notRunning says that nobody answers on the control socket, because there is none or it is a dead panel's.
func notRunning(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ECONNREFUSED)
}

// withNextStep adds to an error of a command what to do about it, where that is known.
func withNextStep(err error) error {
	if next := nextStep(err); next != "" {
		return cli.Hint(err, "%s", next)
	}
	return err
}

func nextStep(err error) string {
	switch {
	case errors.Is(err, errNoAnswer):
		return "see the panel's log; if it comes to life again it may still do what it was told"
	case errors.Is(err, durable.ErrLocked):
		return "a panel runs on this folder but doesn't answer on its socket: see its log; stopping it silences the siren"
	case errors.Is(err, fs.ErrNotExist):
		return "no panel was ever started with this --state-dir"
	case errors.Is(err, syscall.ENOTDIR):
		return "--state-dir is the folder that the panel was started with"
	case errors.Is(err, fs.ErrPermission):
		return "run this as the panel's user"
	case errors.Is(err, panel.ErrUnreadable):
		return "start the panel, which begins as its --on-corrupt says and keeps a copy of the journal; then run this again"
	}
	return ""
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
