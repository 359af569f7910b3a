package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/internal/blackbox"
	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/internal/durable"
	"github.com/twinpanel/twinpanel/internal/panel"
)

// flushTimeout bounds how long explain waits for the running panel to write its latest lines.
const flushTimeout = 3 * time.Second

// maxLog is how large a log may be, in bytes; a black box has half a megabyte.
const maxLog = 8 << 20

// explainCommand is panel explain.
func explainCommand() *cli.Command {
	var dir, file string
	return &cli.Command{
		Name:  "explain",
		Args:  "[TIME]",
		Short: "Say why it rang, or why not, from the panel's black box.",
		Long: `Say why it rang, or why not, from the panel's black box.

It prints what the panel was told and what it did, and a few plain sentences at
the end: around the last ring, or around TIME, which is 23:10, "2026-11-21 23:10"
or 2026-11-21T23:10:04+01:00. What it prints is a transcript: "panel replay"
plays it with other rules, and in statemachine/testdata it is a test.`,
		Flags: func(fs *pflag.FlagSet) {
			stateDirFlag(fs, &dir)
			fs.StringVar(&file, "file", "", "`file` with a copy of a black box, instead of --state-dir")
			cli.FlagOnly(fs, "file")
		},
		Run: func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
			from, to, err := parseTime(args, time.Now())
			if err != nil {
				return err
			}
			log, where, err := readLog(ctx, dir, file, stderr)
			if err != nil {
				return err
			}
			text, err := blackbox.Explain(log, from, to)
			if errors.Is(err, blackbox.ErrEmpty) {
				return cli.Hint(fmt.Errorf("%s: %w", where, err), "a panel writes to it from its start on")
			}
			if err != nil {
				return cli.Hint(fmt.Errorf("%s: %w", where, err), "without a time, the last ring is explained")
			}
			_, err = io.WriteString(stdout, text)
			return err
		},
	}
}

// readLog is the black box in a file or, if none is named, in a state folder.
func readLog(ctx context.Context, dir, file string, stderr io.Writer) (log, where string, err error) {
	if file != "" {
		text, err := readTranscript(file)
		if err != nil {
			return "", file, err
		}
		if text, err = blackbox.Readable(text); err != nil {
			return "", file, noTranscript(file, err)
		}
		return text, file, nil
	}
	if err := checkStateDir(dir); err != nil {
		return "", dir, err
	}
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	if err := panel.Control(dir).Flush(ctx); err != nil && !notRunning(err) {
		fmt.Fprintf(stderr, "panel: what has happened in the last minutes may be missing: %v\n", err)
	}
	where = "the black box in " + dir
	log, err = blackbox.Read(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", where, cli.Hint(fmt.Errorf("%s: there is none", where), "a panel that runs with this --state-dir writes one")
	}
	if _, unread := errors.AsType[*fs.PathError](err); unread {
		return "", where, withNextStep(cli.Hint(err, "move it away: a panel begins a new one at its next start"))
	}
	if err != nil {
		return "", where, noTranscript(where, err)
	}
	return log, where, nil
}

// readTranscript is a file that may be one.
func readTranscript(file string) (string, error) {
	b, err := durable.Read(file, maxLog+1)
	if err != nil {
		return "", withNextStepForFile(err)
	}
	if len(b) > maxLog {
		return "", noTranscript(file, fmt.Errorf("it has more than %d MiB", maxLog>>20))
	}
	return string(b), nil
}

func withNextStepForFile(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.EISDIR):
		return cli.Hint(err, "name a black box, a file that panel explain has printed, or a story")
	case errors.Is(err, fs.ErrPermission):
		return cli.Hint(err, "run this as the panel's user, or as the owner of the file")
	case errors.Is(err, durable.ErrNotRegular):
		return cli.Hint(err, "save what it would tell to a file first, and name that file")
	}
	return err
}

// noTranscript is about a file that is none.
func noTranscript(where string, err error) error {
	return cli.Hint(fmt.Errorf("%s: %w", where, err), "a transcript is text as panel explain prints it; its language is in statemachine/testdata/README.md")
}

// parseTime reads the time that somebody wants to know of, in the local zone: what is told to the minute is the whole minute. The
// zero time is that of the last ring.
func parseTime(args []string, now time.Time) (from, to time.Time, err error) {
	if len(args) == 0 {
		return from, to, nil
	}
	for _, form := range []struct {
		layout string
		whole  time.Duration
	}{
		{"15:04", time.Minute}, {"15:04:05", time.Second},
		{"2006-01-02 15:04", time.Minute}, {"2006-01-02 15:04:05", time.Second},
		{"2006-01-02T15:04", time.Minute}, {"2006-01-02T15:04:05", time.Second},
		{time.RFC3339, time.Second},
	} {
		t, err := time.ParseInLocation(form.layout, args[0], now.Location())
		if err != nil {
			continue
		}
		if t.Year() == 0 { // today, or yesterday
			t = time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), 0, now.Location())
			if t.After(now) {
				t = t.AddDate(0, 0, -1)
			}
		}
		if t.After(now) {
			return t, t, cli.Usagef("%s has not come yet", args[0])
		}
		return t, t.Add(form.whole - time.Nanosecond), nil
	}
	return from, to, cli.Hint(cli.Usagef("%q is no time", args[0]), `write 23:10, "2026-11-21 23:10" or 2026-11-21T23:10:04+01:00`)
}
