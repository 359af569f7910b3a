package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/sensor"
	"github.com/twinpanel/twinpanel/twinclient"
)

// rounds is what is measured from arming to silence, n times.
type rounds struct {
	*stage
	siren *siren

	doorToSiren, doorToCurrent, tapToPanel, tapToSilence, disarmToSilence sample

	looks sample // how long before the look that showed something current was looked at last
}

// measureRounds arms, opens the door and disarms, n times with notices and n times without. The
// panel runs, is disarmed, and its door is closed.
func (s *stage) measureRounds(ctx context.Context, n int) (table, error) {
	polled, err := s.measureWithoutNotices(ctx, n)
	if err != nil {
		return nil, err
	}
	r := &rounds{stage: s}
	if err := r.repeat(ctx, n, r.round); err != nil {
		return nil, err
	}
	debounce := fmt.Sprintf("with the debounce of %v", sensor.DefaultDebounce)
	times := float64(polled.quantile(0.5)) / float64(r.tapToSilence.quantile(0.5))
	return table{
		r.doorToSiren.row("door to siren", debounce+" and a write of the journal"),
		r.doorToCurrent.row("door to current", debounce+"; seen over REST"),
		r.tapToPanel.row("tap on the phone to current", "the hub tells the panel; seen over REST"),
		r.looks.row("between two looks over REST", "resolution of what is seen there; long when this computer was busy"),
		r.tapToSilence.row("tap to siren off", "from disarming over REST; the hub tells the panel"),
		polled.row("the same without notices", fmt.Sprintf("with up to %v until the panel looks", twinclient.DefaultPoll)),
		single("without to with", fmt.Sprintf("%.0f times", times), "of the medians"),
		r.disarmToSilence.row("panel disarm to silence", "from exec of the command"),
	}, nil
}

// measureWithoutNotices returns how long a tap takes to silence a panel that hears nothing of changes and
// polls. The panel is started anew before that and after it.
func (s *stage) measureWithoutNotices(ctx context.Context, n int) (tapToSilence sample, err error) {
	way, err := openWay(s.mqtt, true)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, way.close()) }()
	// The first wish that a panel ever sees doesn't win over a command at the panel.
	if err := s.tap(ctx, false); err != nil {
		return nil, err
	}
	if err := s.restartPanel(ctx, way.url()); err != nil {
		return nil, err
	}
	r := &rounds{stage: s}
	if err := r.repeat(ctx, n, r.polledRound); err != nil {
		return nil, err
	}
	return r.tapToSilence, s.restartPanel(ctx, s.mqtt)
}

// repeat does n rounds and watches the siren meanwhile.
func (r *rounds) repeat(ctx context.Context, n int, round func(context.Context) error) error {
	siren, err := r.watchSiren(ctx)
	if err != nil {
		return err
	}
	defer siren.close()
	r.siren = siren
	for i := range n {
		if err := round(ctx); err != nil {
			return fmt.Errorf("round %d: %w", i+1, err)
		}
	}
	return nil
}

// round rings twice: somebody arms and disarms on the phone, then at the panel.
func (r *rounds) round(ctx context.Context) error {
	// People don't tap right after something else has happened, which the panel may still be publishing.
	if err := cli.Pause(ctx, 200*time.Millisecond+rand.N(200*time.Millisecond)); err != nil {
		return err
	}
	began := time.Now()
	if err := r.tap(ctx, true); err != nil {
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
	if err := r.tapSilent(ctx); err != nil {
		return err
	}

	if err := r.ring(ctx); err != nil {
		return err
	}
	began = time.Now()
	if err := r.atPanel(ctx, "disarm"); err != nil {
		return err
	}
	seen, err = r.siren.await(ctx, false)
	if err != nil {
		return err
	}
	r.disarmToSilence.add(began, seen)
	return r.closeDoor(ctx)
}

// polledRound is the tap that silences the siren, at any time between two polls.
func (r *rounds) polledRound(ctx context.Context) error {
	if err := r.ring(ctx); err != nil {
		return err
	}
	if err := cli.Pause(ctx, rand.N(twinclient.DefaultPoll)); err != nil {
		return err
	}
	return r.tapSilent(ctx)
}

// ring arms at the panel and opens the door.
func (r *rounds) ring(ctx context.Context) error {
	if err := r.atPanel(ctx, "arm"); err != nil {
		return err
	}
	if err := r.moveDoor(ctx, true); err != nil {
		return err
	}
	_, err := r.siren.await(ctx, true)
	return err
}

// tapSilent disarms on the phone while the siren rings, and closes the door.
func (r *rounds) tapSilent(ctx context.Context) error {
	began := time.Now()
	if err := r.tap(ctx, false); err != nil {
		return err
	}
	seen, err := r.siren.await(ctx, false)
	if err != nil {
		return err
	}
	r.tapToSilence.add(began, seen)
	return r.closeDoor(ctx)
}

func (r *rounds) closeDoor(ctx context.Context) error {
	if err := r.moveDoor(ctx, false); err != nil {
		return err
	}
	_, _, err := r.awaitCurrent(ctx, "disarmed, door closed", func(c current) bool { return !c.Armed && !c.DoorOpen })
	return err
}
