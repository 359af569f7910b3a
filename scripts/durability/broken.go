//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// roomOfBrokenDisk is the memory, in bytes, that a disk of diskSize lies in. When it is used up the disk fails
// what the file system writes, as a thin volume does whose pool is full, or a disk that is dying.
const roomOfBrokenDisk = 128 << 20

// brokenDisks is the scenario of that name: n times a disk breaks under load, so that fsync fails. Writes fail with an
// error until the hub is started again, also when the disk is well before; reads go on.
func brokenDisks(ctx context.Context, program, dir string, n int, random *rand.Rand, f *figures) error {
	var c troubleCount
	for range n {
		memory := filepath.Join(dir, "memory")
		if err := os.MkdirAll(memory, 0o700); err != nil {
			return err
		}
		if err := unix.Mount("none", memory, "tmpfs", 0, fmt.Sprintf("size=%d", roomOfBrokenDisk)); err != nil {
			return os.NewSyscallError("mount "+memory, err)
		}
		err := brokenDisk(ctx, program, dir, memory, random, f, &c)
		if err = errors.Join(err, unmount(memory)); err != nil {
			return err
		}
		f.rounds++
	}
	f.notes = append(f.notes, c.String())
	return nil
}

func brokenDisk(ctx context.Context, program, dir, memory string, random *rand.Rand, f *figures, c *troubleCount) error {
	d, err := newDisk(filepath.Join(memory, "image"), filepath.Join(dir, "mount"), diskSize)
	if err != nil {
		return err
	}
	if err := d.splitWrites(); err != nil {
		return errors.Join(err, d.unmount())
	}
	s, err := newStage(ctx, program, filepath.Join(d.dir, "data"), random, f)
	if err == nil {
		s.found = filepath.Join(dir, "found")
		err = s.brokenDisk(ctx, d, filepath.Join(memory, "ballast"), f.rounds%2 == 1, c)
		err = s.explain(err)
		s.close()
	}
	return errors.Join(err, d.unmount())
}

// brokenDisk breaks the disk under a hub. Either the file system is then mounted again, or the disk gets well by itself,
// and the page cache still has what the disk has not.
func (s *stage) brokenDisk(ctx context.Context, d *disk, ballast string, byItself bool, c *troubleCount) error {
	if err := s.restart(ctx); err != nil {
		return err
	}
	s.write()
	if err := errors.Join(pause(ctx, somewhile(s.random)), s.noFailure()); err != nil {
		return err
	}
	s.registrar.mayFail.Store(true)
	if err := fillUp(ballast); err != nil {
		return err
	}
	if err := s.suffer(ctx, c); err != nil {
		return err
	}
	if err := os.Remove(ballast); err != nil {
		return err
	}
	before := s.load.writes.Load()
	if err := s.suffer(ctx, c); err != nil {
		return err
	}
	if n := s.load.writes.Load() - before; n > 0 {
		return fmt.Errorf("%d writes were acknowledged by a hub that doesn't know what its disk holds", n)
	}
	if err := errors.Join(s.hub.kill(), s.end(true)); err != nil {
		return err
	}
	if !byItself {
		if err := d.comeBack(); err != nil {
			return err
		}
	}
	if err := errors.Join(s.inspect(), s.restart(ctx)); err != nil {
		return err
	}

	// What was written since is on the disk, whatever the page cache had.
	s.write()
	if err := s.recover(ctx); err != nil {
		return err
	}
	if err := s.cutPower(d); err != nil {
		return err
	}
	if err := s.restart(ctx); err != nil {
		return err
	}
	return errors.Join(s.hub.end(), s.inspect())
}
