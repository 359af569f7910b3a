package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/hub/copier"
	"github.com/twinpanel/twinpanel/internal/cli"
)

func copyCommand() *cli.Command {
	var from, to string
	return &cli.Command{
		Name:  "copy",
		Short: "Copy all of a hub to another place: a data folder or PostgreSQL.",
		Long: `Copy all of a hub from one place to another, each a data folder or the URL of a
PostgreSQL database: documents with their versions, devices, tokens, the hub's
record and its authorities with their keys.

  hub copy --from ./data --to postgres://hub@db.example/twins
  hub copy --from postgres://hub@db.example/twins --to ./data

No hub may run on either place: stop all of them first. The source is only read. The
destination must be new or empty; authorities count, too, which a hub that was
started there with TLS has left. At the end both are read completely and compared;
what was found is printed as one JSON object, in numbers and as the SHA-256 of
everything. The exit code is 0 if both hold the same.

No hub starts on a copy that was cut off; the same command starts over. From its end
on, run the hub on one of the two places alone: what panels write goes to that one.

` + passwordAdvice,
		Flags: func(fs *pflag.FlagSet) {
			fs.StringVar(&from, "from", "", "`folder or URL` of the hub's place; required")
			fs.StringVar(&to, "to", "", "`folder or URL` of the place to copy it to; required")
		},
		Run: func(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
			a, err := copyPlace("--from", from, "name where the hub is, as in --from ./data")
			if err != nil {
				return err
			}
			b, err := copyPlace("--to", to, "name the place to copy the hub to, as in --to postgres://USER@HOST/DATABASE")
			if err != nil {
				return err
			}
			if a.isSame(b) {
				return cli.Hint(cli.Usagef("--from and --to are the same place"), "name another one for the copy")
			}
			report, err := runCopy(ctx, a, b, stderr)
			if err != nil && ctx.Err() != nil {
				return cli.Hint(fmt.Errorf("interrupted: %w", context.Cause(ctx)), "run the same command again, which starts over")
			}
			_, differ := errors.AsType[*copier.DifferenceError](err)
			if err != nil && !differ {
				return err
			}
			if err := printLine(stdout, report); err != nil {
				return err
			}
			if differ {
				return cli.Hint(err, "somebody has written meanwhile: stop all hubs and commands on both places, and run the same command again")
			}
			fmt.Fprintf(stderr, "from now on start the hub on %s alone\n", b)
			return nil
		},
	}
}

// copyPlace reads one of the flags of hub copy.
func copyPlace(flag, text, hint string) (place, error) {
	if text == "" {
		return place{}, cli.Hint(cli.Usagef("%s is missing", flag), "%s", hint)
	}
	p, err := parsePlace(text)
	if err != nil {
		return place{}, cli.Usagef("%s: %w", flag, err)
	}
	return p, nil
}

func runCopy(ctx context.Context, from, to place, stderr io.Writer) (report copier.Report, err error) {
	source, err := from.openWhole(ctx, opening{unchanged: true, alone: true}, nil)
	if err != nil {
		return report, fmt.Errorf("source: %w", err)
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	destination, err := to.open(ctx, opening{alone: true, copying: true}, nil)
	if err != nil {
		return report, fmt.Errorf("destination: %w", err)
	}
	defer func() { err = errors.Join(err, destination.Close()) }()
	report, err = copier.Copy(ctx, source, destination, func(line string) { fmt.Fprintln(stderr, line) }, func(ctx context.Context) error {
		return cmp.Or(source.checkAlone(ctx), destination.checkAlone(ctx))
	})
	switch {
	case errors.Is(err, copier.ErrNotEmpty):
		return report, cli.Hint(err, "name a new folder or an empty database: a copy overwrites nothing")
	case errors.Is(err, copier.ErrSame):
		return report, cli.Hint(err, "one is the other, or was copied from it before; for a new copy name a new folder or an empty database")
	}
	if _, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); err != nil && !ok {
		err = cli.Hint(err, "the same command starts over")
	}
	return report, err
}
