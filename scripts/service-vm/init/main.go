//go:build linux

// Init is the first process of a machine that is to start as an installed computer does: it loads what the machine's disk
// and GPIO chip need, mounts the disk, and becomes the disk's own /sbin/init.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/twinpanel/twinpanel/internal/gpiosim"
	"github.com/twinpanel/twinpanel/scripts/gpio-vm/job"
)

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "init: this is the first process of a test machine; do not run it here")
		os.Exit(2)
	}
	fmt.Printf("init: %v\n", run())
	time.Sleep(200 * time.Millisecond) // the last line must get out
	// The end of this process is a panic, which ends the machine.
}

// run doesn't return but with an error.
func run() error {
	for _, path := range []string{"/proc", "/sys", "/dev", "/root"} {
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
	}
	err := errors.Join(
		unix.Mount("proc", "/proc", "proc", 0, ""),
		unix.Mount("sysfs", "/sys", "sysfs", 0, ""),
		unix.Mount("devtmpfs", "/dev", "devtmpfs", 0, ""),
	)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(job.Path)
	if err != nil {
		return err
	}
	var told job.Job
	if err := json.Unmarshal(text, &told); err != nil {
		return err
	}
	for _, file := range told.Modules {
		if err := load(file); err != nil {
			return fmt.Errorf("loading %s: %w", file, err)
		}
	}
	if err := chip(); err != nil {
		return err
	}
	for range 500 { // the disk may still be on its way
		if err = unix.Mount("/dev/vda", "/root", "ext4", 0, ""); err != unix.ENOENT {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		return os.NewSyscallError("mount /dev/vda", err)
	}
	for _, path := range []string{"/proc", "/sys", "/dev"} {
		if err := unix.Mount(path, "/root"+path, "", unix.MS_MOVE, ""); err != nil {
			return os.NewSyscallError("moving "+path, err)
		}
	}
	err = errors.Join(os.Chdir("/root"), unix.Mount(".", "/", "", unix.MS_MOVE, ""), unix.Chroot("."), os.Chdir("/"))
	if err != nil {
		return err
	}
	return unix.Exec("/sbin/init", []string{"/sbin/init"}, []string{"TERM=dumb"})
}

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

// chip makes the lines that a Raspberry Pi has, GPIO0 to GPIO27. GPIO17 is pulled down: a closed contact to ground.
func chip() error {
	if err := unix.Mount("configfs", "/sys/kernel/config", "configfs", 0, ""); err != nil {
		return os.NewSyscallError("mount configfs", err)
	}
	var names []string
	for i := range 28 {
		names = append(names, fmt.Sprintf("GPIO%d", i))
	}
	_, err := gpiosim.New("pinctrl-sim", names...)
	return err
}
