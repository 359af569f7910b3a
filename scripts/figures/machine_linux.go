package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/scripts/gpio-vm/job"
	"github.com/twinpanel/twinpanel/scripts/gpio-vm/vm"
)

// measureEdges runs the command edges in a virtual machine with the kernel's GPIO simulator. The panel's journal is
// there on ext4, on a disk whose flushes this computer carries out.
func measureEdges(ctx context.Context, dir string, rounds int, stderr io.Writer) (*edgeReport, error) {
	kernel, err := vm.FindKernel(ctx, "", runtime.GOARCH, stderr)
	if err != nil {
		return nil, err
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	image := vm.Initramfs{
		Kernel: kernel, Init: in("init"), Modules: slices.Concat(vm.GPIOModules, vm.DriveModules),
		Files: map[string]string{"/bin/figures": in("figures"), "/bin/panel": in("panel"), "/bin/relay": in("relay")},
		Job: job.Job{
			Mounts: []job.Mount{{Device: "/dev/vda", Path: "/data", Type: "ext4"}},
			Run:    []job.Program{{Args: []string{"/bin/figures", "edges", "--rounds", strconv.Itoa(rounds)}}},
		},
	}
	if err := errors.Join(
		vm.Build(ctx, kernel.Arch, vm.Program{Package: module + "/scripts/gpio-vm/guest"}, image.Init),
		vm.Build(ctx, kernel.Arch, vm.Program{Package: module + "/scripts/figures"}, in("figures")),
		buildRelay(ctx, dir),
		makeDisk(ctx, in("disk")),
	); err != nil {
		return nil, err
	}
	if err := image.Write(in("initramfs")); err != nil {
		return nil, err
	}
	// Booting takes a minute on a slow computer, and a round a second.
	limit := 5*time.Minute + time.Duration(rounds)*5*time.Second
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("the machine has not ended within %v", limit))
	defer cancel()
	return runMachine(ctx, vm.Config{Kernel: kernel, Initramfs: in("initramfs"), Drives: []vm.Drive{{File: in("disk")}}})
}

// runMachine starts a machine and returns what it reports. Should it fail, the error has the end of its console.
func runMachine(ctx context.Context, c vm.Config) (*edgeReport, error) {
	var console []string
	var report *edgeReport
	var bad error
	c.Line = func(line string) {
		text, ok := strings.CutPrefix(line, reportPrefix)
		if !ok {
			console = append(console[max(0, len(console)-50):], line)
			return
		}
		report = new(edgeReport)
		bad = json.Unmarshal([]byte(text), report)
	}
	m, err := vm.Start(ctx, c)
	if err != nil {
		return nil, cli.Hint(fmt.Errorf("starting a machine: %w", err), "apt-get install qemu-system-x86 (qemu-system-arm on arm64)")
	}
	err = m.Wait()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err = errors.Join(err, bad); err != nil {
		return nil, fmt.Errorf("measuring in a machine: %w\n%s", err, strings.Join(console, "\n"))
	}
	if report == nil {
		return nil, errors.New("the machine has measured nothing")
	}
	return report, nil
}

// buildRelay builds the program in C, static as the machine needs it.
func buildRelay(ctx context.Context, dir string) error {
	source := filepath.Join(dir, "relay.c")
	if err := os.WriteFile(source, relaySource, 0o644); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "gcc", "-O2", "-static", "-o", filepath.Join(dir, "relay"), source, "-lgpiod")
	if out, err := cmd.CombinedOutput(); err != nil {
		return cli.Hint(fmt.Errorf("building relay.c: %w\n%s", err, out), "apt-get install gcc libc6-dev libgpiod-dev")
	}
	return nil
}

func makeDisk(ctx context.Context, file string) error {
	cmd := exec.CommandContext(ctx, "mkfs.ext4", "-q", "-F", file, "64M")
	if out, err := cmd.CombinedOutput(); err != nil {
		return cli.Hint(fmt.Errorf("making a disk: %w\n%s", err, out), "apt-get install e2fsprogs")
	}
	return nil
}
