package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/twinpanel/twinpanel/internal/board"
	"github.com/twinpanel/twinpanel/internal/panel"
)

// A bench is this computer's lines as check needs them.
type bench struct {
	kernel string // release
	chips  func() ([]board.Chip, error)
	look   func(name string) (board.Line, error)
	read   func(name string, pull board.Pull) (high bool, err error)
}

func thisBench() bench {
	release, _ := kernel()
	return bench{release, board.Chips, board.Look, readLine}
}

// settles is how long the level of a long wire may take to follow the pull.
const settles = 10 * time.Millisecond

func readLine(name string, pull board.Pull) (bool, error) {
	line, err := board.OpenInput(name, pull)
	if err != nil {
		return false, err
	}
	defer line.Close()
	time.Sleep(settles)
	return line.Read()
}

// checkWires looks up each line, and reads those of contacts and key switch. It drives none.
func (c *Config) checkWires(f *findings, b bench) {
	if c.Simulate != "" {
		f.ok("doors", "simulated")
		return
	}
	if !checkChips(f, b) {
		return
	}
	found := map[string]board.Line{}
	for _, w := range c.wires() {
		line, err := b.look(w.line)
		if err == nil {
			found[w.line] = line
		}
		switch {
		case err != nil:
			f.wrong(w.what(), err, "look at "+w.flag)
		case line.Used:
			f.wrong(w.what(), &board.InUseError{Line: w.line, By: line.By}, "see what uses it: a program, or a dtoverlay= in config.txt that takes this line for itself")
		case w.what() == "siren", w.what() == "buzzer":
			f.ok(w.what(), "%s is free: line %d of %s", w.line, line.Offset, line.Chip)
		default:
			c.checkContact(f, b, w)
		}
	}
	if c.SirenActive == "low" {
		f.note("siren", "it sounds while its line is low: without a resistor to 3.3 V it may sound while the computer starts")
	}
	same := func(one, other string) bool {
		a, is := found[one]
		b, too := found[other]
		return is && too && a.Chip == b.Chip && a.Offset == b.Offset
	}
	if err := c.usedTwice(same); err != nil {
		f.wrong("lines", err, "give each a line of its own")
	}
}

// what is what the wire leads to: siren, door front, key or buzzer.
func (w wire) what() string { return strings.TrimPrefix(w.flag, "--") }

// checkChips says whether there are chips that can be looked at.
func checkChips(f *findings, b bench) bool {
	if tooOld(b.kernel) {
		f.wrong("kernel", fmt.Errorf("%s is too old: GPIO lines need Linux 5.10", b.kernel), "upgrade the system")
	}
	chips, err := b.chips()
	if err == nil && len(chips) == 0 {
		err = errors.New("this computer has no GPIO chip (/dev/gpiochip*)")
	}
	if err != nil {
		f.wrong("gpio", err, "run this on a board with GPIO lines, or use --simulate")
		return false
	}
	open := 0
	for _, chip := range chips {
		if chip.Err == nil {
			open++
			continue
		}
		f.wrong("gpio", fmt.Errorf("%s may not be opened by %s", chip.Path, whoami()), letIn(chip.Path))
	}
	if open == 0 {
		return false
	}
	f.ok("gpio", "%s can be opened by %s", count(open, "chip"), whoami())
	return true
}

// tooOld says whether a kernel is from before 5.10, as far as that can be seen.
func tooOld(release string) bool {
	var major, minor int
	if n, _ := fmt.Sscanf(release, "%d.%d", &major, &minor); n != 2 {
		return false
	}
	return major < 5 || major == 5 && minor < 10
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// whoami names the user of this process. What root may do says nothing of the panel's user.
func whoami() string {
	name := "user " + strconv.Itoa(os.Geteuid())
	if u, err := user.Current(); err == nil {
		name = "user " + u.Username
	}
	if os.Geteuid() == 0 {
		name += ", who may do anything: the panel's user may not"
	}
	return name
}

// letIn says how to let this user open a chip.
func letIn(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return "see who may open it: ls -l " + path
	}
	_, gid, known := owner(info)
	group, err := user.LookupGroupId(strconv.Itoa(int(gid)))
	if !known || err != nil || gid == 0 || info.Mode().Perm()&0o060 != 0o060 {
		return "let the group gpio open GPIO chips, by the udev rule 60-twinpanel-gpio.rules, and be a member of it"
	}
	return fmt.Sprintf("add the user to the group %s (usermod -aG %s USER), and log in again", group.Name, group.Name)
}

// checkContact reads a contact: pulled the other way first, which shows whether something holds the line, and then as the panel
// reads it.
func (c *Config) checkContact(f *findings, b bench, w wire) {
	openHigh, pull, other := true, board.PullUp, board.PullDown
	if c.DoorOpenLevel == "low" {
		openHigh, pull, other = false, other, pull
	}
	held, err := b.read(w.line, other)
	var high bool
	if err == nil {
		high, err = b.read(w.line, pull)
	}
	switch {
	case err != nil:
		f.wrong(w.what(), err, "look at "+w.flag)
	case high != openHigh:
		f.ok(w.what(), "%s reads closed%s", w.line, c.meaning(w, false))
	case held == openHigh:
		f.ok(w.what(), "%s reads open, whichever way it is pulled: a resistor holds it, or the contact is wired the other way (--door-open-level %s)",
			w.line, map[bool]string{true: "low", false: "high"}[openHigh])
	default:
		f.ok(w.what(), "%s reads open%s", w.line, c.meaning(w, true))
	}
}

// meaning is what a reading says of a contact or a key switch, as the end of a sentence.
func (c *Config) meaning(w wire, open bool) string {
	maintained := c.KeyType == string(panel.Maintained)
	switch {
	case w.what() != "key" && open:
		return ": the door is open, or its wire is cut"
	case w.what() != "key", !maintained && open:
		return ""
	case !maintained:
		return ": somebody turns it, or its wires touch"
	case open:
		return ": it stands at armed, or its wire is cut"
	}
	return ": it stands at disarmed"
}
