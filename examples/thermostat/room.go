package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

// A room loses warmth to the cold outside, and has a heater.
type room struct {
	log *slog.Logger

	mu          sync.Mutex
	temperature float64 // °C
	target      float64
	heating     bool
}

// live passes the time in steps of a second, and tells after each that the
// document may have changed: Sync publishes only what has.
func (r *room) live(ctx context.Context, changed func()) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			r.step()
			changed()
		}
	}
}

// step is what a second does to the room.
func (r *room) step() {
	const outside, leak, power, hysteresis = 5, 0.001, 0.05, 0.2
	r.mu.Lock()
	defer r.mu.Unlock()
	r.temperature -= leak * (r.temperature - outside)
	if r.heating {
		r.temperature += power
	}
	switch {
	case r.temperature < r.target-hysteresis:
		r.heating = true
	case r.temperature > r.target+hysteresis:
		r.heating = false
	}
}

// document is what gets published. Rounding keeps small moves off the wire.
func (r *room) document(context.Context) (json.RawMessage, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return json.Marshal(struct {
		Temperature float64 `json:"temperature"`
		Target      float64 `json:"target"`
		Heating     bool    `json:"heating"`
	}{math.Round(r.temperature*10) / 10, r.target, r.heating})
}

// want takes the wish of somebody else. A level, not a command: whatever is no
// sensible target leaves the one there is.
func (r *room) want(doc twin.Document, err error) {
	var desired struct {
		Target *float64 `json:"target"`
	}
	if err != nil || json.Unmarshal(doc.Data, &desired) != nil || desired.Target == nil {
		return
	}
	t := *desired.Target
	if t < 5 || t > 30 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if t != r.target {
		r.log.Info("new target", "target", t, "version", doc.Version)
		r.target = t
	}
}
