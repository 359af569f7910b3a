package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/twinpanel/twinpanel/internal/board"
	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/internal/durable"
	"github.com/twinpanel/twinpanel/internal/panel"
)

// checkCommand is panel check.
func checkCommand() *cli.Command {
	var c Config
	return &cli.Command{
		Name:  "check",
		Short: "Look at everything a panel needs, change nothing, and say what to do.",
		Long: `Look at everything a panel with these flags needs, change nothing, and print a
line for each finding: ok or BAD, and what to do. It ends with 1 if something
is bad.

The files with certificates, keys and secrets are read, and one that ends within
30 days is bad. While a panel runs on this state folder it is asked. Otherwise
contacts are read and the hub is visited as this device, which a panel on another
computer would notice as a lost connection. The siren's line is looked up, but
never touched.`,
		Flags: c.flags,
		Run:   c.check,
	}
}

// findings prints what is found and counts what is bad.
type findings struct {
	w   io.Writer
	bad int
}

func (f *findings) ok(what, format string, args ...any) {
	fmt.Fprintf(f.w, "ok   %-13s %s\n", what, fmt.Sprintf(format, args...))
}

// note prints what is neither good nor bad.
func (f *findings) note(what, format string, args ...any) {
	fmt.Fprintf(f.w, "     %-13s %s\n", what, fmt.Sprintf(format, args...))
}

func (f *findings) wrong(what string, err error, next string) {
	f.bad++
	fmt.Fprintf(f.w, "BAD  %-13s %v\n%18s -> %s\n", what, err, "", next)
}

func (c *Config) check(ctx context.Context, _ []string, stdout, _ io.Writer) error {
	if err := c.Validate(); err != nil {
		return err
	}
	f := &findings{w: stdout}
	f.ok("flags", "they fit together")
	c.checkFolder(f)
	c.checkClock(f)
	c.checkCredentials(f)
	c.checkPanel(ctx, f)
	return f.verdict()
}

// verdict is the end of a command that has printed findings.
func (f *findings) verdict() error {
	switch {
	case f.bad == 1:
		return cli.Hint(errors.New("1 finding is bad"), "the line marked BAD is followed by what to do")
	case f.bad > 1:
		return cli.Hint(fmt.Errorf("%d findings are bad", f.bad), "each line marked BAD is followed by what to do")
	}
	return nil
}

func (c *Config) checkFolder(f *findings) {
	info, err := os.Stat(c.StateDir)
	if err == nil && info.IsDir() {
		err = tryFolder(c.StateDir)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.ok("state folder", "%s is not there yet; the panel makes it and begins disarmed", c.StateDir)
		return
	case errors.Is(err, fs.ErrPermission):
		f.wrong("state folder", err, "run this as the panel's user, or choose another --state-dir")
		return
	case err == nil && !info.IsDir(), errors.Is(err, syscall.ENOTDIR):
		f.wrong("state folder", fmt.Errorf("%s is no folder", c.StateDir), "choose another --state-dir")
		return
	case err != nil:
		f.wrong("state folder", err, "make room on its disk, or replace the card; the panel guards, but a power cut may lose what is armed")
	default:
		f.ok("state folder", "%s can be written", c.StateDir)
	}
	armed, err := panel.ArmedOffline(c.StateDir)
	switch {
	case errors.Is(err, fs.ErrPermission):
		f.wrong("journal", err, "run this as the panel's user")
	case err != nil:
		f.wrong("journal", err, fmt.Sprintf("a panel that starts on it is %s until the hub or somebody says otherwise, and keeps a copy", c.OnCorrupt))
	case armed:
		f.ok("journal", "armed")
	default:
		f.ok("journal", "disarmed")
	}
}

// tryFolder writes about as much as a panel does, and removes it again.
func tryFolder(dir string) error {
	file, err := os.CreateTemp(dir, "check-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.Write(make([]byte, 4096))
	return errors.Join(err, file.Sync(), file.Close())
}

func (c *Config) checkClock(f *findings) {
	if err := panel.ClockProblem(time.Now(), c.StateDir); err != nil {
		f.wrong("clock", err,
			"set it, or wait for network time; guarding doesn't need it, but last_update is wrong and TLS may refuse certificates")
		return
	}
	f.ok("clock", "%s", time.Now().UTC().Format(time.RFC3339))
}

// checkPanel asks the running panel. Without one it looks at what the panel would use.
func (c *Config) checkPanel(ctx context.Context, f *findings) {
	asking, cancel := context.WithTimeoutCause(ctx, commandTimeout, errNoAnswer)
	defer cancel()
	status, err := panel.Control(c.StateDir).Status(asking)
	switch {
	case err == nil:
		c.checkRunning(f, status)
	case !notRunning(err):
		f.wrong("panel", err, cmp.Or(nextStep(err), "see the panel's log"))
	case panel.InUse(c.StateDir):
		f.wrong("panel", durable.ErrLocked, nextStep(durable.ErrLocked))
	default:
		f.ok("panel", "none is running on this state folder")
		c.checkWires(f)
		c.checkHub(ctx, f)
	}
}

// checkRunning reports what a running panel says of itself.
func (c *Config) checkRunning(f *findings, s panel.Status) {
	f.ok("panel", "running: %s", describe(s))
	next := map[string]string{
		"journal":    "see the panel's log: make room on the disk of the state folder, or replace the card; if the journal was unreadable, arm or disarm once",
		"key":        "look at the key switch's line and its wires; it neither arms nor disarms now; the panel's log has the error",
		"siren":      "look at the siren's line and its wiring; the panel's log has the error",
		"clock":      "see the lines about the clock and the hub",
		"rings_used": "the siren stays silent until somebody disarms and arms again",
	}
	for _, word := range s.Faults {
		todo := next[word]
		if todo == "" {
			todo = "look at the wires and the line of this contact; the panel's log has the error"
		}
		f.wrong("fault", errors.New(word), todo)
	}
	c.checkLink(f, s)
}

// checkLink reports what a running panel says of the hub.
func (c *Config) checkLink(f *findings, s panel.Status) {
	reason, _ := strings.CutSuffix(s.Hub, ": "+s.HubNext)
	switch {
	case s.Hub == "connected":
		f.ok("hub", "connected")
	case c.found(s.Hub):
	default:
		f.wrong("hub", errors.New(reason), cmp.Or(s.HubNext,
			"check --hub, the network, that the hub runs, and that no other program uses this device id; the panel guards without it"))
	}
}

// checkWires looks up the lines of siren and buzzer, and reads those of contacts and key switch once.
func (c *Config) checkWires(f *findings) {
	if c.Simulate != "" {
		f.ok("doors", "simulated")
		return
	}
	if err := board.Init(); err != nil {
		f.wrong("gpio", err, "run this on a board with GPIO lines, or use --simulate")
		return
	}
	checkOutput(f, "siren", c.Siren)
	l := c.real()
	for _, d := range c.doors {
		checkInput(f, l, "door "+d.name, d)
	}
	if c.Key != "" {
		checkInput(f, l, "key", door{"key", c.Key})
	}
	if c.Buzzer != "" {
		checkOutput(f, "buzzer", c.Buzzer)
	}
	if err := c.usedTwice(board.Same); err != nil {
		f.wrong("lines", err, "give each a line of its own")
	}
}

// checkOutput looks a line up. It never touches it.
func checkOutput(f *findings, what, line string) {
	if err := board.Lookup(line); err != nil {
		f.wrong(what, err, fmt.Sprintf("look at --%s, and whether this user is in the group gpio", what))
		return
	}
	f.ok(what, "%s is there", line)
}

// checkInput reads a contact once.
func checkInput(f *findings, l lines, what string, d door) {
	open, err := readOnce(l, d)
	flag, _, _ := strings.Cut(what, " ")
	switch {
	case err != nil:
		f.wrong(what, err, fmt.Sprintf("look at --%s, the wires, and whether this user is in the group gpio", flag))
	case open:
		f.ok(what, "%s reads open", d.line)
	default:
		f.ok(what, "%s reads closed", d.line)
	}
}

func readOnce(l lines, d door) (open bool, err error) {
	line, err := l.door(d)()
	if err != nil {
		return false, err
	}
	defer line.Close()
	high, err := line.Read()
	return high == l.openHigh, err
}
