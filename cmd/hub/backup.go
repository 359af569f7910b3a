package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/hub/docstore/sqlite"
	"github.com/twinpanel/twinpanel/internal/cli"
)

// A contentLine is what a backup holds, as the commands print it.
type contentLine struct {
	Format      int64 `json:"format"`
	Documents   int64 `json:"documents"`
	Devices     int64 `json:"devices"`
	Tokens      int64 `json:"tokens"`
	Authorities int64 `json:"authorities"`
	Bytes       int64 `json:"bytes"`
}

func backupCommand() *cli.Command {
	var at place
	return &cli.Command{
		Name:  "backup",
		Args:  "FILE",
		Short: "Copy all of a hub into one file, also while it runs.",
		Long: `Copy all of a hub into one new file: documents, devices, tokens, the hub's record and
its authorities with their keys. The hub may be running: every write that it had
answered when this began is in the copy. The file has its name when it is complete
and on the disk; each page of it has been read back. What it holds is printed as one
JSON object, in numbers. Certificate files given by --cert are not in it.

Whoever has the file can act as the hub: keep it where nobody else can read it. An
existing file is never overwritten: name it after the day.

This is for a data folder. PostgreSQL has its own means, such as pg_dump.`,
		Flags: func(fs *pflag.FlagSet) { at.folderFlags(fs) },
		Run: func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
			if err := checkBackupArgs(&at, args[0]); err != nil {
				return err
			}
			c, err := sqlite.Backup(ctx, at.Data, args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(stderr, "warning: whoever has %s can act as this hub: keep it as you keep a key\n", args[0])
			return printLine(stdout, contentLine(c))
		},
	}
}

func checkBackupArgs(at *place, file string) error {
	if err := at.checkFolder(); err != nil {
		return err
	}
	if file == "" { // a variable of a script that isn't set
		return cli.Hint(cli.Usagef("FILE is empty"), "name the file of the backup, as in hub-2026-11-30.db")
	}
	if isURL(file) {
		return cli.Hint(cli.Usagef("FILE: expected a file, not a URL"), databaseMeans)
	}
	return nil
}
