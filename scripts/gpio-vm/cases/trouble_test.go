//go:build gpiovm

package cases

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/twinpanel/twinpanel/internal/board"
)

// The user of a panel that is not root, and the group that udev gives the chips to.
const (
	nobody = 65534
	gpio   = 997
)

// TestMissingLine is found when the panel is started for the first time. Later it is a fault, and the other contacts guard.
func TestMissingLine(t *testing.T) {
	for _, tt := range []struct {
		name, line, want string
	}{
		{"name", "GPIO71", "--door door: no line of this computer is called GPIO71; did you mean GPIO1, "},
		{"chip", "pinctrl-bcm2711:17", "--door door: line pinctrl-bcm2711:17: no GPIO chip has a label that begins with pinctrl-bcm2711; the labels are pinctrl-sim"},
		{"offset", "pinctrl-sim:28", "--door door: line pinctrl-sim:28: chip pinctrl-sim has 28 lines, numbered from 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			b.says(b.fails(b.command(b.flags("--door", tt.line)...)), tt.want)
		})
	}
	t.Run("two chips with this beginning", func(t *testing.T) {
		b := newBench(t)
		newChip(t, "pinctrl-two", "OTHER")
		b.says(b.fails(b.command(b.flags("--door", "pinctrl-:17")...)), "pinctrl-sim, pinctrl-two")
	})
	t.Run("siren", func(t *testing.T) {
		b := newBench(t)
		b.says(b.fails(b.command(b.flags("--siren", "GPIO72")...)), "--siren: no line of this computer is called GPIO72")
	})
	t.Run("once installed", func(t *testing.T) {
		b := newBench(t)
		r := b.start()
		r.tell("disarm") // which is on the disk then
		r.stop(syscall.SIGTERM)
		r = b.start("--door", "front=GPIO17", "--door", "back=GPIO71")
		r.is("disarmed; back fault, front open; faults: back")
		r.stop(syscall.SIGTERM)
	})
}

// TestBusyLine has another program hold a contact, and then the siren. The panel says who, waits, and takes them when it can.
func TestBusyLine(t *testing.T) {
	b := newBench(t)
	held, err := board.OpenInput("GPIO17", board.NoPull)
	b.must(err)
	siren, err := board.OpenOutput("GPIO27", false)
	b.must(err)
	r := b.start()
	r.is("disarmed; door fault; faults: door, siren")
	r.says(r.Log.String(), "line GPIO17 is in use by", "line GPIO27 is in use by panel; stop it or choose another line")
	b.must(errors.Join(held.Close(), siren.Close()))
	r.is("disarmed; door open")
	r.move(front, false)
	r.is("disarmed; door closed")
	r.stop(syscall.SIGTERM)
}

// TestNotRoot runs the panel as the service does: as a user who may open the chips by a group, or may not.
func TestNotRoot(t *testing.T) {
	b := newBench(t)
	b.must(errors.Join(os.Chown(b.dir, nobody, gpio), os.Chmod(b.Node(), 0o660), os.Chown(b.Node(), 0, gpio)))
	for dir := b.dir; dir != "/tmp"; dir = dir[:strings.LastIndexByte(dir, '/')] {
		b.must(os.Chmod(dir, 0o755))
	}
	b.says(b.fails(as(b.command(b.flags()...), nobody, nobody)),
		b.Node()+": permission denied; add the user of this program to the group that owns it, usually gpio (usermod -aG gpio USER), and log in again")
	r := b.launch(as(b.command(b.flags()...), nobody, gpio))
	r.guards(true, true)
	r.stop(syscall.SIGTERM)
}

// says wants each of these in what a panel says.
func (b *bench) says(text string, want ...string) {
	b.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			b.Errorf("it says:\n%s\nwant: %s", text, w)
		}
	}
}
