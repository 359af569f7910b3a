package main

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/twinpanel/twinpanel/internal/board"
	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/internal/panel"
)

// A wire is a line of this computer that a flag names.
type wire struct{ flag, line string }

// wires are all of them, the siren's first.
func (c *Config) wires() []wire {
	wires := []wire{{"--siren", c.Siren}}
	for _, d := range c.doors {
		wires = append(wires, wire{"--door " + d.name, d.line})
	}
	if c.Key != "" {
		wires = append(wires, wire{"--key", c.Key})
	}
	if c.Buzzer != "" {
		wires = append(wires, wire{"--buzzer", c.Buzzer})
	}
	return wires
}

// bootLines are lines of a Raspberry Pi that move by themselves before any program runs.
var bootLines = regexp.MustCompile(`^GPIO([0-8]|14|15)$`)

// checkLines finds lines that are missing, used twice, or would sound the siren at boot. A simulated
// house needs an address instead.
func (c *Config) checkLines() error {
	if c.Simulate != "" {
		for _, w := range []wire{{"--key", c.Key}, {"--buzzer", c.Buzzer}} {
			if w.line != "" {
				return cli.Usagef("%s %s is a line of this computer, and a simulated house has none: leave it out, or --simulate", w.flag, w.line)
			}
		}
		err := cli.CheckAddress("--simulate", c.Simulate, "127.0.0.1:8080")
		if err == nil && !c.Insecure {
			_, err = cli.CheckLoopback("--simulate", c.Simulate, publicHouse)
		}
		return err
	}
	if c.SimulateDoor != "closed" {
		return cli.Usagef("--simulate-door is for a simulated house: expected --simulate with it")
	}
	if c.Key == "" && c.KeyType != string(panel.Momentary) {
		return cli.Usagef("--key-type is for a key switch: expected --key with it")
	}
	if err := c.checkSiren(); err != nil {
		return err
	}
	used := map[string]string{}
	for _, w := range c.wires() {
		if w.line == "" {
			return cli.Usagef("%s= names no line", w.flag)
		}
		if by := used[w.line]; by != "" {
			return cli.Usagef("the line %s is used twice: by %s and by %s", w.line, by, w.flag)
		}
		used[w.line] = w.flag
	}
	if c.SirenActive == "high" && bootLines.MatchString(c.Siren) {
		return cli.Hint(cli.Usagef("--siren %s is high or moves while a Raspberry Pi starts, so the siren would sound at each start", c.Siren),
			"use one of GPIO16 to GPIO27 with a resistor of 10 kΩ to ground; on another board name the line by its chip, as in LABEL:%s", strings.TrimPrefix(c.Siren, "GPIO"))
	}
	return nil
}

// checkSiren wants the flags of the siren's line.
func (c *Config) checkSiren() error {
	if c.Siren == "" {
		return cli.Hint(cli.Usagef("--siren %w", errMissing), "name the line of the siren's relay, as in --siren GPIO27")
	}
	return oneOf("--siren-active", c.SirenActive, "high", "low")
}

// findLines finds names that are no lines of this computer, and two names of one line, in a new installation: then somebody is
// there to mend a slip of the pen. Later, a line that cannot be used is a fault, and the others guard.
func (c *Config) findLines() error {
	if err := board.Init(); err != nil {
		return err
	}
	if panel.Installed(c.StateDir) {
		return nil
	}
	for _, w := range c.wires() {
		if err := board.Lookup(w.line); err != nil {
			return fmt.Errorf("%s: %w", w.flag, err)
		}
	}
	return c.usedTwice(board.Same)
}

// usedTwice finds two names that are the same line.
func (c *Config) usedTwice(same func(a, b string) bool) error {
	wires := c.wires()
	for i, w := range wires {
		for _, other := range wires[:i] {
			if same(other.line, w.line) {
				return cli.Hint(fmt.Errorf("%s and %s name the same line: %s is %s", other.flag, w.flag, other.line, w.line),
					"give each a line of its own")
			}
		}
	}
	return nil
}
