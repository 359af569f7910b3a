package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/twinpanel/twinpanel/internal/cli"
)

// A device is a program that guards a house as a device of the hub, over a way of its own.
type device struct {
	name, dir string
	way       *way
	head      int      // lines that the program prints when it guards
	args      []string // the program and its arguments
	hint      string   // what to do when it doesn't start
	running   *process // nil = not started
}

// addPanel adds a panel to the hub. Muted, the hub is to it like one without change notices.
func (s *stage) addPanel(ctx context.Context, name string, muted bool) (*device, error) {
	d, id, err := s.newWay(ctx, name, muted)
	if err != nil {
		return nil, err
	}
	d.head = 2
	d.args = []string{"panel", "--hub", d.way.url(), "--device-id", id, "--simulate", "127.0.0.1:0", "--state-dir", "state of " + id}
	return d, nil
}

// addAlarm adds the alarm in Python.
func (s *stage) addAlarm(ctx context.Context, name string) (*device, error) {
	d, id, err := s.newWay(ctx, name, false)
	if err != nil {
		return nil, err
	}
	host, port, _ := strings.Cut(strings.TrimPrefix(d.way.url(), "mqtt://"), ":")
	d.head = 1
	d.args = []string{name, host, port, id}
	d.hint = "apt-get install python3-gpiozero python3-paho-mqtt"
	return d, nil
}

func (s *stage) newWay(ctx context.Context, name string, muted bool) (*device, string, error) {
	id, err := s.addDevice(ctx, name)
	if err != nil {
		return nil, "", err
	}
	w, err := openWay(s.mqtt, muted)
	return &device{name: name, dir: s.dir, way: w}, id, err
}

// restart starts the program anew and adds the time that it took until it guarded.
func (d *device) restart(ctx context.Context, took *sample) error {
	if err := d.end(); err != nil {
		return err
	}
	began := time.Now()
	p, err := start(ctx, d.head, d.dir, d.args[0], d.args[1:]...)
	if err != nil && d.hint != "" {
		err = cli.Hint(err, "%s", d.hint)
	}
	if err != nil {
		return err
	}
	took.add(began, time.Now())
	d.running = p
	return nil
}

func (d *device) end() error {
	p := d.running
	if p == nil {
		return nil
	}
	d.running = nil
	return p.end()
}

type devices []*device

// add adds a device that was made, if it was.
func (all *devices) add(d *device, err error) (*device, error) {
	if err == nil {
		*all = append(*all, d)
	}
	return d, err
}

// close ends all programs and their ways, and prints the programs' logs if something went wrong.
func (all devices) close(failed bool, stderr io.Writer) error {
	var err error
	for _, d := range all {
		p := d.running
		err = errors.Join(err, d.end(), d.way.close())
		if p != nil && failed {
			p.tellLog(stderr)
		}
	}
	return err
}

// idleness is what a device takes while nothing happens.
type idleness struct {
	cpu            float64 // nanoseconds
	packets, bytes float64 // an hour
	memory         memory  // at the end
}

// measureIdle returns what each device takes in d.
func (all devices) measureIdle(ctx context.Context, d time.Duration) ([]idleness, error) {
	before, err := all.look()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := cli.Pause(ctx, d); err != nil {
		return nil, err
	}
	after, err := all.look()
	if err != nil {
		return nil, err
	}
	hours := time.Since(began).Hours()
	for i := range after {
		after[i].cpu -= before[i].cpu
		after[i].packets = (after[i].packets - before[i].packets) / hours
		after[i].bytes = (after[i].bytes - before[i].bytes) / hours
		if after[i].packets == 0 {
			return nil, fmt.Errorf("%s has sent nothing in %v", all[i].name, d)
		}
	}
	return after, nil
}

// look returns what each device has taken so far.
func (all devices) look() ([]idleness, error) {
	var seen []idleness
	for _, d := range all {
		m, err := readMemory(d.running.Process.Pid)
		if err != nil {
			return nil, fmt.Errorf("memory of %s: %w", d.name, err)
		}
		cpu, err := readProcessorTime(d.running.Process.Pid)
		if err != nil {
			return nil, fmt.Errorf("processor time of %s: %w", d.name, err)
		}
		seen = append(seen, idleness{
			cpu: float64(cpu), memory: m,
			packets: float64(d.way.carried.packets.Load()), bytes: float64(d.way.carried.bytes.Load()),
		})
	}
	return seen, nil
}
