//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/twinpanel/twinpanel/internal/cli"
)

// freshEvery is how many rounds a data folder lasts.
const freshEvery = 20

// kills is the scenario of that name: n hubs are killed under load, and some more while they start.
func kills(ctx context.Context, program, dir string, n int, random *rand.Rand, f *figures) error {
	for f.rounds < n {
		s, err := newStage(ctx, program, filepath.Join(dir, "data"), random, f)
		if err != nil {
			return err
		}
		s.found = filepath.Join(dir, "found")
		err = s.kills(ctx, min(n-f.rounds, freshEvery))
		err = s.explain(err)
		s.close()
		if err != nil {
			return err
		}
	}
	return nil
}

// kills kills n hubs on one data folder, whose last one ends in peace.
func (s *stage) kills(ctx context.Context, n int) error {
	for range n {
		// The first starts make what a hub has for life.
		for range s.random.IntN(3) {
			if err := s.hub.startAndKill(rand.N(80 * time.Millisecond)); err != nil {
				return err
			}
			s.figures.startsKilled++
		}
		if err := s.restart(ctx); err != nil {
			return err
		}
		s.write()
		if err := cli.Pause(ctx, somewhile(s.random)); err != nil {
			return err
		}
		if err := s.noFailure(); err != nil {
			return err
		}
		if err := s.kill(); err != nil {
			return err
		}
		s.figures.rounds++
	}
	if err := s.restart(ctx); err != nil {
		return err
	}
	return errors.Join(s.hub.end(), s.inspect())
}

// noFailure is an error when the hub had trouble, although nothing was wrong.
func (s *stage) noFailure() error {
	for _, c := range []*errorCount{&s.load.restFailed, &s.load.mqttFailed, &s.load.readsFailed} {
		if n, first := c.load(); n > 0 {
			return fmt.Errorf("%d requests failed with nothing wrong: %w", n, first)
		}
	}
	return nil
}
