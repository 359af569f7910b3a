package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/internal/durable"
	"github.com/twinpanel/twinpanel/internal/panel"
)

// checkCommand is panel check.
func checkCommand() *cli.Command {
	var c checklist
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
never touched. With the flags of the service, as root:
  (set -a; . /etc/twinpanel/panel.env; panel check)

With --report it begins with what helps others to help you: this program, the
system, the board and its GPIO chips. It names no device, host, file or secret.`,
		Flags: func(fs *pflag.FlagSet) {
			c.flags(fs)
			fs.BoolVar(&c.Report, "report", false, "print what can be pasted where somebody asks which board this is, with the findings")
			cli.FlagOnly(fs, "report")
		},
		Run: c.check,
	}
}

// A checklist is what panel check was told.
type checklist struct {
	Config
	Report bool
}

// findings prints what is found and counts what is bad.
type findings struct {
	w    io.Writer
	bad  int
	hide func(what, text string) string // takes out what a report must not tell; nil = nothing
}

func (f *findings) ok(what, format string, args ...any) {
	f.line("ok", what, fmt.Sprintf(format, args...))
}

// note prints what is neither good nor bad.
func (f *findings) note(what, format string, args ...any) {
	f.line("", what, fmt.Sprintf(format, args...))
}

func (f *findings) wrong(what string, err error, next string) {
	f.bad++
	f.line("BAD", what, err.Error())
	if f.hide == nil { // a report is for those who know what to do
		fmt.Fprintf(f.w, "%18s -> %s\n", "", next)
	}
}

func (f *findings) line(mark, what, text string) {
	if f.hide != nil {
		text = f.hide(what, text)
	}
	fmt.Fprintf(f.w, "%-4s %-13s %s\n", mark, what, text)
}

func (c *checklist) check(ctx context.Context, _ []string, stdout, _ io.Writer) error {
	f := &findings{w: stdout}
	b := thisBench()
	if c.Report {
		c.report(stdout, b)
		f.hide = c.secrets()
	}
	if err := c.Validate(); err != nil {
		return err
	}
	f.ok("flags", "they fit together")
	c.checkFolder(f)
	c.checkClock(f)
	c.checkCredentials(f)
	c.checkPanel(ctx, f, b)
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

func (c *Config) checkClock(f *findings) {
	if err := panel.ClockProblem(time.Now(), c.StateDir); err != nil {
		f.wrong("clock", err,
			"set it, or wait for network time; guarding doesn't need it, but last_update is wrong and TLS may refuse certificates")
		return
	}
	f.ok("clock", "%s", time.Now().UTC().Format(time.RFC3339))
}

// checkPanel asks the running panel. Without one it looks at what the panel would use.
func (c *Config) checkPanel(ctx context.Context, f *findings, b bench) {
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
		c.checkWires(f, b)
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
		"clock":      "see the lines about the clock and the hub; if somebody has set the clock by hand, and it is right now, restart the panel",
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
