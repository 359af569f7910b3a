package main

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/twinpanel/twinpanel/internal/cli"
)

// envFile has the flags of the service: it is EnvironmentFile of twinpanel-panel.service.
const envFile = "/etc/twinpanel/panel.env"

// errMissing is about a flag that has to be given.
var errMissing = errors.New("is missing")

// hintAtService makes a command that lacks a flag say where a computer with the service has it. Somebody who has set a
// variable of the panel knows of them.
func hintAtService(c *cli.Command, file string) {
	run := c.Run
	c.Run = func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
		err := run(ctx, args, stdout, stderr)
		if !errors.Is(err, errMissing) || slices.ContainsFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PANEL_") }) {
			return err
		}
		if _, e := os.Stat(file); e != nil {
			return err
		}
		return cli.Hint(err, "with the flags of the service, as root: (set -a; . %s; panel %s)", file, c.Name)
	}
}
