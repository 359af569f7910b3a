//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twinpanel/twinpanel/scripts/gpio-vm/disk"
	"github.com/twinpanel/twinpanel/scripts/gpio-vm/job"
	"github.com/twinpanel/twinpanel/scripts/gpio-vm/powercuts/report"
	"github.com/twinpanel/twinpanel/scripts/gpio-vm/vm"
)

// diskSize is in bytes. The disk is in memory, twice.
const diskSize = 24 << 20

// A stage has all that outlives a power cut: the disk, the hub, and the book. Its methods belong to one goroutine; others
// send what they see to seen.
type stage struct {
	dir     string // for the programs and, after a violation, for what there was
	kernel  *vm.Kernel
	disk    *disk.Disk
	hub     *panelHub
	control net.Listener // for the machine
	seen    chan any     // current, report.Report, net.Conn, or ended
	book    *book
	random  *rand.Rand
	figures figures
	console []string // its last lines
	open    bool     // the door
	version uint32   // of desired, the last that was put

	// What was seen last.
	heard  current
	fresh  bool // heard is of this connection
	last   report.Report
	answer report.Report // likewise, without samples of the siren
}

// ended is the end of a machine.
type ended struct{ err error }

// newStage builds the programs and makes an empty disk. overlay is for the panel's build; empty = the panel as it is.
func newStage(ctx context.Context, dir string, kernel *vm.Kernel, overlay string, random *rand.Rand) (s *stage, err error) {
	s = &stage{dir: dir, kernel: kernel, seen: make(chan any, 4096), book: newBook(), random: random}
	if s.control, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	if s.hub, err = newHub(func(c current) { s.seen <- c }); err != nil {
		return nil, errors.Join(err, s.control.Close())
	}
	// The panel sees a desired before any other command: one at the panel would rule over the first desired ever.
	if err := errors.Join(s.want(ctx, false), s.makeDisk(ctx), s.pack(ctx, overlay)); err != nil {
		return nil, errors.Join(err, s.close())
	}
	go s.accept()
	return s, nil
}

// accept hands over the machines' connections until the listener is closed.
func (s *stage) accept() {
	for {
		conn, err := s.control.Accept()
		if err != nil {
			return
		}
		s.seen <- conn
	}
}

func (s *stage) close() error { return errors.Join(s.hub.close(), s.control.Close()) }

func (s *stage) path(name string) string { return filepath.Join(s.dir, name) }

// makeDisk makes an empty file system.
func (s *stage) makeDisk(ctx context.Context) error {
	image := s.path("image")
	err := os.WriteFile(image, nil, 0o600)
	if err = errors.Join(err, os.Truncate(image, diskSize)); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "mkfs.ext4", "-q", image).CombinedOutput(); err != nil {
		return fmt.Errorf("mkfs.ext4: %w\n%s", err, out)
	}
	content, err := os.ReadFile(image)
	s.disk = disk.New(content)
	return err
}

// pack builds and packs what runs in the machine.
func (s *stage) pack(ctx context.Context, overlay string) error {
	secret := s.path("secret")
	err := errors.Join(
		os.WriteFile(secret, []byte(s.hub.secret+"\n"), 0o600),
		vm.Build(ctx, s.kernel.Arch, vm.Program{Package: "./scripts/gpio-vm/guest"}, s.path("init")),
		vm.Build(ctx, s.kernel.Arch, vm.Program{Package: "./scripts/gpio-vm/powercuts/inside"}, s.path("inside")),
		vm.Build(ctx, s.kernel.Arch, vm.Program{Package: "./cmd/panel", Overlay: overlay}, s.path("panel")),
	)
	if err != nil {
		return err
	}
	i := vm.Initramfs{
		Kernel:  s.kernel,
		Init:    s.path("init"),
		Modules: slices.Concat(vm.GPIOModules, vm.DriveModules, vm.NetworkModules),
		Files:   map[string]string{"/bin/inside": s.path("inside"), "/bin/panel": s.path("panel"), "/secret": secret},
		Job: job.Job{
			Mounts: []job.Mount{{Device: "/dev/vda", Path: "/data", Type: "ext4"}},
			Run: []job.Program{{Args: []string{
				"/bin/inside", net.JoinHostPort(job.Host, strconv.Itoa(s.control.Addr().(*net.TCPAddr).Port)), "/data/panel",
				"--hub", fmt.Sprintf("mqtt://%s:%d", job.Host, s.hub.port()), "--insecure",
				"--device-id", string(s.hub.device), "--secret-file", "/secret",
				"--door", "GPIO17", "--siren", "GPIO27", "--debounce", "300ms",
				"--siren-limit", sirenLimit.String(), "--max-rings", strconv.Itoa(maxRings),
			}}},
		},
	}
	return i.Write(s.path("initramfs"))
}

// A machine is one start of the house.
type machine struct {
	*vm.Machine
	listener net.Listener // of its disk
	served   chan error
	conn     net.Conn // for asks; nil = not yet
	asked    int
	started  time.Time
	dead     bool
}

// start starts the machine.
func (s *stage) start(ctx context.Context) (*machine, error) {
	m := &machine{served: make(chan error, 1), started: time.Now()}
	s.fresh, s.last, s.answer = false, report.Report{}, report.Report{}
	s.console = append(s.console[max(0, len(s.console)-500):], "", fmt.Sprintf("start %d", s.figures.starts))
	socket := s.path("disk")
	var err error
	if m.listener, err = net.Listen("unix", socket); err != nil {
		return nil, err
	}
	go func() { m.served <- s.disk.Serve(m.listener) }()
	door := report.Close
	if s.open {
		door = report.Open
	}
	m.Machine, err = vm.Start(ctx, vm.Config{
		Kernel: s.kernel, Initramfs: s.path("initramfs"), Append: "-- " + door, Memory: 256,
		Drives:  []vm.Drive{{File: "nbd+unix:///?socket=" + socket}},
		Network: true,
		Line:    func(line string) { s.seen <- line },
	})
	if err != nil {
		return nil, errors.Join(err, m.listener.Close(), <-m.served)
	}
	go func() { s.seen <- ended{m.Wait()} }()
	s.figures.starts++
	return m, nil
}

// cut waits until the machine is dead and takes from its disk what was not flushed, but for a chance.
func (s *stage) cut(m *machine, chance float64) error {
	var err error
	for !m.dead {
		err = errors.Join(err, s.take(m, <-s.seen))
	}
	if m.conn != nil {
		m.conn.Close()
	}
	err = errors.Join(err, m.listener.Close(), <-m.served)
	s.figures.lost += s.disk.Cut(chance, s.random)
	s.book.cut()
	return errors.Join(err, s.checkDisk())
}

// checkDisk looks for damage that replaying the file system's journal doesn't mend.
func (s *stage) checkDisk() error {
	image := s.path("image")
	if err := s.disk.WriteFile(image); err != nil {
		return err
	}
	// Mended by itself, as at each start; then checked to the last.
	if out, err := exec.Command("e2fsck", "-p", image).CombinedOutput(); err != nil && exitCode(err) != 1 {
		return violated("the file system is damaged: %v\n%s", err, out)
	}
	if out, err := exec.Command("e2fsck", "-fn", image).CombinedOutput(); err != nil {
		return violated("the file system is damaged: %v\n%s", err, out)
	}
	return nil
}

func exitCode(err error) int {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	return -1
}

// explain keeps what may explain an error.
func (s *stage) explain(err error) error {
	console := strings.Join(s.console, "\n") + "\n"
	return errors.Join(err, os.WriteFile(s.path("console"), []byte(console), 0o600))
}
