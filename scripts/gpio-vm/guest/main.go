//go:build linux

// Guest is /init of a test machine: it makes Linux usable, does its job, says how that went and switches the machine off.
// It is the only process at first, and a static one: the machine has no library and no shell. Arguments, which come from the
// end of the kernel's command line, are added to those of the job's last program.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/twinpanel/twinpanel/scripts/gpio-vm/job"
	"github.com/twinpanel/twinpanel/scripts/gpio-vm/network"
)

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "guest: this is the first process of a test machine and switches it off; do not run it here")
		os.Exit(2)
	}
	code := 0
	if err := run(); err != nil {
		fmt.Printf("gpio-vm: %v\n", err)
		code = 1
	}
	fmt.Printf("\n%s%d\n", job.Exit, code)
	unix.Sync()
	time.Sleep(200 * time.Millisecond) // the last line must get out
	fmt.Printf("gpio-vm: switching off: %v\n", unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF))
	select {} // the end of this process is a panic
}

func run() error {
	if err := mountAll(usual); err != nil {
		return err
	}
	text, err := os.ReadFile(job.Path)
	if err != nil {
		return err
	}
	var told job.Job
	if err := json.Unmarshal(text, &told); err != nil {
		return fmt.Errorf("reading %s: %w", job.Path, err)
	}
	for _, file := range told.Modules {
		if err := load(file); err != nil {
			return fmt.Errorf("loading %s: %w", file, err)
		}
	}
	if err := errors.Join(mountAll(simulator), mountAll(told.Mounts), network.Loopback()); err != nil {
		return err
	}
	if told.Network {
		if err := network.Up(); err != nil {
			return fmt.Errorf("giving eth0 its address: %w", err)
		}
	}
	if n := len(told.Run); n > 0 {
		told.Run[n-1].Args = slices.Concat(told.Run[n-1].Args, os.Args[1:])
	}
	var failed []error
	for _, p := range told.Run {
		fmt.Printf("gpio-vm: running %s\n", strings.Join(p.Args, " "))
		if err := start(p); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", p.Args[0], err))
		}
	}
	return errors.Join(failed...)
}

// start runs a program to its end.
func start(p job.Program) error {
	command := exec.Command(p.Args[0], p.Args[1:]...)
	command.Env = append([]string{"PATH=/bin", "HOME=/tmp"}, p.Env...)
	command.Dir = p.Dir
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	return command.Run()
}

// load loads a module whose dependencies are loaded.
func load(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return os.NewSyscallError("finit_module", err)
	}
	return nil
}

// usual is what every Linux program expects.
var usual = []job.Mount{
	{Device: "proc", Path: "/proc", Type: "proc"},
	{Device: "sysfs", Path: "/sys", Type: "sysfs"},
	{Device: "devtmpfs", Path: "/dev", Type: "devtmpfs"},
	{Device: "tmpfs", Path: "/dev/shm", Type: "tmpfs"},
	{Device: "tmpfs", Path: "/tmp", Type: "tmpfs", Options: "mode=1777"},
	{Device: "tmpfs", Path: "/run", Type: "tmpfs", Options: "mode=755"},
}

// simulator is what moves the lines of gpio-sim, and what records them.
var simulator = []job.Mount{
	{Device: "configfs", Path: "/sys/kernel/config", Type: "configfs"},
	{Device: "tracefs", Path: "/sys/kernel/tracing", Type: "tracefs"},
}

func mountAll(mounts []job.Mount) error {
	for _, m := range mounts {
		if err := errors.Join(os.MkdirAll(m.Path, 0o755), mount(m)); err != nil {
			return err
		}
	}
	return nil
}

// mount mounts a file system. A disk's device may still be on its way.
func mount(m job.Mount) error {
	var err error
	for range 500 {
		if err = unix.Mount(m.Device, m.Path, m.Type, 0, m.Options); err != unix.ENOENT || m.Device == m.Type {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return os.NewSyscallError("mount "+m.Path, err)
}
