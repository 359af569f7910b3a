package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twinpanel/twinpanel/sensor"
	"github.com/twinpanel/twinpanel/twinclient"
)

// measureStarts starts the panel n times and leaves one that runs.
func (s *stage) measureStarts(ctx context.Context, n int) (table, error) {
	var guarding, told sample
	for i := range n {
		if i > 0 {
			if err := s.endPanel(); err != nil {
				return nil, err
			}
		}
		if err := s.forgetCurrent(ctx); err != nil {
			return nil, err
		}
		began := time.Now()
		if err := s.startPanel(ctx); err != nil {
			return nil, err
		}
		guarding.add(began, time.Now())
		seen, _, err := s.awaitCurrent(ctx, "anything", func(current) bool { return true })
		if err != nil {
			return nil, err
		}
		told.add(began, seen)
	}
	return table{
		guarding.row("start of panel to guarding", "from exec to its line on stdout"),
		told.row("start of panel to current", fmt.Sprintf("with the debounce of %v", sensor.DefaultDebounce)),
	}, nil
}

// rounds is what is measured from arming to silence, n times.
type rounds struct {
	*stage
	siren *siren

	doorToSiren, doorToCurrent, tapToPanel, disarmToSilence sample

	looks sample // how long before the look that showed something current was looked at last
}

// measureRounds arms on the phone, opens the door and disarms at the panel, n times. The panel runs, is disarmed, and
// its door is closed.
func (s *stage) measureRounds(ctx context.Context, n int) (table, error) {
	siren, err := s.watchSiren(ctx)
	if err != nil {
		return nil, err
	}
	defer siren.close()
	r := &rounds{stage: s, siren: siren}
	for i := range n {
		if err := r.round(ctx); err != nil {
			return nil, fmt.Errorf("round %d: %w", i+1, err)
		}
	}
	debounce := fmt.Sprintf("with the debounce of %v", sensor.DefaultDebounce)
	return table{
		r.doorToSiren.row("door to siren", debounce+" and a write of the journal"),
		r.doorToCurrent.row("door to current", debounce+"; seen over REST"),
		r.tapToPanel.row("tap on the phone to current", fmt.Sprintf("with up to %v until the panel looks; seen over REST", twinclient.DefaultPoll)),
		r.looks.row("between two looks over REST", "resolution of what is seen there; long when this computer was busy"),
		r.disarmToSilence.row("panel disarm to silence", "from exec of the command"),
	}, nil
}

func (r *rounds) round(ctx context.Context) error {
	// People tap at any time between two polls, and the last round ended at a certain one.
	if err := pause(ctx, rand.N(twinclient.DefaultPoll)); err != nil {
		return err
	}
	began := time.Now()
	if err := r.arm(ctx); err != nil {
		return err
	}
	seen, gap, err := r.awaitCurrent(ctx, "armed", func(c current) bool { return c.Armed })
	if err != nil {
		return err
	}
	r.tapToPanel.add(began, seen)
	r.looks = append(r.looks, gap)

	began = time.Now()
	if err := r.moveDoor(ctx, true); err != nil {
		return err
	}
	seen, gap, err = r.awaitCurrent(ctx, "door open", func(c current) bool { return c.DoorOpen })
	if err != nil {
		return err
	}
	r.doorToCurrent.add(began, seen)
	r.looks = append(r.looks, gap)
	seen, err = r.siren.await(ctx, true)
	if err != nil {
		return err
	}
	r.doorToSiren.add(began, seen)

	began = time.Now()
	if err := r.disarm(ctx); err != nil {
		return err
	}
	seen, err = r.siren.await(ctx, false)
	if err != nil {
		return err
	}
	r.disarmToSilence.add(began, seen)

	if err := r.moveDoor(ctx, false); err != nil {
		return err
	}
	_, _, err = r.awaitCurrent(ctx, "disarmed, door closed", func(c current) bool { return !c.Armed && !c.DoorOpen })
	return err
}

// programs are the panel and the hub that run.
func (s *stage) programs() []*process { return []*process{s.panel, s.hub} }

func (s *stage) measureMemory() (rows table, err error) {
	for _, p := range s.programs() {
		m, err := readMemory(p.Process.Pid)
		if err != nil {
			return nil, fmt.Errorf("memory of %s: %w", p.name, err)
		}
		rows = append(rows,
			single("resident memory of "+p.name, mebibytes(m.resident), "after all rounds"),
			single("its proportional share", mebibytes(m.proportional), "PSS: pages shared with others count in part"))
	}
	return rows, nil
}

// measureIdle tells what processor time panel and hub take while nothing happens.
func (s *stage) measureIdle(ctx context.Context, d time.Duration) (rows table, err error) {
	before := map[*process]time.Duration{}
	for _, p := range s.programs() {
		if before[p], err = readProcessorTime(p.Process.Pid); err != nil {
			return nil, fmt.Errorf("processor time of %s: %w", p.name, err)
		}
	}
	if err := pause(ctx, d); err != nil {
		return nil, err
	}
	for _, p := range s.programs() {
		after, err := readProcessorTime(p.Process.Pid)
		if err != nil {
			return nil, fmt.Errorf("processor time of %s: %w", p.name, err)
		}
		rows = append(rows, single("idle processor time of "+p.name, milliseconds(after-before[p]),
			fmt.Sprintf("user and system in %v, polling every %v; counted in steps of %v", d, twinclient.DefaultPoll, tick)))
	}
	return rows, nil
}
