//go:build linux

// Service-vm starts the image of an installed computer, as ext4, in a virtual machine with Debian's kernel and a simulated
// GPIO chip: systemd is its first process, and its services are those of a release. What is looked at is up to the
// image: a line "proof: cut" on its console asks for a power cut, after which the machine is started again, and
// "proof: passed" ends the run well.
//
//	go run ./scripts/service-vm --image FILE
//
// scripts/installation makes such an image.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/scripts/gpio-vm/vm"
)

func main() { cli.Main(command()) }

// Config is what service-vm is told by flags. flags has the defaults.
type Config struct {
	Image   string        // file, raw, with an ext4 file system
	Log     string        // file for the whole console; empty = none
	Append  string        // for the kernel's command line
	Timeout time.Duration // of one start
}

func command() *cli.Command {
	var c Config
	return &cli.Command{
		Name:  "service-vm",
		Short: "Start an installed computer with its services in a virtual machine, cut its power, and start it again.",
		Flags: func(fs *pflag.FlagSet) {
			fs.StringVar(&c.Image, "image", "", "`file` with an ext4 file system: the computer's root; it is written to")
			fs.StringVar(&c.Log, "log", "", "`file` for all that comes on the console")
			fs.StringVar(&c.Append, "append", "quiet systemd.show_status=false", "`words` for the kernel's command line")
			fs.DurationVar(&c.Timeout, "timeout", 10*time.Minute, "longest life of the machine between two power cuts")
		},
		Run: c.run,
	}
}

const (
	mark   = "proof: " // begins a line of the image's own
	cut    = "cut"
	passed = "passed"
)

// run starts the machine until it has passed or failed.
func (c *Config) run(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
	if c.Image == "" {
		return cli.Hint(cli.Usagef("--image is missing"), "scripts/installation --vm makes one and tries it")
	}
	kernel, err := vm.FindKernel(ctx, "", "amd64", stderr)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "twinpanel-service-vm-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	i := vm.Initramfs{Kernel: kernel, Init: filepath.Join(dir, "init"), Modules: slices.Concat(vm.GPIOModules, vm.DriveModules)}
	if err := vm.Build(ctx, kernel.Arch, vm.Program{Package: "./scripts/service-vm/init"}, i.Init); err != nil {
		return err
	}
	initramfs := filepath.Join(dir, "initramfs")
	if err := i.Write(initramfs); err != nil {
		return err
	}
	log := io.Discard
	if c.Log != "" {
		f, err := os.Create(c.Log)
		if err != nil {
			return err
		}
		defer f.Close()
		log = f
	}
	config := vm.Config{Kernel: kernel, Initramfs: initramfs, Append: c.Append, Memory: 768, Drives: []vm.Drive{{File: c.Image}}}
	for {
		last, err := c.live(ctx, config, stdout, log)
		switch {
		case err != nil:
			return err
		case last == passed:
			return nil
		case last != cut:
			return fmt.Errorf("the machine ended with %q", last)
		}
		fmt.Fprintln(stdout, "ok: its power is cut")
	}
}

// live starts the machine and returns its last word, passed or cut. It prints what the image proves.
func (c *Config) live(ctx context.Context, config vm.Config, stdout, log io.Writer) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.Timeout, fmt.Errorf("the machine has said nothing final within %v", c.Timeout))
	defer cancel()
	words := make(chan string, 1)
	config.Line = func(line string) {
		fmt.Fprintln(log, line)
		// Other programs write to the console, too, in the middle of a line.
		_, word, ok := strings.Cut(line, mark)
		if !ok {
			return
		}
		if word == cut || word == passed || strings.HasPrefix(word, "FAIL") {
			select {
			case words <- word:
			default: // there was one
			}
			return
		}
		fmt.Fprintln(stdout, word)
	}
	machine, err := vm.Start(ctx, config)
	if err != nil {
		return "", err
	}
	ended := make(chan error, 1)
	go func() { ended <- machine.Wait() }()
	select {
	case word := <-words:
		if err := machine.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return "", err
		}
		<-ended
		return word, nil
	case err := <-ended:
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return "", err
	}
}
