//go:build linux

// Powercuts shows that the panel's journal survives power cuts: it kills the machine of a panel that is armed and disarmed
// without pause, takes the cache of its disk, and holds what the panel says at the next start against what it had said.
//
//	go run ./scripts/gpio-vm/powercuts [--cuts 20] [--arch amd64|arm64] [--seed N] [--prove]
//
// The machine is that of package vm, with the kernel's simulated GPIO and an ext4 file system; the hub is in this process.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/scripts/gpio-vm/vm"
)

func main() { cli.Main(command()) }

func command() *cli.Command {
	var c Config
	return &cli.Command{
		Name: "powercuts",
		Long: `Show that the panel survives power cuts. A virtual machine with the program panel,
a door and a siren is killed at random moments, while the panel is armed and
disarmed over a hub and by its own commands, and while it rings. In half of the cuts
the machine's disk loses what was in its cache; in some the kernel is reset. In a siege
nobody disarms, and each ring is cut off until the panel has none left.

After each start, before there is a network: the panel is what somebody was told that
it is, or what was asked for since; its journal is whole, of then or of now; the black
box can be explained; the file system needs no more than its own journal. A
disarmed panel never rings, one that rang goes on, and over all starts it rings
no longer than its rules allow, and not again when its rings are used up. The first
violation ends it with exit code 1.

With --prove the panel is built without the flushes that all this depends on, and
it is an error if that is not found out.

Needs what scripts/gpio-vm needs, and e2fsprogs.`,
		Flags: c.flags,
		Run:   c.run,
	}
}

// Config is what powercuts is told by flags and environment. flags has the defaults.
type Config struct {
	Cuts  int
	Arch  string // of the machine
	Cache string // folder for kernels
	Seed  uint64 // of what is random; 0 = another one each time
	Prove bool   // build a panel that forgets
}

func (c *Config) flags(fs *pflag.FlagSet) {
	fs.IntVar(&c.Cuts, "cuts", 20, "power cuts: 1 to 10000, and the rest of a siege; with --prove, at most so many")
	fs.StringVar(&c.Arch, "arch", "amd64", "`architecture` of the machine: "+strings.Join(vm.Architectures, " or "))
	fs.StringVar(&c.Cache, "cache", "", "`folder` for kernels; without it, one in the user's cache")
	fs.Uint64Var(&c.Seed, "seed", 0, "seed of what is random; when things happen is not; 0 takes another one each time")
	fs.BoolVar(&c.Prove, "prove", false, "try a panel that tells what is not on its disk: it must be found out")
}

// Validate says which flag is wrong.
func (c *Config) Validate() error {
	if c.Cuts < 1 || c.Cuts > 10_000 {
		return cli.Usagef("--cuts is %d: expected 1 to 10000", c.Cuts)
	}
	if !slices.Contains(vm.Architectures, c.Arch) {
		return cli.Usagef("--arch is %q: expected %s", c.Arch, strings.Join(vm.Architectures, " or "))
	}
	return nil
}

// run cuts the power again and again. No machine runs when it returns.
func (c *Config) run(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
	if err := c.Validate(); err != nil {
		return err
	}
	kernel, err := vm.FindKernel(ctx, c.Cache, c.Arch, stderr)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "twinpanel-powercuts-")
	if err != nil {
		return err
	}
	err = c.cuts(ctx, kernel, dir, stdout)
	if c.Prove {
		err = c.proof(err, stdout)
	} else if err != nil && ctx.Err() == nil {
		return cli.Hint(err, "the disk's image and the console's last lines are in %s", dir)
	}
	return errors.Join(err, os.RemoveAll(dir))
}

// cuts runs the stage.
func (c *Config) cuts(ctx context.Context, kernel *vm.Kernel, dir string, stdout io.Writer) (err error) {
	if c.Seed == 0 {
		c.Seed = rand.Uint64()
	}
	fmt.Fprintf(stdout, "%s, seed %d\n", c.Arch, c.Seed)
	overlay := ""
	if c.Prove {
		if overlay, err = forgetful(ctx, dir); err != nil {
			return err
		}
	}
	s, err := newStage(ctx, dir, kernel, overlay, rand.New(rand.NewPCG(c.Seed, 0)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	began := time.Now()
	for lives := 1; s.figures.cuts < c.Cuts && err == nil; lives++ {
		if lives%siegeEvery == 2 {
			err = s.siege(ctx)
		} else {
			err = s.live(ctx)
		}
		if err == nil && lives%20 == 0 {
			fmt.Fprintf(stdout, "%d power cuts in %v, no violation\n", s.figures.cuts, time.Since(began).Round(time.Second))
		}
	}
	if err == nil {
		err = s.survive(ctx)
	}
	s.figures.print(stdout, s.book.figures, time.Since(began))
	if err == nil {
		fmt.Fprintln(stdout, "violations: 0")
		return nil
	}
	return s.explain(err)
}

// proof is the outcome for a panel that forgets: a violation is what is wanted.
func (c *Config) proof(err error, stdout io.Writer) error {
	v, ok := errors.AsType[*violation](err)
	switch {
	case ok:
		fmt.Fprintf(stdout, "found out: %v\n", v)
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("a panel that doesn't wait for its disk came through %d power cuts: these are no good", c.Cuts)
}
