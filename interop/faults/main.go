//go:build linux

// Faults shows that hubs which share a PostgreSQL are one hub to their clients, whatever happens to any of them: it
// kills, pauses, restarts and cuts off real processes under load, and checks what the clients were told.
//
//	scripts/faults [--time 60s | --operations 1000000] [--hubs N] [--store postgres|data] [--seed N]
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/internal/cli"
)

func main() { cli.Main(command()) }

// Where hubs keep their data.
const (
	storePostgres = "postgres"
	storeData     = "data"
)

func command() *cli.Command {
	var c Config
	return &cli.Command{
		Name: "faults",
		Long: `Show that several hubs on one PostgreSQL are one hub to their clients. Panels over
MQTT and apps over REST write to the same documents as fast as --rate says. All
they know is a plain TCP balancer in front of the hubs. Meanwhile, in random order,

  hubs          are killed (SIGKILL), restarted, and paused (SIGSTOP)
  PostgreSQL    is killed, all of its processes, and restarted; the connections on
                which hubs hear of each other are ended
  links         between balancer and hubs, and between hubs and PostgreSQL, are
                reset, cut, blocked, blocked for answers only, and slowed
  devices       connect to all hubs at once

Every request and its answer is written down. At the end it is checked that each
acknowledged write made one version, that no version is skipped, changed or lost,
that no get shows less than was known when it began, that nobody is answered on
a connection that didn't ask or has a newer one beside it, and that change notices
tell the last version. The rules and their checker are in interop/faults/check.
On some documents porcupine, which knows nothing of these rules, looks for an order
that explains all answers. The exit code is 1 when something was violated, and the
history is kept.

Needs Linux, and PostgreSQL's programs; as root, the server runs as another user.`,
		Flags: c.flags,
		Run:   c.run,
	}
}

// Config is what faults is told by flags. flags has the defaults.
type Config struct {
	Hub          string // the program to try
	Store        string // postgres or data
	Hubs         int
	Panels, Apps int
	Time         time.Duration // how long faults go on
	Operations   int           // how many requests there are at least
	Rate         int           // requests a second of all clients together at most; 0 = as many as go
	Calm         time.Duration // between two faults, at most
	Seed         uint64        // 0 = another one each time
	Samples      int           // documents for porcupine
	History      string        // file; empty = in the temporary folder, kept if something was violated
}

func (c *Config) flags(fs *pflag.FlagSet) {
	fs.StringVar(&c.Hub, "hub", "", "`file` of the program to try (scripts/faults builds it)")
	fs.StringVar(&c.Store, "store", storePostgres, "`postgres|data` where hubs keep what they have; data is a folder, for one hub")
	fs.IntVar(&c.Hubs, "hubs", 2, "hubs: 1 to 10; 1 with --store data")
	fs.IntVar(&c.Panels, "panels", 16, "devices, each with a panel: 1 to 500")
	fs.IntVar(&c.Apps, "apps", 16, "apps: 1 to 500")
	fs.DurationVar(&c.Time, "time", time.Minute, "how long faults go on at least; every kind happens once in any case")
	fs.IntVar(&c.Operations, "operations", 0, "how many requests are made at least")
	fs.IntVar(&c.Rate, "rate", 4000, "requests a second of all clients together at most; 0 = as many as they can")
	fs.DurationVar(&c.Calm, "calm", 2*time.Second, "longest time between two faults; two may happen at once")
	fs.Uint64Var(&c.Seed, "seed", 0, "seed of what is random; the race of clients stays one; 0 takes another one each time")
	fs.IntVar(&c.Samples, "samples", 40, "documents that porcupine looks at")
	fs.StringVar(&c.History, "history", "", "`file` for the history, which is kept then; without it, only that of a violation is kept")
}

// Validate says which flag is wrong.
func (c *Config) Validate() error {
	for _, f := range []struct {
		name          string
		n, least, max int
	}{
		{"--hubs", c.Hubs, 1, 10},
		{"--panels", c.Panels, 1, 500},
		{"--apps", c.Apps, 1, 500},
		{"--operations", c.Operations, 0, 1 << 30},
		{"--rate", c.Rate, 0, 1_000_000},
		{"--samples", c.Samples, 0, 1_000_000},
	} {
		if f.n < f.least || f.n > f.max {
			return cli.Usagef("%s is %d: expected %d to %d", f.name, f.n, f.least, f.max)
		}
	}
	switch {
	case c.Hub == "":
		return cli.Hint(cli.Usagef("no program to try"), "give --hub, or use scripts/faults, which builds it")
	case c.Store != storePostgres && c.Store != storeData:
		return cli.Usagef("--store is %q: expected %s or %s", c.Store, storePostgres, storeData)
	case c.Store == storeData && c.Hubs != 1:
		return cli.Hint(cli.Usagef("%d hubs on a data folder", c.Hubs), "a data folder is for one hub: add --hubs 1")
	case c.Time < 0 || c.Time > 24*time.Hour:
		return cli.Usagef("--time is %v: expected 0s to 24h", c.Time)
	case c.Calm < 0 || c.Calm > time.Hour:
		return cli.Usagef("--calm is %v: expected 0s to 1h", c.Calm)
	}
	return nil
}

// run does it all and prints a summary. All that it has started has ended when it returns.
func (c *Config) run(ctx context.Context, _ []string, stdout, stderr io.Writer) (err error) {
	if err := c.Validate(); err != nil {
		return err
	}
	if c.Hub, err = filepath.Abs(c.Hub); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "twinpanel-faults-")
	if err != nil {
		return fmt.Errorf("making a folder for data: %w", err)
	}
	r := &trial{
		config: c, dir: dir, stdout: stdout, stderr: stderr,
		seed: cmp.Or(c.Seed, rand.Uint64()), history: cmp.Or(c.History, filepath.Join(dir, "history")),
	}
	err = r.run(ctx)
	if ctx.Err() != nil {
		return errors.Join(fmt.Errorf("not all was tried: %w", context.Cause(ctx)), os.RemoveAll(dir))
	}
	if err != nil {
		return cli.Hint(err, "the history is %s; the hubs' logs are in %s", r.history, dir)
	}
	return os.RemoveAll(dir)
}
