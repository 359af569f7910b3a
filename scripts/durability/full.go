//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/twinpanel/twinpanel/internal/cli"
)

// smallDiskSize is in bytes: room for an empty hub, and soon filled up.
const smallDiskSize = 64 << 20

// fullDisks is the scenario of that name: n times a disk is filled up under load. Writes fail with an error, reads go
// on. A hub that is killed then starts on the full disk, and writes again, without a restart, when there is room.
func fullDisks(ctx context.Context, program, dir string, n int, random *rand.Rand, f *figures) error {
	var c troubleCount
	for range n {
		d, err := newDisk(filepath.Join(dir, "image"), filepath.Join(dir, "mount"), smallDiskSize)
		if err != nil {
			return err
		}
		s, err := newStage(ctx, program, filepath.Join(d.dir, "data"), random, f)
		if err == nil {
			s.found = filepath.Join(dir, "found")
			err = s.fullDisk(ctx, filepath.Join(d.dir, "ballast"), &c)
			err = s.explain(err)
			s.close()
		}
		if err = errors.Join(err, d.unmount()); err != nil {
			return err
		}
		f.rounds++
	}
	f.notes = append(f.notes, c.String())
	return nil
}

func (s *stage) fullDisk(ctx context.Context, ballast string, c *troubleCount) error {
	if err := s.restart(ctx); err != nil {
		return err
	}
	s.write()
	if err := errors.Join(cli.Pause(ctx, somewhile(s.random)), s.noFailure()); err != nil {
		return err
	}
	s.registrar.mayFail.Store(true)
	if err := fillUp(ballast); err != nil {
		return err
	}
	if err := s.suffer(ctx, c); err != nil {
		return err
	}
	if err := s.kill(); err != nil {
		return err
	}

	// Somebody else takes all room that the hub has left, also that of the file that SQLite makes anew.
	if err := os.Remove(filepath.Join(s.hub.data, "hub.db-shm")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := fillUp(ballast); err != nil {
		return err
	}
	if err := s.restart(ctx); err != nil {
		return fmt.Errorf("on the full disk: %w", err)
	}
	s.write()
	s.registrar.mayFail.Store(true)
	if err := s.suffer(ctx, c); err != nil {
		return fmt.Errorf("after the start on the full disk: %w", err)
	}
	if err := os.Remove(ballast); err != nil {
		return err
	}
	if err := s.recover(ctx); err != nil {
		return err
	}
	if err := s.kill(); err != nil {
		return err
	}
	if err := s.restart(ctx); err != nil {
		return err
	}
	return errors.Join(s.hub.end(), s.inspect())
}
