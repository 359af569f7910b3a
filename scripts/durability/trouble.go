//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twinpanel/twinpanel/internal/cli"
)

// Limits of what is waited for: while a disk has trouble, and until nobody uses it any more.
const (
	patience = 30 * time.Second // nothing that comes takes near as long
	enough   = 50               // answers of each kind
)

// troubleCount counts what hubs answered while their disks had trouble.
type troubleCount struct{ rest, mqtt, reads int64 }

func (c troubleCount) String() string {
	return fmt.Sprintf("answers in trouble: %d REST and %d MQTT writes refused, %d reads good, 0 bad", c.rest, c.mqtt, c.reads)
}

// suffer waits until the hub has answered many a write with its trouble. Reads have to go on meanwhile.
func (s *stage) suffer(ctx context.Context, c *troubleCount) error {
	begin := s.answers()
	var now troubleCount
	if err := await(ctx, "writes that fail with an error", func() bool {
		now = s.answers()
		return now.rest >= begin.rest+enough && now.mqtt >= begin.mqtt+enough
	}); err != nil {
		return err
	}
	reads := now.reads
	if err := await(ctx, "reads", func() bool {
		now = s.answers()
		return now.reads >= reads+enough
	}); err != nil {
		return err
	}
	if n, first := s.load.readsFailed.load(); n > 0 {
		return fmt.Errorf("%d reads failed: %w", n, first)
	}
	c.rest += now.rest - begin.rest
	c.mqtt += now.mqtt - begin.mqtt
	c.reads += now.reads - reads
	return nil
}

// answers are those that the load was given so far.
func (s *stage) answers() troubleCount {
	rest, _ := s.load.restFailed.load()
	mqtt, _ := s.load.mqttFailed.load()
	return troubleCount{rest, mqtt, s.load.reads.Load()}
}

// recover waits until the hub acknowledges writes again.
func (s *stage) recover(ctx context.Context) error {
	before := s.load.writes.Load()
	return await(ctx, "writes after the trouble", func() bool { return s.load.writes.Load() >= before+enough })
}

// await waits for something that comes.
func await(ctx context.Context, what string, come func() bool) error {
	for end := time.Now().Add(patience); !come(); {
		if time.Now().After(end) {
			return fmt.Errorf("%s did not come within %v", what, patience)
		}
		if err := cli.Pause(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}
