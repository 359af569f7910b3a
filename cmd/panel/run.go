package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/twinpanel/twinpanel/internal/agent"
	"github.com/twinpanel/twinpanel/internal/board"
	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/internal/panel"
	"github.com/twinpanel/twinpanel/internal/simulator"
	"github.com/twinpanel/twinpanel/sensor"
	"github.com/twinpanel/twinpanel/siren"
)

// lines is where the panel's contacts and its siren are: on this computer or in a simulated house.
type lines struct {
	door       func(door) func() (sensor.Line, error)
	siren      func() (siren.Line, error)
	openHigh   bool                           // level of an open door's line
	soundsHigh bool                           // level of the siren's line when it sounds
	show       func(word string, faults bool) // told the state, for a lamp or a buzzer; nil = there is none
}

// run guards until ctx ends, which is a clean end.
func (c *Config) run(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
	if err := c.Validate(); err != nil {
		return err
	}
	log, stop := cli.NewLogger(stderr)
	defer stop()
	stdout, flush := cli.NoWait(stdout)
	defer flush()
	if c.Simulate != "" {
		return c.runSimulated(ctx, stdout, log)
	}
	if err := c.findLines(); err != nil {
		return err
	}
	alive, end := tellSystemd(ctx, log)
	defer end()
	l := c.real()
	show, silence := c.buzz(ctx, log)
	defer silence()
	l.show = show
	a, err := c.open(l, alive, log)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "guarding as device %s\n", c.DeviceID)
	return a.Run(ctx)
}

// runSimulated is run beside the page of a simulated house.
func (c *Config) runSimulated(ctx context.Context, stdout io.Writer, log *slog.Logger) error {
	house, listener, err := c.openHouse()
	if err != nil {
		return err
	}
	defer listener.Close()
	alive, end := tellSystemd(ctx, log)
	defer end()
	a, err := c.open(c.simulated(house), alive, log)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: house.Handler(), ReadHeaderTimeout: 10 * time.Second}
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(listener) }) // until Close
	defer serving.Wait()
	defer server.Close()
	defer house.Close()
	fmt.Fprintf(stdout, "house at http://%s\nguarding as device %s\n", listener.Addr(), c.DeviceID)
	return a.Run(ctx)
}

func (c *Config) openHouse() (*simulator.House, net.Listener, error) {
	house, err := c.newHouse()
	if err != nil {
		return nil, nil, err
	}
	listener, err := c.listenSimulated()
	return house, listener, err
}

func (c *Config) newHouse() (*simulator.House, error) {
	names := make([]string, len(c.doors))
	for i, d := range c.doors {
		names[i] = d.name
	}
	return simulator.New(simulator.Config{Doors: names, Start: c.SimulateDoor})
}

// publicHouse is what to do about a house that others can reach.
const publicHouse = "listen on 127.0.0.1, or add --insecure if everybody on that network may open the door of the house"

func (c *Config) listenSimulated() (net.Listener, error) {
	if c.Insecure {
		return cli.Listen("--simulate", c.Simulate)
	}
	return cli.ListenLoopback("--simulate", c.Simulate, publicHouse)
}

// simulated are the lines of a simulated house. Its wiring is what it is, whatever the flags say of a real one.
func (c *Config) simulated(house *simulator.House) lines {
	return lines{
		door: func(d door) func() (sensor.Line, error) {
			return func() (sensor.Line, error) { return house.OpenDoor(d.name) }
		},
		siren:      func() (siren.Line, error) { return house.OpenSiren() },
		openHigh:   true,
		soundsHigh: true,
		show:       func(word string, _ bool) { house.Lamp(word) },
	}
}

// real are the lines of this computer.
func (c *Config) real() lines {
	pull := board.PullUp // always towards the open level, so that a cut wire reads open
	if c.DoorOpenLevel == "low" {
		pull = board.PullDown
	}
	return lines{
		door: func(d door) func() (sensor.Line, error) {
			return func() (sensor.Line, error) { return board.OpenInput(d.line, pull) }
		},
		siren:      func() (siren.Line, error) { return board.OpenOutput(c.Siren, c.SirenActive == "low") },
		openHigh:   c.DoorOpenLevel == "high",
		soundsHigh: c.SirenActive == "high",
	}
}

// open joins lines, panel and hub. The panel's loop calls alive when it begins, and then every two seconds.
func (c *Config) open(l lines, alive func(), log *slog.Logger) (*agent.Agent, error) {
	config := agent.Config{
		Panel: panel.Config{
			Rules:     c.Rules,
			Siren:     siren.New(siren.Config{Open: l.siren, ActiveHigh: l.soundsHigh}),
			StateDir:  c.StateDir,
			OnCorrupt: panel.OnCorrupt(c.OnCorrupt),
			Show:      l.show,
			Alive:     alive,
		},
		Hub:       c.connect(),
		Poll:      c.Poll,
		Heartbeat: c.Heartbeat,
		Control:   true,
		Logger:    log,
	}
	for _, d := range c.doors {
		s, err := c.sensor(l, d, log)
		if err != nil {
			return nil, err
		}
		config.Panel.Contacts = append(config.Panel.Contacts, panel.Contact{Name: d.name, Sensor: s})
	}
	if c.Key != "" {
		s, err := c.sensor(l, door{"key", c.Key}, log) // wired as a door's contact
		if err != nil {
			return nil, err
		}
		config.Panel.Key = &panel.Key{Sensor: s, Type: panel.KeyType(c.KeyType)}
	}
	return agent.New(config)
}

// sensor is what watches a door's contact.
func (c *Config) sensor(l lines, d door, log *slog.Logger) (*sensor.Sensor, error) {
	s, err := sensor.New(sensor.Config{
		Open: l.door(d), OpenLevelHigh: l.openHigh, Debounce: c.Debounce, Logger: log.With("contact", d.name),
	})
	if err != nil {
		return nil, fmt.Errorf("door %s: %w", d.name, err)
	}
	return s, nil
}
