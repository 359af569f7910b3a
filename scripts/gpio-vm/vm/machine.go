//go:build linux

package vm

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/twinpanel/twinpanel/scripts/gpio-vm/job"
)

// A Config says what a machine has.
type Config struct {
	Kernel    *Kernel
	Initramfs string // file, as [Initramfs.Write] makes it; empty = none: then the kernel needs root=
	// Append is added to the kernel's command line. What follows "--" there are arguments for /init.
	Append  string
	Memory  int     // MiB; 0 = 512
	Drives  []Drive // /dev/vda and so on; the modules that they need are DriveModules
	Network bool    // eth0, at whose other end this computer is job.Host; the modules that it needs are NetworkModules
	DTB     string  // file with a device tree (arm64); empty = the machine's own
	// Line is called with each line of the machine's console. nil = nobody is told.
	Line func(string)
}

// A Drive is a disk.
type Drive struct {
	File string // the image, raw
	// Cache is how writes reach the image, as QEMU calls it. Empty = "writeback": a write that the guest has not flushed is in
	// this computer's memory, and not lost when the machine is killed.
	Cache    string
	ReadOnly bool
}

// Modules that a guest needs for its devices.
var (
	GPIOModules    = []string{"configfs", "gpio-sim"}
	DriveModules   = []string{"virtio_pci", "virtio_blk", "crc32c_generic", "ext4"}
	NetworkModules = []string{"virtio_pci", "virtio_net"}
)

// A Machine is one that runs, as a QEMU process.
type Machine struct {
	qemu   *exec.Cmd
	read   chan struct{} // closed when the console has ended
	job    int           // exit code of the job; -1 = it did not end
	panics string        // what the kernel said of its own death; empty = nothing
	last   string        // the last line
	errors strings.Builder
}

// Errors of [Machine.Wait].
var (
	ErrFailed = errors.New("the job failed")
	ErrEnded  = errors.New("the machine ended before its job")
)

// Start starts a machine. It is killed when ctx ends.
func Start(ctx context.Context, c Config) (*Machine, error) {
	m := &Machine{read: make(chan struct{}), job: -1}
	args := c.args()
	m.qemu = exec.CommandContext(ctx, args[0], args[1:]...)
	m.qemu.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // no machine is left behind
	m.qemu.Stderr = &m.errors
	console, err := m.qemu.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := m.qemu.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(m.read)
		m.listen(console, c.Line)
	}()
	return m, nil
}

// Kill ends the machine as a power cut does.
func (m *Machine) Kill() error { return m.qemu.Process.Kill() }

// Wait waits for the machine's end. It returns nil when the job has ended well, and an error that is [ErrFailed] when it
// has not. Any other end, also that of Kill, is [ErrEnded].
func (m *Machine) Wait() error {
	<-m.read
	err := m.qemu.Wait()
	return errors.Join(m.verdict(), err)
}

// verdict is what the machine has said of its end.
func (m *Machine) verdict() error {
	switch {
	case m.panics != "":
		return fmt.Errorf("%w: %s", ErrEnded, m.panics)
	case m.job < 0:
		return fmt.Errorf("%w: %s", ErrEnded, cmp.Or(strings.TrimSpace(m.errors.String()), "last line: "+m.last))
	case m.job > 0:
		return ErrFailed
	}
	return nil
}

// listen reads the console to its end.
func (m *Machine) listen(console io.Reader, tell func(string)) {
	lines := bufio.NewReader(console)
	for {
		line, err := lines.ReadString('\n')
		line = strings.TrimRight(line, "\r\n")
		if line != "" || err == nil {
			m.hear(line)
			if tell != nil {
				tell(line)
			}
		}
		if err != nil {
			return
		}
	}
}

func (m *Machine) hear(line string) {
	m.last = line
	if code, ok := strings.CutPrefix(line, job.Exit); ok {
		if n, err := strconv.Atoi(code); err == nil {
			m.job = n
		}
	}
	if strings.Contains(line, "Kernel panic") {
		m.panics = line
	}
}

// args is QEMU's command line. Nothing is needed of this computer but the program: no KVM, no root.
func (c Config) args() []string {
	var args []string
	console := "ttyS0"
	switch c.Kernel.Arch {
	case "amd64":
		args = []string{"qemu-system-x86_64", "-M", "q35", "-cpu", "max"}
	case "arm64":
		args = []string{"qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a53"}
		console = "ttyAMA0"
	}
	args = append(args, "-accel", "tcg,thread=multi", "-smp", "2", "-m", strconv.Itoa(cmp.Or(c.Memory, 512)),
		"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio",
		"-kernel", c.Kernel.Image,
		// What goes wrong in the kernel is a panic, and a panic reboots, which ends QEMU.
		"-append", strings.TrimSpace("console="+console+" quiet oops=panic panic=-1 "+c.Append))
	if c.Initramfs != "" {
		args = append(args, "-initrd", c.Initramfs)
	}
	if c.DTB != "" {
		args = append(args, "-dtb", c.DTB)
	}
	for i, d := range c.Drives {
		drive := fmt.Sprintf("file=%s,id=drive%d,if=none,format=raw,cache=%s", strings.ReplaceAll(d.File, ",", ",,"), i, cmp.Or(d.Cache, "writeback"))
		if d.ReadOnly {
			drive += ",readonly=on"
		}
		args = append(args, "-drive", drive, "-device", fmt.Sprintf("virtio-blk-pci,drive=drive%d", i))
	}
	if c.Network {
		args = append(args, "-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile=")
	}
	return args
}

// DumpDTB writes the device tree that the machine would have to a file. Its kernel and its disks are not looked at.
func (c Config) DumpDTB(ctx context.Context, file string) error {
	args := c.args()
	i := slices.Index(args, "-M") + 1
	args[i] += ",dumpdtb=" + file
	_, err := output(exec.CommandContext(ctx, args[0], args[1:]...))
	return err
}
