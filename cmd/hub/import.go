package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/importer"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/internal/cli"
)

// sourceToken is the environment variable with the source's token: whoever uses this computer can read a command line.
const sourceToken = "SCW_SECRET_KEY"

func importCommand() *cli.Command {
	var at place
	var c importer.Config
	var dryRun bool
	return &cli.Command{
		Name:  "import",
		Short: "Bring a hub over from Scaleway, or from another hub.",
		Long: `Bring a hub with its devices and documents into a data folder or a database, on
which no hub may run: ids, names, certificates, versions and settings are as at the
source, which is only read. Its token comes from the environment:

  read -rs SCW_SECRET_KEY && export SCW_SECRET_KEY
  hub import --from https://api.scaleway.com --data ./data

What was interrupted goes on when the same command is run again. What is the same on
both sides is left alone, of two versions the higher one stands, and nothing is
overwritten where both sides have the same version with other data. At the end
everything is read again and compared. What did not come over is said line by line on
stderr, what was done as one JSON object on stdout. The exit code is 0 if nothing is
missing.`,
		Flags: func(fs *pflag.FlagSet) {
			fs.StringVar(&c.Source, "from", "", "`URL` of the source's API, as in https://api.scaleway.com; required")
			at.flags(fs)
			fs.StringVar(&c.Hub, "hub", "", "`ID` of the hub, where the source has several")
			fs.StringVar(&c.CAFile, "ca", "", "`file` with certificates, in PEM, of the authorities that may vouch for the source; without it, those that the system trusts")
			fs.BoolVar(&dryRun, "dry-run", false, "say what would be done, and write nothing")
			fs.BoolVar(&c.Insecure, "insecure", false, "ask another computer in plain text: the token and all documents can be read on the way")
			cli.FlagOnly(fs, "from", "hub", "ca", "dry-run", "insecure")
		},
		Run: func(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
			if c.Source == "" {
				return cli.Hint(cli.Usagef("--from is missing"), "name the source, as in --from https://api.scaleway.com")
			}
			if err := at.check(); err != nil {
				return err
			}
			if c.Token = os.Getenv(sourceToken); c.Token == "" {
				return cli.Hint(errors.New("the environment has no "+sourceToken), "put the source's secret key, or a hub's token, into that variable")
			}
			c.Progress = func(line string) { fmt.Fprintln(stderr, line) }
			source, err := importer.Open(ctx, c)
			if err != nil {
				return err
			}
			report, err := runImport(ctx, source, at, dryRun, stderr)
			if ctx.Err() != nil {
				return cli.Hint(fmt.Errorf("interrupted: %w", context.Cause(ctx)), "run the same command again, and it goes on where it stopped")
			}
			if err != nil {
				return err
			}
			for _, f := range report.Findings {
				fmt.Fprintln(stderr, f)
			}
			if err := printLine(stdout, report); err != nil {
				return err
			}
			return report.Complete()
		},
	}
}

// runImport imports into a place, or says what that would do.
func runImport(ctx context.Context, source *importer.Source, at place, dryRun bool, stderr io.Writer) (report importer.Report, err error) {
	s, err := at.openWhole(ctx, opening{unchanged: dryRun, alone: true}, nil)
	if dryRun && errors.Is(err, docstore.ErrNoData) {
		return source.Plan(ctx, importer.Target{Documents: docstore.NewMemory(), Registry: registry.NewMemory()})
	}
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	at.sayKept(stderr, s.kept)
	target := importer.Target{Documents: s, Registry: s}
	if dryRun {
		return source.Plan(ctx, target)
	}
	return source.Import(ctx, target)
}
