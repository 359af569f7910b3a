package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/sensor"
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
		if err := s.startPanel(ctx, s.mqtt); err != nil {
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
	if err := cli.Pause(ctx, d); err != nil {
		return nil, err
	}
	for _, p := range s.programs() {
		after, err := readProcessorTime(p.Process.Pid)
		if err != nil {
			return nil, fmt.Errorf("processor time of %s: %w", p.name, err)
		}
		rows = append(rows, single("idle processor time of "+p.name, milliseconds(after-before[p]),
			fmt.Sprintf("user and system in %v; counted in steps of %v", d, tick)))
	}
	return rows, nil
}
