//go:build linux

package main

import (
	"context"
	"errors"
	"time"

	"github.com/twinpanel/twinpanel/scripts/gpio-vm/powercuts/report"
)

// live is one start of the machine, to its end by a power cut.
func (s *stage) live(ctx context.Context) error {
	m, err := s.start(ctx)
	if err != nil {
		return err
	}
	return s.end(ctx, m, s.days(ctx, m))
}

// end ends the machine by a power cut, whatever has happened before.
func (s *stage) end(ctx context.Context, m *machine, err error) error {
	if err == nil {
		err = s.strike(ctx, m)
	} else {
		m.Kill()
	}
	chance := 1.0
	if s.random.IntN(2) == 0 {
		chance = []float64{0, 0, 0.5, 0.9}[s.random.IntN(4)]
		s.figures.cached++
	}
	return errors.Join(err, s.cut(m, chance))
}

// survive is the start after the last power cut.
func (s *stage) survive(ctx context.Context) error {
	m, err := s.start(ctx)
	if err != nil {
		return err
	}
	err = s.boot(ctx, m)
	return errors.Join(err, m.Kill(), s.cut(m, 1))
}

// boot waits until the panel guards and everybody knows.
func (s *stage) boot(ctx context.Context, m *machine) error {
	if err := s.guard(ctx, m); err != nil {
		return err
	}
	return s.connect(ctx, m)
}

// guard waits until the panel guards. There is no network yet.
func (s *stage) guard(ctx context.Context, m *machine) error {
	if err := s.await(ctx, m, "a panel that runs", func() bool { return s.answer.Kind == report.Started }); err != nil {
		return err
	}
	s.figures.boots = append(s.figures.boots, time.Since(m.started))
	return nil
}

// connect waits until everybody knows how the panel is.
func (s *stage) connect(ctx context.Context, m *machine) error {
	if err := s.await(ctx, m, "a panel that is connected to the hub", func() bool { return m.conn != nil && s.fresh }); err != nil {
		return err
	}
	return s.settle(ctx, m)
}

// days is what happens before the power cut: mostly several commands, sometimes not even a network.
func (s *stage) days(ctx context.Context, m *machine) error {
	if s.random.IntN(10) == 0 && len(s.figures.boots) > 0 {
		return s.pause(ctx, m, s.upTo(2*s.figures.median()))
	}
	if err := s.boot(ctx, m); err != nil {
		return err
	}
	for range s.random.IntN(5) {
		if err := s.happen(ctx, m); err != nil {
			return err
		}
		if err := s.pause(ctx, m, s.upTo(300*time.Millisecond)); err != nil {
			return err
		}
	}
	// Half of the power cuts hit a command; the others what follows on one.
	if s.random.IntN(2) == 0 {
		if err := s.command(ctx, m, !s.book.may[0]); err != nil {
			return err
		}
		return s.pause(ctx, m, s.upTo(400*time.Millisecond))
	}
	return nil
}

// upTo is a random time.
func (s *stage) upTo(d time.Duration) time.Duration { return time.Duration(s.random.Int64N(int64(d))) }

// happen is a command with its answer, or somebody at the door.
func (s *stage) happen(ctx context.Context, m *machine) error {
	armed := s.book.may[0]
	switch n := s.random.IntN(10); {
	case armed && n < 5:
		return s.visit(ctx, m)
	case !armed && n < 2:
		return s.move(ctx, m, !s.open)
	}
	return s.fulfil(ctx, m, !armed)
}

// fulfil arms or disarms and waits until that is done, and everybody knows.
func (s *stage) fulfil(ctx context.Context, m *machine, armed bool) error {
	if err := s.command(ctx, m, armed); err != nil {
		return err
	}
	return s.settle(ctx, m)
}

// command arms or disarms, over the hub or at the panel, and doesn't wait.
func (s *stage) command(ctx context.Context, m *machine, armed bool) error {
	s.figures.commands++
	if s.random.IntN(2) == 0 {
		return s.want(ctx, armed)
	}
	s.book.ask(ask{armed: armed})
	if armed {
		return m.send(report.Arm)
	}
	return m.send(report.Disarm)
}

// want puts desired.
func (s *stage) want(ctx context.Context, armed bool) error {
	s.version++
	s.book.ask(ask{armed, s.version})
	doc, err := s.hub.want(ctx, armed)
	if err == nil && doc.Version != s.version {
		err = errors.New("somebody else has written desired")
	}
	return err
}

// settle waits until a command is fulfilled, and everybody knows.
func (s *stage) settle(ctx context.Context, m *machine) error {
	a := s.book.pending
	if a == nil {
		return nil
	}
	if a.version == 0 {
		if err := s.await(ctx, m, "an answer to a command", s.answered(m)); err != nil {
			return err
		}
	}
	told := func() bool { return len(s.book.may) == 1 && s.heard.AlarmArmed == a.armed }
	if err := s.await(ctx, m, "a document current that says "+word(a.armed), told); err != nil {
		return err
	}
	r, err := s.lookUntil(ctx, m, "a journal that has seen desired", func(r report.Report) bool {
		j, err := parseJournal(r.Journal)
		return err == nil && j.DesiredSeen == s.version && r.Status.Armed == a.armed
	})
	if err == nil {
		s.book.settle(r)
	}
	return err
}

// visit is somebody who comes or goes while the panel is armed. The siren sounds, if it is to.
func (s *stage) visit(ctx context.Context, m *machine) error {
	before, err := s.ask(ctx, m, report.Look)
	if err != nil {
		return err
	}
	j, err := parseJournal(before.Journal)
	if err != nil {
		return err
	}
	opens := !s.open
	if err := s.move(ctx, m, opens); err != nil {
		return err
	}
	if opens && before.Status.State == "armed" && len(j.WaitClosed) == 0 && j.Rings < maxRings {
		if err := s.await(ctx, m, "a siren that sounds", func() bool { return s.last.Siren }); err != nil {
			return err
		}
		s.figures.rings++
	}
	return s.pause(ctx, m, s.upTo(3*time.Second))
}

// move opens or closes the door, and waits until the panel has seen it.
func (s *stage) move(ctx context.Context, m *machine, open bool) error {
	word, reading := report.Close, "closed"
	if open {
		word, reading = report.Open, "open"
	}
	s.open = open
	if _, err := s.ask(ctx, m, word); err != nil {
		return err
	}
	_, err := s.lookUntil(ctx, m, "a door that is "+reading, func(r report.Report) bool { return r.Status.Doors["door"] == reading })
	return err
}

// strike ends the machine, in one of the ways in which that happens.
func (s *stage) strike(ctx context.Context, m *machine) error {
	f := &s.figures
	f.cuts++
	if s.book.may[0] && len(s.book.may) == 1 {
		f.whileArmed++
	}
	if s.book.pending != nil {
		f.amid++
	}
	if s.last.Siren {
		f.whileRinging++
	}
	if m.conn == nil {
		f.early++
	}
	atCommand := s.book.pending != nil && s.book.pending.version == 0 // the machine would finish it first
	if m.conn != nil && !atCommand && s.random.IntN(5) == 0 {
		f.resets++
		word := []string{report.Reset, report.PowerOff}[s.random.IntN(2)]
		if err := m.send(word); err != nil {
			return err
		}
		return s.await(ctx, m, "its end", func() bool { return m.dead })
	}
	return m.Kill()
}
