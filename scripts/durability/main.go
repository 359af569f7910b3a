//go:build linux

// Durability shows that the hub keeps what it has acknowledged: it kills hubs under load, cuts their power, fills
// and breaks their disks, and holds what they have afterwards against what they had said.
//
//	go run ./scripts/durability [--kills N] [--power-cuts N] [--full-disks N] [--broken-disks N] [--hub FILE] [--seed N]
//
// Disks are ext4 images, mounted where no other process sees them, which only root may do.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/internal/cli"
)

func main() { cli.Main(command()) }

func command() *cli.Command {
	var c Config
	return &cli.Command{
		Name: "durability",
		Long: `Show that the hub keeps what it has acknowledged. Clients over REST, and over MQTT
at QoS 1, write to a hub as fast as they can, while commands add and remove
devices and tokens and make backups. At a random moment

  kill         hub and commands are killed (SIGKILL)
  power cut    its file system stops, and loses what was not on the disk
  full disk    nothing more fits on its disk
  broken disk  its disk fails the writes that the file system had accepted

Then it is started again, and each document is held against all that was sent
and answered: every acknowledged write is there, none is there twice, no version
is skipped, and nothing that was shown to anybody is gone; the hub's authorities
are the same, and the database's integrity check is clean. The first violation ends
it with exit code 1; the folder with the data is then kept.

Needs Linux, the go command, and, for all but kills, root and e2fsprogs. Data
are in a temporary folder; name a disk in the environment variable TMPDIR.`,
		Flags: c.flags,
		Run:   c.run,
	}
}

// Config is what durability is told by flags and environment. flags has the defaults.
type Config struct {
	Kills, PowerCuts, FullDisks, BrokenDisks int    // how often; 0 = leave it out
	Hub                                      string // the program; empty = built from this module
	Seed                                     uint64 // of what is random; 0 = another one each time
}

func (c *Config) flags(fs *pflag.FlagSet) {
	fs.IntVar(&c.Kills, "kills", 20, "kills: 0 to 10000")
	fs.IntVar(&c.PowerCuts, "power-cuts", 3, "power cuts: 0 to 10000")
	fs.IntVar(&c.FullDisks, "full-disks", 1, "disks to fill: 0 to 10000")
	fs.IntVar(&c.BrokenDisks, "broken-disks", 3, "disks to break: 0 to 10000; of three, two get well by themselves, one of these after the WAL could not be copied into the database")
	fs.StringVar(&c.Hub, "hub", "", "`file` of the program to try; without it, hub is built from this module")
	fs.Uint64Var(&c.Seed, "seed", 0, "seed of what is random; the clients' race stays one; 0 takes another one each time")
}

// maxRounds bounds each scenario.
const maxRounds = 10_000

// Validate says which flag is wrong.
func (c *Config) Validate() error {
	for _, f := range []struct {
		name string
		n    int
	}{{"--kills", c.Kills}, {"--power-cuts", c.PowerCuts}, {"--full-disks", c.FullDisks}, {"--broken-disks", c.BrokenDisks}} {
		if f.n < 0 || f.n > maxRounds {
			return cli.Usagef("%s is %d: expected 0 to %d", f.name, f.n, maxRounds)
		}
	}
	return nil
}

// A scenario does n rounds in dir, which is empty.
type scenario func(ctx context.Context, hub, dir string, n int, random *rand.Rand, f *figures) error

// run does all scenarios and prints a line for each. All that it has started has ended when it returns.
func (c *Config) run(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if c.PowerCuts+c.FullDisks+c.BrokenDisks > 0 {
		if err := enterNamespace(); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp("", "twinpanel-durability-")
	if err != nil {
		return fmt.Errorf("making a folder for program and data: %w", err)
	}
	program, err := c.program(ctx, dir)
	if err == nil {
		err = c.scenarios(ctx, program, dir, stdout)
	}
	if v, ok := errors.AsType[*violation](err); ok && ctx.Err() == nil {
		return cli.Hint(v, "the data as they were found are in %s", dir)
	}
	err = errors.Join(err, os.RemoveAll(dir))
	if ctx.Err() != nil {
		return fmt.Errorf("not all was tried: %w", context.Cause(ctx))
	}
	return err
}

// program is the path of the hub to try.
func (c *Config) program(ctx context.Context, dir string) (string, error) {
	if c.Hub != "" {
		return filepath.Abs(c.Hub)
	}
	program := filepath.Join(dir, "hub")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", program, "github.com/twinpanel/twinpanel/cmd/hub")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building hub: %w\n%s", err, out)
	}
	return program, nil
}

// A violation is a round in which the hub did what it must not do.
type violation struct {
	scenario string
	rounds   int // done
	seed     uint64
	err      error
}

func (v *violation) Error() string {
	return fmt.Sprintf("%s, after %d of them, seed %d: %v", v.scenario, v.rounds, v.seed, v.err)
}

func (v *violation) Unwrap() error { return v.err }

func (c *Config) scenarios(ctx context.Context, program, dir string, stdout io.Writer) error {
	seed := cmp.Or(c.Seed, rand.Uint64())
	for _, s := range []struct {
		name string
		n    int
		run  scenario
	}{
		{"kills", c.Kills, kills},
		{"power cuts", c.PowerCuts, powerCuts},
		{"full disks", c.FullDisks, fullDisks},
		{"broken disks", c.BrokenDisks, brokenDisks},
	} {
		if s.n == 0 {
			continue
		}
		f := &figures{scenario: s.name}
		own := filepath.Join(dir, s.name)
		if err := os.Mkdir(own, 0o700); err != nil {
			return err
		}
		if err := s.run(ctx, program, own, s.n, rand.New(rand.NewPCG(seed, 0)), f); err != nil {
			return &violation{s.name, f.rounds, seed, err}
		}
		if err := f.print(stdout); err != nil {
			return err
		}
	}
	return nil
}

// somewhile is how long a hub is under load before something happens to it.
func somewhile(random *rand.Rand) time.Duration {
	const shortest, longest = 20 * time.Millisecond, 1500 * time.Millisecond
	return shortest + time.Duration(random.Int64N(int64(longest-shortest)))
}
