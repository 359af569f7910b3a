//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
		Name: "gpio-vm",
		Long: `Show that the panel works on the kernel's own GPIO, without hardware: in a virtual
machine with Debian's kernel and its simulated GPIO chip (gpio-sim). The tests of
scripts/gpio-vm/cases, which run the program panel, and those of the packages
board, sensor and siren run inside, on amd64 also under the race detector.

The first run fetches the kernel and builds the simulator. Nothing is installed
and no root is needed. It fails if a test failed or was skipped, if there was none, and
if the machine ended or hung before it said how its tests went.

Needs Linux, the go command, and of Debian 12 the packages qemu-system-x86,
qemu-system-arm, gcc-12, gcc-aarch64-linux-gnu, libc6-dev, make, bc, xz-utils,
libelf1 and device-tree-compiler.`,
		Flags: c.flags,
		Run:   c.run,
	}
}

// Config is what gpio-vm is told by flags and environment. flags has the defaults.
type Config struct {
	Arch    []string // of the machines
	Cache   string   // folder for kernels
	Run     string   // which tests; empty = all
	Timeout time.Duration
}

func (c *Config) flags(fs *pflag.FlagSet) {
	fs.StringSliceVar(&c.Arch, "arch", vm.Architectures, "`architectures` of the machines")
	fs.StringVar(&c.Cache, "cache", "", "`folder` for kernels; without it, one in the user's cache. Remove it for a newer kernel")
	fs.StringVar(&c.Run, "run", "", "run the tests of scripts/gpio-vm/cases whose name matches this `expression`, and no others")
	fs.DurationVar(&c.Timeout, "timeout", 15*time.Minute, "longest life of a machine")
}

// Validate says which flag is wrong.
func (c *Config) Validate() error {
	for _, arch := range c.Arch {
		if !slices.Contains(vm.Architectures, arch) {
			return cli.Usagef("--arch is %q: expected %s", arch, strings.Join(vm.Architectures, " or "))
		}
	}
	if _, err := regexp.Compile(c.Run); err != nil {
		return cli.Usagef("--run: %w", err)
	}
	if c.Timeout <= 0 {
		return cli.Usagef("--timeout is %v: expected more than 0s", c.Timeout)
	}
	return nil
}

// run runs the tests on each architecture and prints what they print. No machine runs when it returns.
func (c *Config) run(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
	if err := c.Validate(); err != nil {
		return err
	}
	var failed []error
	for _, arch := range c.Arch {
		start := time.Now()
		passed, err := c.test(ctx, arch, stdout, stderr)
		fmt.Fprintf(stdout, "%s: %d tests passed, %s\n", arch, passed, time.Since(start).Round(time.Second))
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", arch, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failed...)
}

// test runs the tests in one machine and returns how many have passed.
func (c *Config) test(ctx context.Context, arch string, stdout, stderr io.Writer) (int, error) {
	kernel, err := vm.FindKernel(ctx, c.Cache, arch, stderr)
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "twinpanel-gpio-vm-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	initramfs := filepath.Join(dir, "initramfs")
	tests, err := c.pack(ctx, kernel, dir, initramfs)
	if err != nil {
		return 0, err
	}
	config := vm.Config{Kernel: kernel, Initramfs: initramfs, Memory: 1024}
	if arch == "arm64" {
		if config.DTB, err = raspberryPi5(ctx, config, dir); err != nil {
			return 0, err
		}
	}
	v := verdict{suites: tests}
	config.Line = func(line string) {
		fmt.Fprintln(stdout, line)
		v.hear(line)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.Timeout, fmt.Errorf("the machine has not ended within %v", c.Timeout))
	defer cancel()
	machine, err := vm.Start(ctx, config)
	if err != nil {
		return 0, err
	}
	err = machine.Wait()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return v.passed, errors.Join(err, v.err())
}

// pack builds what runs in the machine, packs it, and returns the names of the suites.
func (c *Config) pack(ctx context.Context, kernel *vm.Kernel, dir, initramfs string) ([]string, error) {
	i := vm.Initramfs{Kernel: kernel, Init: filepath.Join(dir, "init"), Modules: vm.GPIOModules, Files: map[string]string{}}
	if err := vm.Build(ctx, kernel.Arch, vm.Program{Package: "./scripts/gpio-vm/guest"}, i.Init); err != nil {
		return nil, err
	}
	var names []string
	for _, s := range suites(kernel.Arch, c.Run) {
		for inGuest, p := range s.programs {
			here := filepath.Join(dir, strings.ReplaceAll(inGuest, "/", "_"))
			if i.Files[inGuest] == here {
				continue // built for another suite
			}
			if err := vm.Build(ctx, kernel.Arch, p, here); err != nil {
				return nil, err
			}
			i.Files[inGuest] = here
		}
		program := s.job
		program.Args = slices.Concat(program.Args, []string{"-test.v", "-test.timeout", c.Timeout.String()})
		i.Job.Run = append(i.Job.Run, program)
		names = append(names, s.name())
	}
	return names, i.Write(initramfs)
}

// raspberryPi5 makes a device tree that says that the machine is a Raspberry Pi 5, which is all that a program can see of one.
func raspberryPi5(ctx context.Context, config vm.Config, dir string) (string, error) {
	file := filepath.Join(dir, "raspberry-pi-5.dtb")
	if err := config.DumpDTB(ctx, file); err != nil {
		return "", err
	}
	for _, property := range [][]string{
		{"model", "Raspberry Pi 5 Model B Rev 1.0"},
		{"compatible", "raspberrypi,5-model-b", "brcm,bcm2712"},
	} {
		command := exec.CommandContext(ctx, "fdtput", append([]string{"-t", "s", file, "/"}, property...)...)
		if out, err := command.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w\n%s", command, err, out)
		}
	}
	return file, nil
}
