//go:build linux

package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"

	"github.com/twinpanel/twinpanel/internal/cli"
)

// diskSize is in bytes: room for all that a hub under load has in its data folder. It takes room only as it is used.
const diskSize = 512 << 20

// cutsPerFolder is how many power cuts a data folder lives through.
const cutsPerFolder = 5

// powerCuts is the scenario of that name: n times the power is cut under load.
func powerCuts(ctx context.Context, program, dir string, n int, random *rand.Rand, f *figures) error {
	d, err := newDisk(filepath.Join(dir, "image"), filepath.Join(dir, "mount"), diskSize)
	if err != nil {
		return err
	}
	defer d.unmount()
	for f.rounds < n {
		s, err := newStage(ctx, program, filepath.Join(d.dir, "data"), random, f)
		if err != nil {
			return err
		}
		s.found = filepath.Join(dir, "found")
		err = s.powerCuts(ctx, d, min(n-f.rounds, cutsPerFolder))
		err = s.explain(err)
		s.close()
		if err != nil {
			return err
		}
	}
	return nil
}

// powerCuts cuts the power of n hubs on one data folder, and ends one more in peace.
func (s *stage) powerCuts(ctx context.Context, d *disk, n int) error {
	for range n {
		if err := s.restart(ctx); err != nil {
			return err
		}
		s.write()
		if err := cli.Pause(ctx, somewhile(s.random)); err != nil {
			return err
		}
		if err := errors.Join(s.noFailure(), s.cutPower(d)); err != nil {
			return err
		}
		s.figures.rounds++
	}
	if err := s.restart(ctx); err != nil {
		return err
	}
	return errors.Join(s.hub.end(), s.inspect())
}

// cutPower cuts the power under a hub, and gives it back.
func (s *stage) cutPower(d *disk) error {
	s.load.cut.Store(true)
	s.registrar.cut.Store(true)
	if err := d.cut(); err != nil {
		return err
	}
	if err := errors.Join(s.hub.kill(), s.end(true)); err != nil {
		return err
	}
	return errors.Join(d.comeBack(), s.inspect())
}
