//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/twinpanel/twinpanel/hub/docstore/sqlite"
	"github.com/twinpanel/twinpanel/scripts/load/panels"
)

// measurePatches lets panels change their document as fast as answers come, beside the store without a hub.
func (s *stage) measurePatches(ctx context.Context) error {
	hub, err := s.startHub(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	return errors.Join(s.patchBesideStore(ctx, hub), hub.end())
}

func (s *stage) patchBesideStore(ctx context.Context, hub *server) error {
	db, err := sqlite.Open(s.path("bare"), sqlite.Options{})
	if err != nil {
		return err
	}
	if err := errors.Join(fill(ctx, db, db, s.size.devices()), db.Close()); err != nil {
		return err
	}
	var disk sample
	for _, n := range s.size.writers {
		var ours runs
		var bare sample
		for range s.runs {
			a, err := s.do(ctx, hub, panels.Job{Kind: panels.Patches, Panels: n})
			if err != nil {
				return err
			}
			b, err := s.runBareStore(ctx, n)
			if err != nil {
				return err
			}
			c, err := s.measureDisk()
			if err != nil {
				return err
			}
			ours, bare, disk = append(ours, a), append(bare, b), append(disk, c)
		}
		s.table = append(s.table,
			figure{what: fmt.Sprintf("durable patches, %d writers, a second", n), show: asNumber, more: true, target: 0.5, hub: ours.of(run.rate), peer: bare,
				note: "bare store: get and put, without MQTT and JSON"},
			figure{what: "  p50", show: asTime, hub: ours.of(p50)},
			figure{what: "  p99", show: asTime, hub: ours.of(p99)},
			figure{what: "  processor time of a patch", show: asTime, hub: ours.of(run.perRequest)})
	}
	s.table = append(s.table, figure{what: "append and fdatasync, a second", show: asNumber, hub: disk, note: "this disk, one after the other"})
	return nil
}
