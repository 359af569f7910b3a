package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/internal/agent"
	"github.com/twinpanel/twinpanel/internal/board"
	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/internal/durable"
	"github.com/twinpanel/twinpanel/internal/panel"
	"github.com/twinpanel/twinpanel/sensor"
	"github.com/twinpanel/twinpanel/siren"
	"github.com/twinpanel/twinpanel/twin"
	"github.com/twinpanel/twinpanel/twinclient"
)

const (
	lookEvery = 200 * time.Millisecond // at the contacts
	countdown = 3                      // seconds before the siren
	maxWatch  = 10 * time.Minute
)

// A selftest is what panel selftest was told.
type selftest struct {
	Config
	Watch  time.Duration // longest time that contacts are watched
	Silent bool          // leave the siren out

	findings
}

var errCancelled = errors.New("cancelled; the siren is off")

func selftestCommand() *cli.Command {
	var t selftest
	return &cli.Command{
		Name:  "selftest",
		Short: "Try contacts, siren and hub with somebody at the panel.",
		Long: `Try contacts, siren and hub with somebody at the panel.

Each change of a contact is printed until each was open and closed, or --watch is
over. Then the siren sounds for one second, after a countdown in which Ctrl-C
cancels. Then the hub is asked. It ends with 1 if something is bad.

A panel that runs on this state folder is asked to do it, and must be disarmed: it
goes on guarding, ends the sound by itself and doesn't take it for an alarm.
Without one, the lines are opened here, and no panel can start on this folder
meanwhile. Should this be killed while the siren sounds: panel siren-off.`,
		Flags: func(fs *pflag.FlagSet) {
			t.flags(fs)
			fs.DurationVar(&t.Watch, "watch", 30*time.Second, "longest time to open and close the doors: 0s to 600s")
			fs.BoolVar(&t.Silent, "silent", false, "leave the siren out")
			cli.FlagOnly(fs, "watch", "silent")
		},
		Run: t.run,
	}
}

func (t *selftest) run(ctx context.Context, _ []string, stdout, _ io.Writer) error {
	if err := t.Validate(); err != nil {
		return err
	}
	if t.Watch < 0 || t.Watch > maxWatch {
		return cli.Usagef("--watch is %v: expected 0s to %s", short(t.Watch), short(maxWatch))
	}
	t.w = stdout
	asking, cancel := context.WithTimeoutCause(ctx, commandTimeout, errNoAnswer)
	defer cancel()
	status, err := panel.Control(t.StateDir).Status(asking)
	switch {
	case err == nil:
		t.besidePanel(ctx, status)
	case notRunning(err):
		err = t.alone(ctx)
		if err != nil {
			return withNextStep(err)
		}
	default:
		return withNextStep(err)
	}
	if ctx.Err() != nil {
		return errCancelled
	}
	return t.verdict()
}

// besidePanel has the running panel do it.
func (t *selftest) besidePanel(ctx context.Context, s panel.Status) {
	p := panel.Control(t.StateDir)
	t.ok("panel", "running: %s", describe(s))
	if s.Armed {
		t.wrong("panel", errors.New("armed, so neither contacts nor siren are tried"), "panel disarm, then run this again")
	} else {
		t.contacts(ctx, func() (map[string]string, error) {
			s, err := p.Status(ctx)
			return s.Doors, err
		})
		t.siren(ctx, func() error {
			// Whoever cancels waits for the end of that second: the panel silences the siren, not this.
			ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), commandTimeout, errNoAnswer)
			defer cancel()
			_, err := p.TestSiren(ctx)
			return err
		})
	}
	if ctx.Err() != nil {
		return
	}
	s, err := p.Status(ctx)
	switch {
	case err != nil:
		t.wrong("panel", err, cmp.Or(nextStep(err), "see the panel's log"))
	case s.Hub == "connected" && s.HubAnswered != nil:
		t.ok("hub", "connected; it answered %d s ago", *s.HubAnswered/1000)
	default:
		t.checkLink(&t.findings, s)
	}
}

// alone opens the lines itself, while no panel runs.
func (t *selftest) alone(ctx context.Context) error {
	lock, err := durable.Lock(t.StateDir)
	switch {
	case err == nil:
		defer lock.Close()
	case !errors.Is(err, fs.ErrNotExist): // a new installation has none, and needs none for this
		return fmt.Errorf("state folder: %w", err)
	}
	t.ok("panel", "none is running on this state folder")
	l, err := t.ownLines()
	if err != nil {
		return err
	}
	if err := t.senseDoors(ctx, l); err != nil {
		return err
	}
	t.siren(ctx, func() error { return soundSiren(ctx, l) })
	if ctx.Err() == nil {
		t.roundTrip(ctx)
	}
	return nil
}

// ownLines are the lines that a panel would open.
func (t *selftest) ownLines() (lines, error) {
	if t.Simulate == "" {
		return t.real(), board.Init()
	}
	house, err := t.newHouse()
	if err != nil {
		return lines{}, err
	}
	return t.simulated(house), nil
}

// senseDoors is contacts without a panel that reads them.
func (t *selftest) senseDoors(ctx context.Context, l lines) error {
	sensing, stop := context.WithCancel(ctx)
	var sensors sync.WaitGroup
	defer sensors.Wait()
	defer stop()
	var mu sync.Mutex
	readings := map[string]string{}
	note := func(d door, r sensor.Reading) {
		mu.Lock()
		defer mu.Unlock()
		readings[d.name] = r.String()
	}
	for _, d := range t.doors {
		s, err := t.sensor(l, d, slog.New(slog.DiscardHandler))
		if err != nil {
			return err
		}
		note(d, sensor.Unknown)
		sensors.Go(func() { s.Run(sensing, func(r sensor.Reading) { note(d, r) }) })
	}
	t.contacts(ctx, func() (map[string]string, error) {
		mu.Lock()
		defer mu.Unlock()
		return maps.Clone(readings), nil
	})
	return nil
}

// contacts prints each change of a contact, until each was seen open and closed or there is no more time. Look tells the
// readings by name.
func (t *selftest) contacts(ctx context.Context, look func() (map[string]string, error)) {
	if t.Watch == 0 {
		return
	}
	t.note("doors", "open and close each of them now, within %s", short(t.Watch))
	over := time.After(t.Watch)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	last, open, closed := map[string]string{}, map[string]bool{}, map[string]bool{}
	for waiting := true; waiting; {
		now, err := look()
		if err != nil {
			if ctx.Err() == nil {
				t.wrong("doors", err, cmp.Or(nextStep(err), "see the panel's log"))
			}
			return
		}
		waiting = false
		for _, name := range slices.Sorted(maps.Keys(now)) {
			if reading := now[name]; reading != last[name] {
				t.note("door "+name, "%s", reading)
				last[name] = reading
				open[name] = open[name] || reading == "open"
				closed[name] = closed[name] || reading == "closed"
			}
			waiting = waiting || !open[name] || !closed[name]
		}
		if !waiting {
			break
		}
		select {
		case <-tick.C:
		case <-over:
			waiting = false
		case <-ctx.Done():
			return
		}
	}
	for _, name := range slices.Sorted(maps.Keys(last)) {
		switch reading := last[name]; {
		case reading == "unknown", reading == "fault":
			t.wrong("door "+name, errors.New("it cannot be read"), "panel check says why")
		case open[name] && closed[name]:
			t.ok("door "+name, "was open and closed")
		default:
			t.wrong("door "+name, fmt.Errorf("it was %s all the time", reading),
				"if somebody has moved it: look at its magnet, contact and wires; if not: run this again, with more --watch, or with --watch 0s to leave the doors out")
		}
	}
}

// siren has the siren sounded after a countdown.
func (t *selftest) siren(ctx context.Context, sound func() error) {
	if t.Silent {
		return
	}
	for n := countdown; n > 0; n-- {
		t.note("siren", "sounds for 1 s in %d s; Ctrl-C cancels", n)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return
		}
	}
	t.sounded(sound())
}

// sounded says what became of the sound.
func (t *selftest) sounded(err error) {
	switch {
	case errors.Is(err, panel.ErrNotNow):
		t.wrong("siren", err, "when the panel is disarmed and nobody else tests it, run this again")
	case err != nil:
		t.wrong("siren", err, "look at the siren's line; panel check says more")
	default:
		t.ok("siren", "its line was on for 1 s; if nobody has heard it, look at relay, siren and supply")
	}
}

// soundSiren sounds the siren for a second, or until ctx ends.
func soundSiren(ctx context.Context, l lines) error {
	s := siren.New(siren.Config{Open: l.siren, ActiveHigh: l.soundsHigh})
	err := s.Set(false)
	if err == nil {
		err = s.Set(true)
		select {
		case <-time.After(panel.SirenTestLasts):
		case <-ctx.Done():
		}
	}
	if off := s.Close(); err == nil {
		err = off
	}
	return err
}

// roundTrip connects as the device, asks for desired and says how long it took.
func (t *selftest) roundTrip(ctx context.Context) {
	began := time.Now()
	conn, err := twinclient.Dial(ctx, t.connect())
	if err != nil {
		t.unreachable(&t.findings, err)
		return
	}
	defer conn.Close()
	connected := time.Now()
	_, err = conn.Get(ctx, agent.Desired)
	if err != nil && !errors.Is(err, twin.ErrDocumentNotFound) {
		t.wrong("desired", err, "the hub accepts the device but doesn't answer as it should: see its log")
		return
	}
	t.ok("hub", "%s answers in %s; connecting took %s", t.Hub, milliseconds(time.Since(connected)), milliseconds(connected.Sub(began)))
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%d ms", max(1, d.Milliseconds())) }
