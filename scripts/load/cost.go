//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twinpanel/twinpanel/scripts/load/panels"
)

// measureCPU counts the processor time of gets and patches, on each kind of store.
func (s *stage) measureCPU(ctx context.Context) error {
	kinds := []panels.Kind{panels.Gets, panels.Patches}
	folder, err := s.measureOn(ctx, folderStore{s}, 1, kinds)
	if err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	s.addCosts("on a data folder", folder, nil)
	db, err := s.startPostgres(ctx)
	if err != nil {
		return err
	}
	for _, hubs := range []int{1, 2} {
		costs, e := s.measureOn(ctx, db, hubs, kinds)
		if e != nil {
			err = fmt.Errorf("PostgreSQL, hubs: %d: %w", hubs, e)
			break
		}
		s.addCosts(fmt.Sprintf("on PostgreSQL, hubs: %d", hubs), costs, folder)
		if hubs == 1 {
			s.shared = costs
		}
	}
	return errors.Join(err, db.end())
}

// costs are what requests of a kind took.
type costs map[panels.Kind]*cost

// A cost is that of a request, in each run.
type cost struct {
	rate          sample
	hub, database sample // processor time of the hubs and of the database server, in nanoseconds
}

func (c cost) both() (sum sample) {
	for i := range c.hub {
		sum = append(sum, c.hub[i]+c.database[i])
	}
	return sum
}

// measureOn lets panels ask so many hubs on one store.
func (s *stage) measureOn(ctx context.Context, on store, hubs int, kinds []panels.Kind) (c costs, err error) {
	h, err := s.startHubs(ctx, on, hubs)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.end()) }()
	c = costs{}
	for _, kind := range kinds {
		c[kind] = new(cost)
	}
	for range s.runs {
		for _, kind := range kinds {
			before, err := on.processTime()
			if err != nil {
				return nil, err
			}
			r, err := s.do(ctx, h, panels.Job{Kind: kind, Panels: s.size.askers})
			if err != nil {
				return nil, err
			}
			after, err := on.processTime()
			if err != nil {
				return nil, err
			}
			one := c[kind]
			one.rate = append(one.rate, r.rate())
			one.hub = append(one.hub, r.perRequest())
			one.database = append(one.database, float64(after-before)/float64(max(r.Requests, 1)))
		}
	}
	return c, nil
}

// addCosts adds the lines of a store, beside the data folder.
func (s *stage) addCosts(where string, c, folder costs) {
	for _, kind := range []struct {
		kind panels.Kind
		name string // of one request
	}{{panels.Gets, "get"}, {panels.Patches, "patch"}} {
		here := c[kind.kind]
		rate := figure{what: fmt.Sprintf("%s %s, a second", kind.kind, where), show: asNumber, more: true, uneven: true, hub: here.rate}
		time := figure{what: "  processor time of a " + kind.name, show: asTime, uneven: true, hub: here.both()}
		if folder != nil {
			rate.peer, time.peer = folder[kind.kind].rate, folder[kind.kind].both()
			rate.note, time.note = "the data folder", "hubs and PostgreSQL"
		}
		s.table = append(s.table, rate, time)
		if folder != nil {
			s.table = append(s.table, figure{what: "  of it PostgreSQL's", show: asTime, hub: here.database})
		}
	}
}

// measurePanels counts what honest panels cost a hub on a data folder.
func (s *stage) measurePanels(ctx context.Context) error {
	for _, kind := range []struct {
		kind panels.Kind
		name string
	}{{panels.Polls, "that look every 2 s"}, {panels.Notices, "that are told of changes"}} {
		for _, n := range s.size.houses {
			if err := s.measureHouses(ctx, kind.kind, kind.name, n); err != nil {
				return fmt.Errorf("%d panels %s: %w", n, kind.name, err)
			}
		}
	}
	return nil
}

func (s *stage) measureHouses(ctx context.Context, kind panels.Kind, name string, n int) error {
	var cpu, memory, messages, late sample
	for range s.fewer() {
		h, err := s.startHubs(ctx, folderStore{s}, 1)
		if err != nil {
			return err
		}
		pid := h.pids()[0]
		before, err := residentMemory(pid)
		var r run
		if err == nil {
			r, err = s.do(ctx, h, panels.Job{Kind: kind, Panels: n, Time: s.houseTime()})
		}
		var after int64
		if err == nil {
			after, err = memoryPeak(pid)
		}
		if err = errors.Join(err, h.end()); err != nil {
			return err
		}
		perPanel := 1 / (float64(n) * r.Time.Seconds())
		cpu = append(cpu, float64(r.serverTime)*perPanel*time.Hour.Seconds())
		messages = append(messages, float64(r.Packets)*perPanel*time.Hour.Seconds())
		memory = append(memory, float64(after-before)/float64(n))
		late = append(late, float64(r.P99))
	}
	s.table = append(s.table,
		figure{what: fmt.Sprintf("%d panels %s, processor time each, an hour", n, name), show: asTime, hub: cpu},
		figure{what: "  memory each", show: asSize, hub: memory, note: "the highest, with what came of connecting"},
		figure{what: "  messages each, an hour", show: asNumber, hub: messages, note: "MQTT packets, both ways"},
		figure{what: "  p99", show: asTime, hub: late})
	return nil
}

// houseTime is how long honest panels are looked at: they do little.
func (s *stage) houseTime() time.Duration { return 6 * s.time }
