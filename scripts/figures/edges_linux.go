package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/internal/gpiosim"
	"github.com/twinpanel/twinpanel/sensor"
)

// reportPrefix begins the line on which a machine says what was measured in it.
const reportPrefix = "measured: "

// edgeDebounce is that of all who are measured: the shortest, so that it hides least.
const edgeDebounce = sensor.MinDebounce

// recordPause is the pause between two looks at what the kernel has recorded. The times are the recorder's; so it is long
// enough to leave the processor to who is measured.
const recordPause = 100 * time.Millisecond

// An edgeReport is what was measured from an edge to a level, and from exec to lines that are claimed.
type edgeReport struct {
	Panel, PanelInMemory, Relay sample // from the contact's level to the siren's
	PanelStarts, RelayStarts    sample
	Lateness                    sample // how late a sleep of a millisecond ended: the machine's own noise
}

// edgesCommand is what runs inside the machine.
func edgesCommand() *cli.Command {
	var e edges
	return &cli.Command{
		Name:  "edges",
		Short: "measure on the kernel's simulated GPIO; beside calls it in a virtual machine",
		Long: `Measure from an edge to the siren's level, for the panel and for a program in C, on
lines of the kernel's GPIO simulator, and print it as JSON. It takes over the
kernel's recorder of GPIO and belongs into a machine of its own: figures beside
starts one and calls it there, as root.`,
		Flags: func(fs *pflag.FlagSet) {
			fs.IntVarP(&e.rounds, "rounds", "n", 200, "edges of each program")
			fs.StringVar(&e.panel, "panel", "/bin/panel", "`file` of the panel")
			fs.StringVar(&e.relay, "relay", "/bin/relay", "`file` of the program in C")
			fs.StringVar(&e.state, "state", "/data", "`folder` for the panel's journal")
		},
		Run: e.run,
	}
}

// edges is a chip with a contact and a siren for each program, so that they run side by side.
type edges struct {
	rounds              int
	panel, relay, state string
	chip                *gpiosim.Chip
}

// A wiring is the lines of one program.
type wiring struct{ contact, siren gpiosim.Line }

func (w wiring) names() (contact, siren string) {
	return fmt.Sprintf("CONTACT%d", w.contact), fmt.Sprintf("SIREN%d", w.siren)
}

func (e *edges) run(ctx context.Context, _ []string, stdout, stderr io.Writer) (err error) {
	wirings := []wiring{{0, 1}, {2, 3}, {4, 5}}
	var names []string
	for _, w := range wirings {
		contact, siren := w.names()
		names = append(names, contact, siren)
	}
	if e.chip, err = gpiosim.New("figures", names...); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.chip.Remove()) }()
	// The clock that monotonic reads.
	if err := os.WriteFile("/sys/kernel/tracing/trace_clock", []byte("mono"), 0); err != nil {
		return fmt.Errorf("setting the clock of the kernel's recorder: %w", err)
	}
	onDisk := e.newPanel(wirings[0], e.state)
	inMemory := e.newPanel(wirings[1], "/run/state")
	relay := e.newRelay(wirings[2])

	var report edgeReport
	if report.PanelStarts, err = e.starts(ctx, onDisk); err != nil {
		return err
	}
	if report.RelayStarts, err = e.starts(ctx, relay); err != nil {
		return err
	}
	running := []*wired{onDisk, inMemory, relay}
	for _, p := range running {
		if err := p.start(ctx, stderr); err != nil {
			return err
		}
		defer p.end()
	}
	samples := []*sample{&report.Panel, &report.PanelInMemory, &report.Relay}
	for round := range e.rounds {
		for i, p := range running {
			took, err := e.edge(ctx, p)
			if err != nil {
				return fmt.Errorf("round %d of %s: %w", round+1, p.args[0], err)
			}
			*samples[i] = append(*samples[i], took)
		}
	}
	if report.Lateness, err = measureLateness(ctx); err != nil {
		return err
	}
	text, err := json.Marshal(report)
	if err == nil {
		_, err = fmt.Fprintf(stdout, "%s%s\n", reportPrefix, text)
	}
	return err
}

// A wired program guards a wiring.
type wired struct {
	wiring
	args        []string
	arm, disarm []string // commands; nil = none is needed
	cmd         *exec.Cmd
}

func (e *edges) newPanel(w wiring, state string) *wired {
	contact, siren := w.names()
	return &wired{
		wiring: w,
		// No hub is there: nothing between contact and siren needs one.
		args: []string{e.panel, "--hub", "mqtt://127.0.0.1:1883", "--device-id", "00000000-0000-4000-8000-000000000000",
			"--door", contact, "--siren", siren, "--debounce", edgeDebounce.String(), "--state-dir", state},
		arm:    []string{e.panel, "arm", "--state-dir", state},
		disarm: []string{e.panel, "disarm", "--state-dir", state},
	}
}

func (e *edges) newRelay(w wiring) *wired {
	return &wired{wiring: w, args: []string{e.relay, e.chip.Node(),
		fmt.Sprint(int(w.contact)), fmt.Sprint(int(w.siren)), fmt.Sprint(edgeDebounce.Milliseconds())}}
}

// start starts the program and returns when it says that it guards, with its contact closed.
func (p *wired) start(ctx context.Context, log io.Writer) error {
	p.cmd = exec.CommandContext(ctx, p.args[0], p.args[1:]...)
	p.cmd.Env = []string{}
	p.cmd.Stderr = log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.HasPrefix(line, "guarding") {
		return errors.Join(fmt.Errorf("%s said %q when it was started", p.args[0], line), err, p.end())
	}
	return nil
}

func (p *wired) end() error {
	p.cmd.Process.Signal(syscall.SIGTERM)
	return p.cmd.Wait()
}

// starts starts a program again and again and returns how long each took to claim both lines.
func (e *edges) starts(ctx context.Context, p *wired) (sample, error) {
	var took sample
	for range max(e.rounds/4, 1) {
		if err := gpiosim.Record(); err != nil {
			return nil, err
		}
		began := monotonic()
		var log bytes.Buffer
		if err := p.start(ctx, &log); err != nil {
			return nil, err
		}
		var claimed time.Duration
		for _, line := range []gpiosim.Line{p.contact, p.siren} {
			act, err := e.await(ctx, line, "input", "output low", "output high")
			if err != nil {
				return nil, fmt.Errorf("%w\n%s", errors.Join(err, p.end()), &log)
			}
			claimed = max(claimed, act.Time)
		}
		took = append(took, claimed-began)
		if err := p.end(); err != nil {
			return nil, fmt.Errorf("ending %s: %w", p.args[0], err)
		}
	}
	return took, nil
}

// edge opens the contact of an armed program, returns how long the siren's line took to become high, and sees to
// it that it is low again.
func (e *edges) edge(ctx context.Context, p *wired) (time.Duration, error) {
	if err := e.chip.Pull(p.contact, false); err != nil {
		return 0, err
	}
	// Long enough for the contact to be seen closed, and at another time between two samples in each round.
	if err := cli.Pause(ctx, sensor.MinDebounce+100*time.Millisecond+rand.N(sensor.MaxSample)); err != nil {
		return 0, err
	}
	if err := call(ctx, p.arm); err != nil {
		return 0, err
	}
	if err := errors.Join(cli.Pause(ctx, 50*time.Millisecond), gpiosim.Record()); err != nil {
		return 0, err
	}
	began := monotonic()
	if err := e.chip.Pull(p.contact, true); err != nil {
		return 0, err
	}
	on, err := e.await(ctx, p.siren, "set high")
	if err != nil {
		return 0, err
	}
	if err := errors.Join(e.chip.Pull(p.contact, false), call(ctx, p.disarm)); err != nil {
		return 0, err
	}
	return on.Time - began, e.awaitSilence(ctx, p.siren)
}

// awaitSilence waits until a siren's line is low.
func (e *edges) awaitSilence(ctx context.Context, siren gpiosim.Line) error {
	ctx, cancel := context.WithTimeoutCause(ctx, stepTimeout, fmt.Errorf("line %d is high %v after the alarm", siren, stepTimeout))
	defer cancel()
	for {
		if err := cli.Pause(ctx, lookPause); err != nil {
			return err
		}
		if high, err := e.chip.Level(siren); err != nil || !high {
			return err
		}
	}
}

// await waits until one of these things was done to a line, and returns the first.
func (e *edges) await(ctx context.Context, line gpiosim.Line, what ...string) (gpiosim.Act, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, stepTimeout, fmt.Errorf("line %d: waited %v for %q", line, stepTimeout, what))
	defer cancel()
	for {
		if err := cli.Pause(ctx, recordPause); err != nil {
			return gpiosim.Act{}, err
		}
		acts, err := e.chip.Acts(line)
		if err != nil {
			return gpiosim.Act{}, err
		}
		for _, act := range acts {
			if slices.Contains(what, act.What) {
				return act, nil
			}
		}
	}
}

// call runs a command, if there is one.
func call(ctx context.Context, args []string) error {
	if args == nil {
		return nil
	}
	if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// monotonic is the time on the kernel's clock of that name.
func monotonic() time.Duration {
	var t unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // fails only for a clock that there is not
	return time.Duration(t.Nano())
}
