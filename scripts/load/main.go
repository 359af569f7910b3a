//go:build linux

// Load measures how many panels a hub carries, and how fast, beside what one would use in its place.
//
//	go run ./scripts/load [--rows NAME,…] [-n RUNS] [--time TIME] [--short]
//
// Everything is a process of its own on this computer: the hub as it ships, mosquitto with a program behind it that answers
// what panels ask, PostgreSQL, the bare store, and the generator, which is package panels.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/scripts/load/panels"
)

func main() { cli.Main(command()) }

func command() *cli.Command {
	var c Config
	return &cli.Command{
		Name: "load",
		Long: `Measure the hub beside its peers, in alternating runs of one go:

` + rowHelp() + `
The figures are medians of all runs, each with half of the distance between its
quartiles as the noise, and their ratio. A row that is behind its peer, or misses
its target, says so, and is no failure. A failure is an answer that is wrong, or a row
that can't be measured.

Needs Linux, the go command, mosquitto and PostgreSQL, and more open files than
usual, which root may have. Data are in a temporary folder: name a folder on the
disk that matters in the environment variable TMPDIR.`,
		Flags:    c.flags,
		Run:      c.run,
		Commands: helpers(),
	}
}

// Config is what load is told by flags and environment. flags has the defaults.
type Config struct {
	Rows  []string      // names of rows; empty = all
	Runs  int           // of each side of a row
	Time  time.Duration // of a run
	Short bool          // once, with few panels
}

func (c *Config) flags(fs *pflag.FlagSet) {
	fs.StringSliceVar(&c.Rows, "rows", nil, "`names` of what to measure, of the list above, with commas between; all without it")
	fs.IntVarP(&c.Runs, "runs", "n", 10, "runs of each side of a row, 1 to 100; what needs ten thousand panels takes a third as many")
	fs.DurationVar(&c.Time, "time", time.Second, "how long a run is, 100ms to 1m; some take a fixed multiple")
	fs.BoolVar(&c.Short, "short", false, "measure everything once, with few panels, in about a minute: to see that it works")
}

// Validate says which flag is wrong.
func (c *Config) Validate() error {
	for _, name := range c.Rows {
		if !slices.ContainsFunc(rows, func(r row) bool { return r.name == name }) {
			return cli.Usagef("--rows has %q: expected of %s", name, strings.Join(rowNames(), ", "))
		}
	}
	switch {
	case c.Runs < 1 || c.Runs > 100:
		return cli.Usagef("--runs is %d: expected 1 to 100", c.Runs)
	case c.Time < 100*time.Millisecond || c.Time > time.Minute:
		return cli.Usagef("--time is %v: expected 100ms to 1m", c.Time)
	}
	return nil
}

// run measures and prints the table. All that it has started has ended when it returns.
func (c *Config) run(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
	if err := c.Validate(); err != nil {
		return err
	}
	began := time.Now()
	size := full
	if c.Short {
		size, c.Runs, c.Time = short, 1, shortTime
	}
	raiseFileLimit(size.files())
	dir, err := os.MkdirTemp("", "twinpanel-load-")
	if err != nil {
		return fmt.Errorf("making a folder for programs and data: %w", err)
	}
	defer os.RemoveAll(dir)
	s := &stage{dir: dir, size: size, runs: c.Runs, time: c.Time, progress: stderr}
	err = s.measure(ctx, c.Rows, began)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("not all is measured: %w", context.Cause(ctx))
	case err != nil:
		return err
	}
	fmt.Fprintf(stdout, "%s on %s/%s with %d processors; runs: %d of %v; load %s; %.0f s in all\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH,
		runtime.NumCPU(), c.Runs, c.Time, loadAverage(), time.Since(began).Seconds())
	return errors.Join(s.table.print(stdout), s.printMillion(stdout), printLegend(stdout))
}

// measure measures the rows of these names; all if there are none.
func (s *stage) measure(ctx context.Context, names []string, began time.Time) error {
	if err := s.build(ctx); err != nil {
		return err
	}
	for _, r := range rows {
		if len(names) > 0 && !slices.Contains(names, r.name) {
			continue
		}
		fmt.Fprintf(s.progress, "%4.0fs %s\n", time.Since(began).Seconds(), r.name)
		if err := r.measure(s, ctx); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	return nil
}

// helpers are the commands that load calls itself by, to have its parts as processes of their own.
func helpers() []*cli.Command {
	var from responder
	var bare bareStore
	return []*cli.Command{
		{
			Name:  "generate",
			Short: "for load itself: the generator, a job as JSON on stdin, its result on stdout",
			Run: func(ctx context.Context, _ []string, stdout, _ io.Writer) error {
				return panels.Serve(ctx, os.Stdin, stdout)
			},
		},
		{Name: "respond", Short: "for load itself: answer panels behind a broker", Flags: from.flags, Run: from.run},
		{Name: "store", Short: "for load itself: write to a store as a hub does", Flags: bare.flags, Run: bare.run},
	}
}
