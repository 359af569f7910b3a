// Package board opens this computer's GPIO lines: contacts and keys as an [Input], relays and
// buzzers as an [Output]. It is the only package that knows the GPIO library.
//
// Lines are those of the kernel's GPIO character device (/dev/gpiochip*, Linux 5.10 or
// later), which every Raspberry Pi and most other boards have. A line is named as the
// kernel names it, such as GPIO17 ("gpioinfo" lists the names), or by the label of its
// chip, or the label's beginning, and its offset there, such as pinctrl-bcm2711:17; many
// boards have lines that no other name fits. Chip numbers are no names: they change with
// the kernel.
//
// Inputs are read through periph's LineSet. Two things it does not do, so this package asks
// the kernel for them itself: an output that has its level from the first moment, where
// periph's are low first, and a line without a name of its own.
//
// Every error of the kernel is returned and names the line. No root is needed, only
// membership of the group that owns the chips, usually gpio.
//
// Caveats: what a line does before it is opened and after the process ended is the kernel's
// choice; a resistor has to decide. Pulls are asked for, but a chip that has none ignores
// that in silence.
package board

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"periph.io/x/conn/v3/driver"
	"periph.io/x/conn/v3/driver/driverreg"
	"periph.io/x/conn/v3/gpio/gpioreg"
	// Of periph's drivers only this one: the others map the Pi's registers into memory,
	// and a wrong guess about the model ends the process (SIGBUS).
	"periph.io/x/host/v3/gpioioctl"
)

// driverName is what periph calls its driver of the character device.
const driverName = "ioctl-gpio"

// Init finds the chips of this computer. Opening a line does so too. But a program should
// call it before it has other goroutines: finding a chip under two names, as on a
// Raspberry Pi 5, makes the library close file descriptors that are not its own any more.
func Init() error {
	_, err := hardware.chips()
	return err
}

// hardware is what was found. It is one per process, like the library's own list.
var hardware scanner

type scanner struct {
	mu      sync.Mutex
	driver  driver.Impl
	nodes   map[string]fs.FileInfo // the device nodes at the last scan
	retired []*gpioioctl.GPIOChip
}

// chips returns the chips of this computer. It looks for them again when a device node
// came, went or changed its rights: the library itself does so only once.
func (s *scanner) chips() ([]*gpioioctl.GPIOChip, error) {
	if runtime.GOOS != "linux" {
		return nil, fmt.Errorf("GPIO lines can be opened on Linux only, not on %s; the simulator needs none", runtime.GOOS)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	nodes := deviceNodes()
	if s.driver != nil && maps.EqualFunc(nodes, s.nodes, sameNode) {
		return gpioioctl.Chips, nil
	}
	if err := s.scan(); err != nil {
		return nil, fmt.Errorf("looking for GPIO chips: %w", err)
	}
	s.nodes = nodes
	return gpioioctl.Chips, nil
}

func (s *scanner) scan() error {
	defer keepStdin()()
	// The library prints what this package returns as errors.
	defer log.SetOutput(log.Writer())
	log.SetOutput(io.Discard)

	if s.driver == nil {
		state, err := driverreg.Init()
		if err != nil {
			return err
		}
		all := slices.Clone(state.Loaded)
		for _, f := range slices.Concat(state.Skipped, state.Failed) {
			all = append(all, f.D)
		}
		i := slices.IndexFunc(all, func(d driver.Impl) bool { return d.String() == driverName })
		if i < 0 {
			return errors.New("the GPIO driver is missing from this program")
		}
		s.driver = all[i]
		return nil
	}
	// The chips of the last scan stay open and referenced: each has two owners of one file
	// descriptor, of which the garbage collector would close one too late.
	s.retired = append(s.retired, gpioioctl.Chips...)
	for _, chip := range gpioioctl.Chips {
		for _, line := range chip.Lines() {
			gpioreg.Unregister(line.Name()) // nameless lines are not registered
		}
	}
	gpioioctl.Chips = nil
	_, err := s.driver.Init()
	if len(deviceNodes()) == 0 {
		return nil // the driver calls that an error; here, no line is found
	}
	return err
}

// deviceNodes returns the device nodes of the GPIO chips by path.
func deviceNodes() map[string]fs.FileInfo {
	nodes := map[string]fs.FileInfo{}
	paths, _ := filepath.Glob("/dev/gpiochip*") // only a malformed pattern is an error
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil {
			nodes[path] = info
		}
	}
	return nodes
}

func sameNode(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Mode() == b.Mode()
}

// closedToUs returns the device nodes that this process may not open.
func closedToUs(nodes map[string]fs.FileInfo) []string {
	var paths []string
	for path := range nodes {
		f, err := os.Open(path)
		if err == nil {
			f.Close()
		} else if errors.Is(err, fs.ErrPermission) {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// Lookup says what is wrong with the name of a line: this computer has no such line, or
// this process may not open its chip. It opens no line; one that is found may still be in
// use by another program.
func Lookup(name string) error {
	_, _, err := find(name)
	return err
}

// Same says whether two names are of one line of this computer.
func Same(a, b string) bool {
	_, lineA, errA := find(a)
	_, lineB, errB := find(b)
	return errA == nil && errB == nil && lineA == lineB
}

// find returns the chip that has the line called name, and the line.
func find(name string) (*gpioioctl.GPIOChip, *gpioioctl.GPIOLine, error) {
	n, err := parseName(name)
	if err != nil {
		return nil, nil, err
	}
	chips, err := hardware.chips()
	if err != nil {
		return nil, nil, err
	}
	nodes := deviceNodes()
	if len(nodes) == 0 {
		return nil, nil, fmt.Errorf("line %s: this computer has no GPIO chip (/dev/gpiochip*); "+
			"it takes a board with GPIO and Linux 5.10 or later, or the simulator", name)
	}
	listed := make([]chipLines, len(chips))
	for i, c := range chips {
		listed[i].label = c.Label()
		for _, l := range c.Lines() {
			listed[i].lines = append(listed[i].lines, l.Name())
		}
	}
	c, l, err := n.find(listed)
	if err != nil {
		if paths := closedToUs(nodes); len(paths) > 0 {
			err = fmt.Errorf("line %s: opening %s: %w; add the user of this program to the group that owns it, "+
				"usually gpio (usermod -aG gpio USER), and log in again", name, strings.Join(paths, ", "), fs.ErrPermission)
		}
		return nil, nil, err
	}
	return chips[c], chips[c].Lines()[l], nil
}
