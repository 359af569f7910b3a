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

	"github.com/twinpanel/twinpanel/internal/cli"
)

// brokenDiskSize is in bytes. The disk lies in memory of the same size. When something else takes what is left of that, the disk
// fails what the file system writes, as a thin volume does whose pool is full, or a disk that is dying.
const brokenDiskSize = 128 << 20

// brokenDisks is the scenario of that name: n times a disk breaks under load, so that fsync fails. Writes fail with an
// error until the hub is started again, also when the disk is well before; reads go on.
func brokenDisks(ctx context.Context, program, dir string, n int, random *rand.Rand, f *figures) error {
	var c troubleCount
	for range n {
		memory := filepath.Join(dir, "memory")
		if err := os.MkdirAll(memory, 0o700); err != nil {
			return err
		}
		if err := unix.Mount("none", memory, "tmpfs", 0, fmt.Sprintf("size=%d", brokenDiskSize)); err != nil {
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
	d, err := newDisk(filepath.Join(memory, "image"), filepath.Join(dir, "mount"), brokenDiskSize)
	if err != nil {
		return err
	}
	if err := d.splitWrites(); err != nil {
		return errors.Join(err, d.unmount())
	}
	s, err := newStage(ctx, program, filepath.Join(d.dir, "data"), random, f)
	if err == nil {
		s.found = filepath.Join(dir, "found")
		ballast := filepath.Join(memory, "ballast")
		switch f.rounds % 3 {
		case 0:
			err = s.brokenDisk(ctx, d, ballast, c, d.comeBack)
		case 1:
			err = s.brokenDisk(ctx, d, ballast, c, d.getWell)
		case 2:
			err = s.brokenCheckpoint(ctx, d, ballast)
		}
		err = s.explain(err)
		s.close()
	}
	return errors.Join(err, d.unmount())
}

// brokenDisk breaks the disk under a hub. Either the file system is then mounted again, or the disk gets well by itself,
// and the page cache still has what the disk has not.
func (s *stage) brokenDisk(ctx context.Context, d *disk, ballast string, c *troubleCount, repair func() error) error {
	if err := s.restart(ctx); err != nil {
		return err
	}
	s.write()
	if err := errors.Join(cli.Pause(ctx, somewhile(s.random)), s.noFailure()); err != nil {
		return err
	}
	s.registrar.mayFail.Store(true)
	if err := errors.Join(d.sync(), fillUp(ballast)); err != nil {
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
	if err := errors.Join(repair(), s.inspect()); err != nil {
		return err
	}
	if err := s.restart(ctx); err != nil {
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

// brokenCheckpoint breaks the disk when SQLite copies its WAL into the database, and makes it well again before the
// hub is killed. A hub that takes no notice writes the same once more, which the kernel then says is on the disk.
func (s *stage) brokenCheckpoint(ctx context.Context, d *disk, ballast string) error {
	if err := s.restart(ctx); err != nil {
		return err
	}
	// The WAL gets room that it keeps, so that it is the database alone that needs more of the disk.
	release, err := s.hub.read(ctx)
	if err != nil {
		return err
	}
	if err := errors.Join(s.grow(walPages+1500, 8), release(), s.grow(500, 8)); err != nil {
		return err
	}
	if err := errors.Join(d.sync(), fillUp(ballast)); err != nil {
		return err
	}
	noticed := s.grow(walPages, bigDocuments)
	if err := os.Remove(ballast); err != nil {
		return err
	}
	if noticed != nil {
		if err := errors.Join(s.hub.kill(), d.getWell(), s.inspect()); err != nil {
			return err
		}
		if err := s.restart(ctx); err != nil {
			return err
		}
	}
	if err := s.grow(500, bigDocuments); err != nil {
		return err
	}
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

// walPages is how many pages the WAL has when the hub copies it into the database, and pageSize is in bytes.
const walPages, pageSize = 8000, 4096

// grow puts the first n big documents again and again, until so many pages are written. Its error is the first put that is not
// acknowledged.
func (s *stage) grow(pages, n int) error {
	c := newRESTClient(s.hub.rest, s.hub.token)
	defer c.close()
	for i := range pages * pageSize / bigSize {
		h := s.book.big[i%n]
		w := h.begin(firstBig+s.book.lastID.Add(1), false, false)
		a := c.do("put", h.device, h.name, w.body())
		h.end(w, a.outcome, a.state)
		if a.outcome != acknowledged || a.err != nil {
			return fmt.Errorf("a big document is not acknowledged: %w", a.err)
		}
	}
	return nil
}
