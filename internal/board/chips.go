package board

import (
	"bytes"
	"io/fs"
	"maps"
	"os"
	"slices"
	"unsafe"

	"periph.io/x/host/v3/gpioioctl"
)

// A Chip is a GPIO chip of this computer.
type Chip struct {
	Path  string // of its device node, such as /dev/gpiochip0
	Label string // such as pinctrl-bcm2711
	Lines int    // how many it has
	Used  []Line // those that somebody uses, the kernel included

	Err error // why nothing but the path is known: this process may not open it
}

// A Line is one line of a chip, as the kernel has it now.
type Line struct {
	Chip   string // label
	Offset int
	Name   string // empty = the kernel has none
	Used   bool
	By     string // who uses it; empty = nobody, or the kernel doesn't say
	Output bool
}

// Flags of a line's description, from the kernel's <linux/gpio.h>.
const flagUsed = 1 << 0

// Chips returns the chips of this computer in the order of their paths, also those that this process may not open. It
// opens no line.
func Chips() ([]Chip, error) {
	found, err := hardware.chips()
	if err != nil {
		return nil, err
	}
	nodes := deviceNodes()
	var chips []Chip
	for _, path := range slices.Sorted(maps.Keys(nodes)) {
		i := slices.IndexFunc(found, func(c *gpioioctl.GPIOChip) bool { return c.Path() == path })
		switch {
		case i >= 0:
			chips = append(chips, describe(found[i]))
		case slices.Contains(closedToUs(nodes), path):
			chips = append(chips, Chip{Path: path, Err: fs.ErrPermission})
		} // else it is another path of a chip that was found
	}
	return chips, nil
}

func describe(c *gpioioctl.GPIOChip) Chip {
	chip := Chip{Path: c.Path(), Label: c.Label(), Lines: len(c.Lines())}
	for offset := range chip.Lines {
		if line, err := lineOf(c, offset); err == nil && line.Used {
			chip.Used = append(chip.Used, line)
		}
	}
	return chip
}

// Look describes the line called name without opening it.
func Look(name string) (Line, error) {
	c, l, err := find(name)
	if err != nil {
		return Line{}, err
	}
	return lineOf(c, l.Number())
}

// lineOf asks the kernel for the description of a line.
func lineOf(c *gpioioctl.GPIOChip, offset int) (Line, error) {
	device, err := os.Open(c.Path())
	if err != nil {
		return Line{}, err
	}
	defer device.Close()
	info := lineInfo{offset: uint32(offset)}
	if err := ioctl(device, getLineInfo, unsafe.Pointer(&info)); err != nil {
		return Line{}, err
	}
	return Line{
		Chip: c.Label(), Offset: offset, Name: text(info.name), By: text(info.consumer),
		Used: info.flags&flagUsed != 0, Output: info.flags&flagOutput != 0,
	}, nil
}

func text(b [32]byte) string {
	s, _, _ := bytes.Cut(b[:], []byte{0})
	return string(s)
}
