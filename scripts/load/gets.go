//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/twinpanel/twinpanel/scripts/load/panels"
)

// The figures of a run that rows show.
func p50(r run) float64 { return float64(r.P50) }
func p99(r run) float64 { return float64(r.P99) }

// besideBroker starts a hub and a broker, and ends them after measure.
func (s *stage) besideBroker(ctx context.Context, measure func(hub, broker *server) error) error {
	hub, err := s.startHub(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	broker, err := s.startBroker(ctx)
	if err != nil {
		return errors.Join(err, hub.end())
	}
	return errors.Join(measure(hub, broker), broker.end(), hub.end())
}

// measureGets lets panels read their document as fast as answers come.
func (s *stage) measureGets(ctx context.Context) error {
	return s.besideBroker(ctx, func(hub, broker *server) error {
		var ours, theirs runs
		for qos := range byte(2) {
			for _, n := range s.size.connections {
				var err error
				ours, theirs, err = s.alternate(ctx, s.runs, hub, broker, panels.Job{Kind: panels.Gets, Panels: n, QoS: qos})
				if err != nil {
					return err
				}
				s.addGets(fmt.Sprintf("gets, QoS %d, %s", qos, connections(n)), 1+float64(qos), ours, theirs)
			}
		}
		s.table = append(s.table, figure{what: "  and of the generator's own", show: asTime, uneven: true,
			hub: ours.of(run.generatorPerRequest), peer: theirs.of(run.generatorPerRequest), note: "on the same processors"})
		return nil
	})
}

// addGets adds the lines of gets; target is that of the rate.
func (s *stage) addGets(what string, target float64, ours, theirs runs) {
	line := func(what string, show func(float64) string, of func(run) float64) figure {
		return figure{what: what, show: show, hub: ours.of(of), peer: theirs.of(of)}
	}
	rate := line(what+", a second", asNumber, run.rate)
	rate.more, rate.target, rate.note = true, target, "mosquitto + responder"
	s.table = append(s.table, rate,
		line("  p50", asTime, p50),
		line("  p99", asTime, p99),
		line("  processor time of a get", asTime, run.perRequest))
}

func connections(n int) string {
	if n == 1 {
		return "1 connection"
	}
	return fmt.Sprintf("%d connections", n)
}

// measurePaced lets panels read their document at a rate that is far from the most, at both, and at the hub among
// hostile clients.
func (s *stage) measurePaced(ctx context.Context) error {
	return s.besideBroker(ctx, func(hub, broker *server) error {
		j := panels.Job{Kind: panels.Gets, Panels: s.size.pacedPanels, Rate: s.size.pacedRate}
		what := fmt.Sprintf("%.0f gets a second, %s", j.Rate, connections(j.Panels))
		for qos := range byte(2) {
			j.QoS = qos
			ours, theirs, err := s.alternate(ctx, s.runs, hub, broker, j)
			if err != nil {
				return err
			}
			s.table = append(s.table,
				figure{what: fmt.Sprintf("%s, QoS %d, p50", what, qos), show: asTime, hub: ours.of(p50), peer: theirs.of(p50), note: "mosquitto + responder"},
				figure{what: "  p99", show: asTime, hub: ours.of(p99), peer: theirs.of(p99), target: 2},
				figure{what: "  processor time of a get", show: asTime, hub: ours.of(run.perRequest), peer: theirs.of(run.perRequest)})
		}
		return s.measureHostile(ctx, hub, j)
	})
}

// measureHostile is the same at the hub, at QoS 0, among hostile clients, beside the hub without them.
func (s *stage) measureHostile(ctx context.Context, hub *server, j panels.Job) error {
	j.QoS = 0
	hostile := j
	hostile.Hostile = s.size.hostile
	var with, without runs
	for range s.runs {
		a, err := s.do(ctx, hub, hostile)
		if err != nil {
			return fmt.Errorf("among hostile clients: %w", err)
		}
		b, err := s.do(ctx, hub, j)
		if err != nil {
			return err
		}
		with, without = append(with, a), append(without, b)
	}
	s.table = append(s.table,
		figure{what: fmt.Sprintf("the same among %d hostile clients, QoS 0, p50", hostile.Hostile), show: asTime, hub: with.of(p50), peer: without.of(p50), uneven: true,
			note: "the hub without them"},
		figure{what: "  p99", show: asTime, hub: with.of(p99), peer: without.of(p99), uneven: true},
		figure{what: "  their connections, a second", show: asNumber, hub: with.of(run.hostileRate), note: "deaf, flooding, malformed, vanishing, silent: a fifth each"})
	return nil
}
