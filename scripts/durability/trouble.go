//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

// Limits of what is waited for while a disk has trouble.
const (
	patience = 30 * time.Second // none that comes takes near as long
	enough   = 50               // answers of each kind
)

// troubleCount counts what hubs answered while their disks had trouble.
type troubleCount struct{ rest, mqtt, reads int64 }

func (c troubleCount) String() string {
	return fmt.Sprintf("answers in trouble: %d REST and %d MQTT writes refused, %d reads good, 0 bad", c.rest, c.mqtt, c.reads)
}

// suffer waits until the hub has answered many a write with its trouble. Reads have to go on meanwhile.
func (s *stage) suffer(ctx context.Context, c *troubleCount) error {
	l := s.load
	if err := await(ctx, "writes that fail with an error", func() bool {
		return l.restFailed.Load() >= enough && l.mqttFailed.Load() >= enough
	}); err != nil {
		return fmt.Errorf("%w: %d failed over REST, %d over MQTT, last acknowledged %d", err, l.restFailed.Load(), l.mqttFailed.Load(), l.writes.Load())
	}
	before := l.reads.Load()
	if err := await(ctx, "reads", func() bool { return l.reads.Load() >= before+enough }); err != nil {
		return err
	}
	c.rest += l.restFailed.Load()
	c.mqtt += l.mqttFailed.Load()
	c.reads += l.reads.Load() - before
	if n := l.readsFailed.Load(); n > 0 {
		return fmt.Errorf("%d reads failed", n)
	}
	return nil
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
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}
