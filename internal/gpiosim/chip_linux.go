// Package gpiosim makes simulated GPIO chips with the kernel's module gpio-sim, moves their lines and records what becomes
// of them. It is for tests as root in a machine of their own (scripts/gpio-vm).
//
// It is the kernel's GPIO with everything that programs see of it, but no electricity: a line's level is a bit. Caveats:
// asking for a pull sets the level, though on a real board a contact is stronger; so move an input after it was opened,
// and again when it was opened anew. A line that nobody drives has the level of its pull.
package gpiosim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Where the kernel has the chips' configuration, and the chips.
const (
	configDir = "/sys/kernel/config/gpio-sim"
	deviceDir = "/sys/devices/platform"
)

// A Chip is a simulated chip.
type Chip struct {
	config string // folder
	lines  string // folder, once it is there
	node   string // /dev/gpiochip0
}

// A Line is the number of a chip's line.
type Line int

// New makes a chip that is called label and has a line for each name. An empty name makes a line without one.
func New(label string, names ...string) (*Chip, error) {
	c := &Chip{config: filepath.Join(configDir, label)}
	bank := filepath.Join(c.config, "bank0")
	if err := os.MkdirAll(bank, 0o755); err != nil {
		return nil, fmt.Errorf("making chip %s: %w", label, err)
	}
	err := errors.Join(
		write(filepath.Join(bank, "label"), label),
		write(filepath.Join(bank, "num_lines"), strconv.Itoa(len(names))),
	)
	for i, name := range names {
		if name != "" {
			line := filepath.Join(bank, "line"+strconv.Itoa(i))
			err = errors.Join(err, os.Mkdir(line, 0o755), write(filepath.Join(line, "name"), name))
		}
	}
	if err = errors.Join(err, c.Plug()); err != nil {
		return nil, errors.Join(fmt.Errorf("making chip %s: %w", label, err), c.Remove())
	}
	return c, nil
}

// Plug makes the chip appear, as a new one.
func (c *Chip) Plug() error {
	if err := write(filepath.Join(c.config, "live"), "1"); err != nil {
		return err
	}
	device, err := read(filepath.Join(c.config, "dev_name"))
	if err != nil {
		return err
	}
	chip, err := read(filepath.Join(c.config, "bank0/chip_name"))
	if err != nil {
		return err
	}
	c.lines, c.node = filepath.Join(deviceDir, device, chip), "/dev/"+chip
	return nil
}

// Unplug makes the chip disappear, whoever uses it.
func (c *Chip) Unplug() error { return write(filepath.Join(c.config, "live"), "0") }

// Node is the path of the chip's device node. It can be another one after Plug.
func (c *Chip) Node() string { return c.node }

// Remove unplugs the chip and forgets it.
func (c *Chip) Remove() error {
	if live, err := read(filepath.Join(c.config, "live")); err == nil && live == "1" {
		if err := c.Unplug(); err != nil {
			return err
		}
	}
	lines, err := filepath.Glob(filepath.Join(c.config, "bank0/line*"))
	for _, line := range lines {
		err = errors.Join(err, os.Remove(line))
	}
	return errors.Join(err, os.Remove(filepath.Join(c.config, "bank0")), os.Remove(c.config))
}

// Pull gives a line its level while nobody drives it.
func (c *Chip) Pull(l Line, high bool) error {
	return write(c.file(l, "pull"), pullWord(high))
}

func pullWord(high bool) string {
	if high {
		return "pull-up"
	}
	return "pull-down"
}

// Burst pulls a line to and fro n times, as fast as the computer can, and at last to the level last.
func (c *Chip) Burst(l Line, n int, last bool) error {
	f, err := os.OpenFile(c.file(l, "pull"), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	for i := range n {
		if _, err := f.WriteAt([]byte(pullWord((n-i)%2 == 1 == last)), 0); err != nil {
			return err
		}
	}
	return nil
}

// Pulled tells the level to which a line is pulled: by Pull or, if that came later, by the program that opened it.
func (c *Chip) Pulled(l Line) (high bool, err error) {
	word, err := read(c.file(l, "pull"))
	return word == "pull-up", err
}

// Level reads the level of a line, as a meter would.
func (c *Chip) Level(l Line) (high bool, err error) {
	word, err := read(c.file(l, "value"))
	return word == "1", err
}

func (c *Chip) file(l Line, name string) string {
	return filepath.Join(c.lines, "sim_gpio"+strconv.Itoa(int(l)), name)
}

func write(path, word string) error { return os.WriteFile(path, []byte(word), 0o644) }

func read(path string) (string, error) {
	text, err := os.ReadFile(path)
	return strings.TrimSpace(string(text)), err
}
