package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/internal/board"
)

// A bench of a board: its chips, its lines by each of their names, and what holds them at a level.
type fakeBoard struct {
	kernel string
	chips  []board.Chip
	err    error
	lines  map[string]board.Line
	held   map[string]bool  // levels of lines that something holds; the others follow the pull
	broken map[string]error // lines that can't be read
}

func (b fakeBoard) bench() bench {
	return bench{
		kernel: b.kernel,
		chips:  func() ([]board.Chip, error) { return b.chips, b.err },
		look: func(name string) (board.Line, error) {
			if line, found := b.lines[name]; found {
				return line, nil
			}
			return board.Line{}, fmt.Errorf("no line of this computer is called %s", name)
		},
		read: func(name string, pull board.Pull) (bool, error) {
			if level, held := b.held[name]; held {
				return level, b.broken[name]
			}
			return pull == board.PullUp, b.broken[name]
		},
	}
}

// raspberry is a board on which all is well: contacts to ground, doors closed.
func raspberry() fakeBoard {
	line := func(n int) board.Line { return board.Line{Chip: "pinctrl-bcm2711", Offset: n} }
	return fakeBoard{
		kernel: "6.12.25+rpt-rpi-v8",
		chips:  []board.Chip{{Path: "/dev/gpiochip0", Label: "pinctrl-bcm2711", Lines: 58}},
		lines: map[string]board.Line{
			"GPIO17": line(17), "GPIO18": line(18), "GPIO22": line(22), "GPIO23": line(23), "GPIO27": line(27), "pinctrl-:17": line(17),
		},
		held: map[string]bool{"GPIO17": false, "GPIO18": false},
	}
}

// parsed is a Config with these flags.
func parsed(t *testing.T, f flags) *Config {
	t.Helper()
	c := new(Config)
	set := pflag.NewFlagSet("panel", pflag.ContinueOnError)
	c.flags(set)
	if err := set.Parse(f.args()); err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return c
}

var userName = regexp.MustCompile(`by user .+`)

// TestCheckFindsWrongWiring has each wrong line and wire that a panel can see without driving anything.
func TestCheckFindsWrongWiring(t *testing.T) {
	const chip, siren, closed = "ok   gpio          1 chip can be opened by USER\n", "ok   siren         GPIO27 is free: line 27 of pinctrl-bcm2711\n", "ok   door door     GPIO17 reads closed\n"
	use := func(name, by string) func(*fakeBoard) {
		return func(b *fakeBoard) {
			line := b.lines[name]
			line.Used, line.By = true, by
			b.lines[name] = line
		}
	}
	tests := []struct {
		name string
		set  flags
		edit func(*fakeBoard)
		want string
	}{
		{
			"no chip", nil, func(b *fakeBoard) { b.chips = nil },
			"BAD  gpio          this computer has no GPIO chip (/dev/gpiochip*)\n                   -> run this on a board with GPIO lines, or use --simulate\n",
		},
		{
			"no Linux", nil, func(b *fakeBoard) {
				b.kernel, b.err = "", errors.New("GPIO lines can be opened on Linux only, not on plan9; the simulator needs none")
			},
			"BAD  gpio          GPIO lines can be opened on Linux only, not on plan9; the simulator needs none\n                   -> run this on a board with GPIO lines, or use --simulate\n",
		},
		{
			"old kernel", nil, func(b *fakeBoard) { b.kernel, b.chips = "5.9.14", nil },
			"BAD  kernel        5.9.14 is too old: GPIO lines need Linux 5.10\n                   -> upgrade the system\n" +
				"BAD  gpio          this computer has no GPIO chip (/dev/gpiochip*)\n                   -> run this on a board with GPIO lines, or use --simulate\n",
		},
		{
			"no permission", nil, func(b *fakeBoard) { b.chips[0] = board.Chip{Path: "/nowhere/gpiochip0", Err: fs.ErrPermission} },
			"BAD  gpio          /nowhere/gpiochip0 may not be opened by USER\n                   -> see who may open it: ls -l /nowhere/gpiochip0\n",
		},
		{
			"no permission for one of two", nil, func(b *fakeBoard) {
				b.chips = append(b.chips, board.Chip{Path: "/nowhere/gpiochip1", Err: fs.ErrPermission})
			},
			"BAD  gpio          /nowhere/gpiochip1 may not be opened by USER\n                   -> see who may open it: ls -l /nowhere/gpiochip1\n" + chip + siren + closed,
		},
		{
			"lines that are not there", flags{"door": "GPIO16", "siren": "GPIO26"}, nil,
			chip + "BAD  siren         no line of this computer is called GPIO26\n                   -> look at --siren\n" +
				"BAD  door door     no line of this computer is called GPIO16\n                   -> look at --door door\n",
		},
		{
			"siren in use", nil, use("GPIO27", "gpioset"),
			chip + "BAD  siren         line GPIO27 is in use by gpioset; stop it or choose another line\n" +
				"                   -> see what uses it: a program, or a dtoverlay= in config.txt that takes this line for itself\n" + closed,
		},
		{
			"door in use", nil, use("GPIO17", ""),
			chip + siren + "BAD  door door     line GPIO17 is in use by another program; stop it or choose another line (gpioinfo tells which)\n" +
				"                   -> see what uses it: a program, or a dtoverlay= in config.txt that takes this line for itself\n",
		},
		{
			"door that cannot be read", nil, func(b *fakeBoard) {
				b.broken = map[string]error{"GPIO17": errors.New("reading line GPIO17: no such device")}
			},
			chip + siren + "BAD  door door     reading line GPIO17: no such device\n                   -> look at --door door\n",
		},
		{
			"one line by two names", flags{"door": "a=GPIO17,b=pinctrl-:17"}, nil,
			chip + siren + "ok   door a        GPIO17 reads closed\nok   door b        pinctrl-:17 reads open: the door is open, or its wire is cut\n" +
				"BAD  lines         --door a and --door b name the same line: GPIO17 is pinctrl-:17\n                   -> give each a line of its own\n",
		},
		{
			"siren that sounds low", flags{"siren-active": "low"}, nil,
			chip + siren + closed + "     siren         it sounds while its line is low: without a resistor to 3.3 V it may sound while the computer starts\n",
		},
		{
			"contact to 3.3 V instead of ground", nil, func(b *fakeBoard) { b.held["GPIO17"] = true },
			chip + siren + "ok   door door     GPIO17 reads open, whichever way it is pulled: a resistor holds it, or the contact is wired the other way (--door-open-level low)\n",
		},
		{
			"contact to ground instead of 3.3 V", flags{"door-open-level": "low"}, nil,
			chip + siren + "ok   door door     GPIO17 reads open, whichever way it is pulled: a resistor holds it, or the contact is wired the other way (--door-open-level high)\n",
		},
		{
			"door open", nil, func(b *fakeBoard) { delete(b.held, "GPIO17") },
			chip + siren + "ok   door door     GPIO17 reads open: the door is open, or its wire is cut\n",
		},
		{
			"key switch whose wires touch", flags{"key": "GPIO18"}, nil,
			chip + siren + closed + "ok   key           GPIO18 reads closed: somebody turns it, or its wires touch\n",
		},
		{
			"key switch whose wire is cut", flags{"key": "GPIO22", "key-type": "maintained"}, nil,
			chip + siren + closed + "ok   key           GPIO22 reads open: it stands at armed, or its wire is cut\n",
		},
		{
			"key switch and buzzer", flags{"key": "GPIO18", "key-type": "maintained", "buzzer": "GPIO23"}, nil,
			chip + siren + closed + "ok   key           GPIO18 reads closed: it stands at disarmed\nok   buzzer        GPIO23 is free: line 23 of pinctrl-bcm2711\n",
		},
		{"all is well", nil, nil, chip + siren + closed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := raspberry()
			if tt.edit != nil {
				tt.edit(&b)
			}
			var out bytes.Buffer
			f := &findings{w: &out}
			parsed(t, good().with(tt.set)).checkWires(f, b.bench())
			if got := userName.ReplaceAllString(out.String(), "by USER"); got != tt.want {
				t.Errorf("got\n%swant\n%s", got, tt.want)
			}
			if want := strings.Count(tt.want, "BAD"); f.bad != want {
				t.Errorf("counted %d bad findings, want %d", f.bad, want)
			}
		})
	}
}

func TestKernelsThatAreTooOld(t *testing.T) {
	for release, want := range map[string]bool{
		"": false, "unknown": false, "4.19.118-v7l+": true, "5.4.0": true, "5.9.14": true, "5.10.0": false, "5.15.92-v8+": false, "6.1": false, "10.0.1": false,
	} {
		if got := tooOld(release); got != want {
			t.Errorf("%q is too old: %t, want %t", release, got, want)
		}
	}
}
