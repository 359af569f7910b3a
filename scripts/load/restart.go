//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/twinpanel/twinpanel/scripts/load/panels"
)

// A comeback is what happened when a server was killed and started again under its panels.
type comeback struct {
	panels.Result
	peak float64 // the server's memory, in bytes
}

// measureRestart kills a server with many panels, starts it again, and lets them all come back at once.
func (s *stage) measureRestart(ctx context.Context) error {
	var ours, theirs []comeback
	for range s.fewer() {
		a, err := s.restartHub(ctx)
		if err != nil {
			return fmt.Errorf("hub: %w", err)
		}
		b, err := s.restartBroker(ctx)
		if err != nil {
			return fmt.Errorf("broker: %w", err)
		}
		ours, theirs = append(ours, a), append(theirs, b)
	}
	line := func(what string, show func(float64) string, of func(comeback) float64, note string) {
		f := figure{what: what, show: show, note: note}
		for i := range ours {
			f.hub, f.peer = append(f.hub, of(ours[i])), append(f.peer, of(theirs[i]))
		}
		s.table = append(s.table, f)
	}
	line(fmt.Sprintf("%d panels come back after a kill, p50", s.size.many), asTime, func(c comeback) float64 { return float64(c.P50) },
		"mosquitto + responder; from the lost connection to the first answer")
	line("  p99", asTime, func(c comeback) float64 { return float64(c.P99) }, "")
	line("  the last one", asTime, func(c comeback) float64 { return float64(c.Max) }, "")
	line("  connections tried by each", asTenths, func(c comeback) float64 { return float64(c.Attempts) / float64(s.size.many) }, "")
	line("  memory peak", asMega, func(c comeback) float64 { return c.peak }, "of hub or mosquitto")
	return nil
}

func (s *stage) restartHub(ctx context.Context) (c comeback, err error) {
	hub, err := s.startHub(ctx, "127.0.0.1:0")
	if err != nil {
		return c, err
	}
	return s.restart(ctx, hub, func() error {
		again, err := s.startHub(ctx, hub.plain[0])
		if err == nil {
			hub.processes = again.processes
		}
		return err
	})
}

func (s *stage) restartBroker(ctx context.Context) (c comeback, err error) {
	broker, err := s.startBroker(ctx)
	if err != nil {
		return c, err
	}
	return s.restart(ctx, broker, func() error { return s.startMosquitto(ctx, broker) })
}

// restart kills the first process of a server when all panels are connected. start starts another one in its place.
func (s *stage) restart(ctx context.Context, at *server, start func() error) (c comeback, err error) {
	defer func() { err = errors.Join(err, at.end()) }()
	g, err := startGenerator(ctx, panels.Job{Kind: panels.Storm, Servers: at.plain, Panels: s.size.many, ByID: at.byID})
	if err != nil {
		return c, err
	}
	if err := g.begin(); err != nil {
		return c, err
	}
	victim := at.processes[0]
	at.processes = at.processes[1:]
	if err := errors.Join(victim.kill(), start()); err != nil {
		return c, g.failed(err)
	}
	if c.Result, err = g.result(); err != nil {
		return c, err
	}
	peak, err := memoryPeak(at.processes[0].Process.Pid)
	c.peak = float64(peak)
	return c, errors.Join(err, g.end())
}
