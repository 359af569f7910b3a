// Figures measures the alarm as it ships: hub and panel are built and run as processes of their
// own, on loopback and in a temporary folder, with a simulated house instead of lines.
//
//	go run ./scripts/figures [-n ROUNDS] [--idle TIME]
//	go run ./scripts/figures beside [-n ROUNDS] [--idle TIME]
//
// The second command measures the panel beside what one would write in C or Python instead.
// Its figures are this computer's, under whatever else it does at the time. It asserts nothing.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/internal/cli"
)

func main() { cli.Main(command()) }

func command() *cli.Command {
	var c Config
	return &cli.Command{
		Name: "figures",
		Long: `Measure hub and panel, built as they ship, as processes on this computer: door to
siren, door to the document "current", tap on the phone to panel, tap to siren
off with the hub's notices and without them, disarm to silence, start, memory,
processor time when idle, and size. It takes some four seconds a round, and a
minute more. Needs Linux and the go command.

Journal and documents are in a temporary folder. Name a folder on the disk that
matters in the environment variable TMPDIR.`,
		Flags:    c.flags,
		Run:      c.run,
		Commands: peerCommands(),
	}
}

// Config is what figures is told by flags and environment. flags has the defaults.
type Config struct {
	Rounds int           // from arming to silence; as many starts of the panel
	Idle   time.Duration // 0 = leave it out
}

func (c *Config) flags(fs *pflag.FlagSet) {
	fs.IntVarP(&c.Rounds, "rounds", "n", 100, "rounds to measure, and starts of the panel: 1 to 10000")
	fs.DurationVar(&c.Idle, "idle", time.Minute, "how long to look at what hub and panel do when nothing happens: 0s to 1h; 0s leaves it out")
}

// Validate says which flag is wrong.
func (c *Config) Validate() error { return cmp.Or(checkRounds(c.Rounds), checkIdle(c.Idle)) }

func checkRounds(n int) error {
	if n < 1 || n > 10_000 {
		return cli.Usagef("--rounds is %d: expected 1 to 10000", n)
	}
	return nil
}

func checkIdle(d time.Duration) error {
	if d < 0 || d > time.Hour {
		return cli.Usagef("--idle is %v: expected 0s to 1h", d)
	}
	return nil
}

// checkSystem wants a system that tells of memory and processor time as Linux does.
func checkSystem(goos string) error {
	if goos == "linux" {
		return nil
	}
	return cli.Hint(fmt.Errorf("memory and processor time are read from Linux's /proc, and this is %s", goos),
		"run it on a Linux computer, best on the one that is to guard")
}

// run measures everything and prints the table. All that it has started has ended when it returns.
func (c *Config) run(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
	if err := cmp.Or(c.Validate(), checkSystem(runtime.GOOS)); err != nil {
		return err
	}
	dir, remove, err := makeFolder()
	if err != nil {
		return err
	}
	defer remove()
	fmt.Fprintln(stderr, "building")
	sizes, err := build(ctx, dir)
	var times table
	if err == nil {
		times, err = c.measure(ctx, dir, stderr)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("nothing is measured: %w", context.Cause(ctx))
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s on %s/%s with %d processors; rounds: %d\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), c.Rounds)
	return slices.Concat(times, sizes).print(stdout)
}

// makeFolder makes a folder for programs and data.
func makeFolder() (dir string, remove func(), err error) {
	dir, err = os.MkdirTemp("", "twinpanel-figures-")
	if err == nil {
		dir, err = filepath.Abs(dir) // TMPDIR may be relative, and programs run in dir
	}
	if err != nil {
		return "", nil, fmt.Errorf("making a folder for programs and data: %w", err)
	}
	return dir, func() { os.RemoveAll(dir) }, nil
}

// measure starts hub and panel from dir and measures all that needs them to run.
func (c *Config) measure(ctx context.Context, dir string, stderr io.Writer) (rows table, err error) {
	s, err := open(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		broken := err != nil && ctx.Err() == nil
		err = errors.Join(err, s.close(broken, stderr))
	}()

	fmt.Fprintf(stderr, "starting the panel %d times\n", c.Rounds)
	starts, err := s.measureStarts(ctx, c.Rounds)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(stderr, "opening the door %d times\n", 3*c.Rounds)
	rounds, err := s.measureRounds(ctx, c.Rounds)
	if err != nil {
		return nil, err
	}
	memory, err := s.measureMemory()
	if err != nil || c.Idle == 0 {
		return slices.Concat(rounds, starts, memory), err
	}
	fmt.Fprintf(stderr, "letting them idle for %v\n", c.Idle)
	idle, err := s.measureIdle(ctx, c.Idle)
	return slices.Concat(rounds, starts, memory, idle), err
}
