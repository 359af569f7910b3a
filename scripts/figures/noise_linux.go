package main

import (
	"context"
	"time"

	"github.com/twinpanel/twinpanel/internal/cli"
)

// nap is what measureLateness sleeps for.
const nap = time.Millisecond

// measureLateness sleeps a thousand times and returns how late each sleep ended: what a computer and all else that it does
// add to any figure measured on it.
func measureLateness(ctx context.Context) (sample, error) {
	var late sample
	for range 1000 {
		began := time.Now()
		if err := cli.Pause(ctx, nap); err != nil {
			return nil, err
		}
		late = append(late, time.Since(began)-nap)
	}
	return late, nil
}
