package main

import (
	"errors"
	"log/slog"
	"os"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/internal/durable"
)

// dataFlag is the flag that every command has.
func dataFlag(fs *pflag.FlagSet, dir *string) {
	fs.StringVar(dir, "data", "", "`folder` with the passphrase and the phones that are signed in; required")
}

// checkData refuses a command that has no data folder.
func checkData(dir string) error {
	if dir == "" {
		return cli.Hint(cli.Usagef("--data is missing"), "name the folder that keeps the passphrase and the phones, as in --data ./data")
	}
	return nil
}

// unwritable adds to the error of writing to the data folder what to do about it.
func unwritable(err error) error {
	if errors.Is(err, durable.ErrLocked) { // which says so itself
		return err
	}
	return cli.Hint(err, "%s", dataHint(err))
}

func dataHint(err error) string {
	if errors.Is(err, syscall.ENOSPC) {
		return "make room on the disk"
	}
	return "name a folder that this user may write to"
}

// tryData tells the log if nothing can be written to the data folder. That is no reason not to serve: the alarm has to be seen.
func tryData(dir string, log *slog.Logger) {
	f, err := os.CreateTemp(dir, "try-*.tmp")
	if err == nil {
		err = errors.Join(f.Close(), os.Remove(f.Name()))
	}
	if err != nil {
		log.Warn("nothing can be written to --data: no phone can sign in, and notices come again after a restart", "error", err, "hint", dataHint(err))
	}
}
