//go:build linux

package main

import (
	"context"
	"time"
)

// siegeEvery is how many lives there are from one siege to the next. The second is one, so that each run of several power
// cuts has a siege.
const siegeEvery = 16

// siegeStarts bounds a siege: each start that rings costs a charge of 10 s, and there are six of them. The others are for
// power cuts that come before the charge is on the disk, and for what follows on the last ring.
const siegeStarts = 20

// siege cuts the power whenever the siren sounds again, with nobody to disarm, until the panel has no ring left and then once
// more. The book holds against it how long that sounds, and that a panel with no ring left stays silent and armed.
func (s *stage) siege(ctx context.Context) error {
	s.figures.sieges++
	assault := s.provoke
	for n, silent := 0, 0; silent < 2; n++ {
		if n == siegeStarts {
			return violated("the rings are not used up after %d power cuts", n)
		}
		m, err := s.start(ctx)
		if err != nil {
			return err
		}
		err = assault(ctx, m)
		if s.book.usedUp {
			silent++
		}
		if err := s.end(ctx, m, err); err != nil {
			return err
		}
		assault = s.resist
	}
	return nil
}

// provoke begins an armed period with a ring.
func (s *stage) provoke(ctx context.Context, m *machine) error {
	if err := s.boot(ctx, m); err != nil {
		return err
	}
	if s.book.may[0] {
		if err := s.fulfil(ctx, m, false); err != nil {
			return err
		}
	}
	if s.open {
		if err := s.move(ctx, m, false); err != nil {
			return err
		}
	}
	if err := s.fulfil(ctx, m, true); err != nil {
		return err
	}
	return s.visit(ctx, m)
}

// resist lets a ring go on. If it is over, the door is closed and opened: for the next ring, or for none.
func (s *stage) resist(ctx context.Context, m *machine) error {
	if err := s.guard(ctx, m); err != nil {
		return err
	}
	if s.answer.Status.Ringing {
		if err := s.await(ctx, m, "a siren that sounds again", func() bool { return s.last.Siren }); err != nil {
			return err
		}
		return s.pause(ctx, m, s.upTo(12*time.Second)) // at times beyond the next charge
	}
	if err := s.connect(ctx, m); err != nil {
		return err
	}
	if err := s.visit(ctx, m); err != nil {
		return err
	}
	return s.visit(ctx, m)
}
