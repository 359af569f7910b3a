package panels

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// How often an honest panel does what: as package twinclient does by default.
const (
	Poll        = 2 * time.Second
	NoticedPoll = 30 * time.Second // where the hub tells of changes
	Heartbeat   = 30 * time.Second
	doorEvent   = 10 * time.Minute // between two moves of the door, on the average
)

// live is an honest panel until end: it looks at "desired" and tells how it is. It begins somewhere between two polls.
func (p *panel) live(ctx context.Context, every time.Duration, end time.Time, h *Histogram) error {
	start := time.Now()
	look, beat, door := start.Add(rand.N(every)), start.Add(rand.N(Heartbeat)), start.Add(wait(doorEvent))
	for {
		due := earliest(look, beat, door, end)
		if there, err := p.await(due); err != nil {
			return err
		} else if there {
			if err := p.hear(); err != nil {
				return err
			}
			due = time.Now()
		}
		var err error
		switch {
		case !due.Before(end):
			return ctx.Err()
		case p.noticed || due.Equal(look):
			err = p.get()
			look = due.Add(every)
		case due.Equal(door):
			p.door = !p.door
			err = p.patch()
			door, beat = due.Add(wait(doorEvent)), due.Add(Heartbeat)
		case due.Equal(beat):
			err = p.patch()
			beat = due.Add(Heartbeat)
		default:
			continue
		}
		if err != nil {
			return err
		}
		h.Add(time.Since(due))
	}
}

// hear takes a message that answers no request.
func (p *panel) hear() error {
	first, body, err := p.next()
	if err != nil {
		return err
	}
	topic, _, _, err := splitPublish(first, body)
	if err != nil || p.notice == nil {
		return fmt.Errorf("%w: packet %x %q, which nobody asked for", errAnswer, first, body)
	}
	p.notice(topic)
	return nil
}

// wait is a random time with this mean, of what happens without a memory.
func wait(mean time.Duration) time.Duration {
	return time.Duration(rand.ExpFloat64() * float64(mean))
}

func earliest(first time.Time, more ...time.Time) time.Time {
	for _, t := range more {
		if t.Before(first) {
			first = t
		}
	}
	return first
}
