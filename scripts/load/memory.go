//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/scripts/load/panels"
)

// idleLimit is the target for a connection without TLS, in bytes.
const idleLimit = 12_000

// measureMemory counts what servers grow by when many panels connect that say nothing more.
func (s *stage) measureMemory(ctx context.Context) error {
	for _, kind := range []struct {
		name  string
		tls   bool
		limit float64
	}{{"plain", false, idleLimit}, {"TLS", true, 0}} {
		var ours, theirs sample
		for range s.fewer() {
			err := s.besideBroker(ctx, func(hub, broker *server) error {
				a, err := s.growth(ctx, hub, kind.tls)
				if err != nil {
					return fmt.Errorf("hub: %w", err)
				}
				b, err := s.growth(ctx, broker, kind.tls)
				if err != nil {
					return fmt.Errorf("broker: %w", err)
				}
				ours, theirs = append(ours, a), append(theirs, b)
				return nil
			})
			if err != nil {
				return err
			}
		}
		if kind.tls {
			s.idle = ours
		}
		s.table = append(s.table, figure{what: fmt.Sprintf("memory of an idle connection of %d, %s", s.size.many, kind.name), show: asSize,
			hub: ours, peer: theirs, limit: kind.limit, note: "mosquitto; RSS, one subscription each"})
	}
	return nil
}

// growth is what the first process of a server, hub or broker, has more of memory for each idle panel.
func (s *stage) growth(ctx context.Context, at *server, tls bool) (float64, error) {
	pid := at.pids()[0]
	before, err := residentMemory(pid)
	if err != nil {
		return 0, err
	}
	j := panels.Job{Kind: panels.Idle, Servers: at.plain, TLS: tls, Panels: s.size.many, ByID: at.byID}
	if tls {
		j.Servers = at.secure
	}
	g, err := startGenerator(ctx, j)
	if err != nil {
		return 0, err
	}
	if err := cli.Pause(ctx, s.size.settle); err != nil {
		return 0, g.failed(err)
	}
	after, err := residentMemory(pid)
	return float64(after-before) / float64(s.size.many), errors.Join(err, g.end())
}
