package main

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/internal/cli"
)

// What the panel is measured beside.
var (
	//go:embed peers/relay.c
	relaySource []byte
	//go:embed peers/alarm.py
	alarmScript []byte
)

// settle is how long programs run before it is looked at what they do when nothing happens.
const settle = 10 * time.Second

// edgeAllowance is how much longer than the program in C the panel may take from an edge to the siren's level.
const edgeAllowance = 5 * time.Millisecond

// Beside is what figures beside is told by flags and environment. flags has the defaults.
type Beside struct {
	Rounds int           // edges of each program; a quarter as many starts
	Idle   time.Duration // 0 = leave it out
}

// peerCommands are the commands that measure the panel beside other programs.
func peerCommands() []*cli.Command {
	var b Beside
	return []*cli.Command{{
		Name:  "beside",
		Short: "measure the panel beside what one would write in C or Python instead",
		Long: `Measure the panel beside a program in C that drives a relay with libgpiod (from
edge to siren level, in a virtual machine with the kernel's GPIO simulator), and
beside an alarm in Python with gpiozero and paho-mqtt that gets "desired" and puts
"current" once a second (start, memory, processor time and traffic when nothing
happens, at the same time and at the same hub). Both are in scripts/figures/peers.

It takes the idle time and about five minutes. Beside what scripts/gpio-vm needs, it
needs of Debian 12 the packages libgpiod-dev, python3-gpiozero, python3-paho-mqtt
and e2fsprogs.`,
		Flags: b.flags,
		Run:   b.run,
	}, edgesCommand()}
}

func (b *Beside) flags(fs *pflag.FlagSet) {
	fs.IntVarP(&b.Rounds, "rounds", "n", 200, "edges of each program: 1 to 10000; a quarter as many starts")
	fs.DurationVar(&b.Idle, "idle", 10*time.Minute, "how long to look at what they do when nothing happens: 0s to 1h; 0s leaves it out")
}

// Validate says which flag is wrong.
func (b *Beside) Validate() error { return cmp.Or(checkRounds(b.Rounds), checkIdle(b.Idle)) }

// run measures everything and prints the table. All that it has started has ended when it returns.
func (b *Beside) run(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
	if err := b.Validate(); err != nil {
		return err
	}
	dir, remove, err := makeFolder()
	if err != nil {
		return err
	}
	defer remove()
	rows, noise, err := b.measure(ctx, dir, stderr)
	if ctx.Err() != nil {
		return fmt.Errorf("nothing is measured: %w", context.Cause(ctx))
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s on %s/%s with %d processors; edges: %d, starts: %d, idle: %v; %s\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH,
		runtime.NumCPU(), b.Rounds, b.starts(), b.Idle, noise)
	return rows.print(stdout)
}

func (b *Beside) starts() int { return max(b.Rounds/4, 1) }

// measure measures in the machine, then on this computer, so that one doesn't disturb the other.
func (b *Beside) measure(ctx context.Context, dir string, stderr io.Writer) (rows comparisons, noise string, err error) {
	fmt.Fprintln(stderr, "building")
	if err := (target{arch: runtime.GOARCH}).build(ctx, dir); err != nil {
		return nil, "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "alarm.py"), alarmScript, 0o755); err != nil {
		return nil, "", err
	}
	late, err := measureLateness(ctx)
	if err != nil {
		return nil, "", err
	}
	fmt.Fprintf(stderr, "opening contacts %d times in a virtual machine\n", 3*b.Rounds)
	r, err := measureEdges(ctx, dir, b.Rounds, stderr)
	if err != nil {
		return nil, "", err
	}
	here, err := b.measurePython(ctx, dir, stderr)
	if err != nil {
		return nil, "", err
	}
	startsInVM := compareTimes("exec to lines claimed, in the VM", r.PanelStarts, r.RelayStarts, 0, "C; it has no journal, rules or hub: no race")
	startsInVM.uneven = true
	edges := comparisons{
		compareTimes("edge to siren level, journal on disk", r.Panel, r.Relay, edgeAllowance, "C; VM; debounce "+edgeDebounce.String()),
		compareTimes("the same, journal in memory", r.PanelInMemory, r.Relay, edgeAllowance, "C; VM"),
		startsInVM,
	}
	noise = fmt.Sprintf("load %s\na sleep of %v is late by %s here (p99 %s) and %s in the VM (p99 %s)", loadAverage(), nap,
		milliseconds(late.quantile(0.5)), milliseconds(late.quantile(0.99)),
		milliseconds(r.Lateness.quantile(0.5)), milliseconds(r.Lateness.quantile(0.99)))
	return append(edges, here...), noise, nil
}

// measurePython measures the panel beside the alarm in Python.
func (b *Beside) measurePython(ctx context.Context, dir string, stderr io.Writer) (rows comparisons, err error) {
	s, err := open(ctx, dir)
	if err != nil {
		return nil, err
	}
	var all devices
	defer func() {
		broken := err != nil && ctx.Err() == nil
		err = errors.Join(err, all.close(broken, stderr), s.close(broken, stderr))
	}()
	panel, err := all.add(s.addPanel(ctx, "noticed panel", false))
	if err != nil {
		return nil, err
	}
	polling, err := all.add(s.addPanel(ctx, "polling panel", true))
	if err != nil {
		return nil, err
	}
	alarm, err := all.add(s.addAlarm(ctx, "alarm.py"))
	if err != nil {
		return nil, err
	}

	fmt.Fprintf(stderr, "starting panel and alarm.py %d times each\n", b.starts())
	var panelStarts, alarmStarts sample
	for range b.starts() {
		if err := cmp.Or(panel.restart(ctx, &panelStarts), alarm.restart(ctx, &alarmStarts)); err != nil {
			return nil, err
		}
	}
	rows = comparisons{compareTimes("exec to lines claimed", panelStarts, alarmStarts, 0, "Python, which reads no journal")}
	if b.Idle == 0 {
		return rows, nil
	}
	if err := polling.restart(ctx, new(sample)); err != nil {
		return nil, err
	}
	fmt.Fprintf(stderr, "letting them idle for %v\n", b.Idle)
	if err := cli.Pause(ctx, settle); err != nil {
		return nil, err
	}
	idle, err := all.measureIdle(ctx, b.Idle)
	if err != nil {
		return nil, err
	}
	return append(rows, compareIdle(idle[0], idle[1], idle[2], b.Idle)...), nil
}

// compareIdle compares a panel, one at a hub without change notices, and the alarm in Python.
func compareIdle(panel, polling, alarm idleness, d time.Duration) comparisons {
	row := func(what string, show func(float64) string, of func(idleness) float64, note string) comparisons {
		return comparisons{
			{what: what, show: show, panel: of(panel), peer: of(alarm), note: note},
			{what: "  at a hub without notices", show: show, panel: of(polling), peer: of(alarm)},
		}
	}
	return slices.Concat(
		row("resident memory", inMebibytes, func(i idleness) float64 { return float64(i.memory.resident) }, "Python; after the idle time"),
		row("processor time, idle", inMilliseconds, func(i idleness) float64 { return i.cpu }, fmt.Sprintf("Python, with mock pins; in %v", d)),
		row("messages an hour", inWhole, func(i idleness) float64 { return i.packets }, "Python; MQTT packets, both ways"),
		row("bytes an hour", inKilobytes, func(i idleness) float64 { return i.bytes }, "Python; both ways, before TCP and TLS"),
	)
}

// loadAverage is what the kernel says of the last 1, 5 and 15 minutes.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	fields := strings.Fields(string(text))
	return strings.Join(fields[:min(3, len(fields))], " ")
}
