package main

import (
	"context"
	"log/slog"
)

// works tells whether the hub does its work, for the service manager's watchdog: after a commit that failed nothing is written until
// the hub has been started again. The log hears of changes.
func works(ready func(context.Context) error, log *slog.Logger) func(context.Context) bool {
	broken := false
	return func(ctx context.Context) bool {
		err := ready(ctx)
		switch {
		case err == nil && broken:
			log.Info("the data can be written again")
		case err != nil && !broken && ctx.Err() == nil:
			log.Error("nothing can be written: the watchdog will start the hub again", "error", err)
		}
		broken = err != nil
		return !broken
	}
}
