package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/hub/docstore/sqlite"
	"github.com/twinpanel/twinpanel/internal/cli"
)

func restoreCommand() *cli.Command {
	var at place
	var replace bool
	return &cli.Command{
		Name:  "restore",
		Args:  "FILE",
		Short: "Put a backup in a data folder, while no hub runs on it.",
		Long: `Put a backup that hub backup made in a data folder, which is made if need be. The
hub must not run. The backup is checked first, page by page; then the folder has all
of it, or, if that failed, what it had before. What it holds is printed as one JSON
object, in numbers.

All is then as it was at the time of the backup: panels obey the desired documents in
it, and tokens revoked, passwords changed and devices disabled since then are valid
again.

This is for a data folder. PostgreSQL has its own means, such as pg_restore.`,
		Flags: func(fs *pflag.FlagSet) {
			at.folderFlags(fs)
			fs.BoolVar(&replace, "replace", false, "do so also in a folder that has a hub's data, which is kept under another name")
			cli.FlagOnly(fs, "replace")
		},
		Run: func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
			if err := checkBackupArgs(&at, args[0]); err != nil {
				return err
			}
			c, replaced, err := sqlite.Restore(ctx, args[0], at.Data, replace)
			if err != nil {
				return err
			}
			if replaced != "" {
				kept := filepath.Join(at.Data, filepath.Base(replaced))
				fmt.Fprintf(stderr, "what was there is kept in %s; this brings it back:\n  hub restore %s --data %s --replace\n", kept, shellWord(kept), shellWord(at.Data))
			}
			fmt.Fprintln(stderr, "warning: panels obey the desired documents of the backup, and what was revoked since then is valid again")
			return printLine(stdout, contentLine(c))
		},
	}
}

// shellWord is an argument as a shell reads it.
func shellWord(text string) string {
	if strings.ContainsAny(text, " \t\n'\"\\$`*?[]{}()<>|&;#~!") {
		return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
	}
	return text
}
