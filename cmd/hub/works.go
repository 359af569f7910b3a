package main

import (
	"context"
	"log/slog"
)

// works tells whether a hub on a data folder does its work, for the service manager's watchdog: after a commit that failed
// nothing is written until the hub has been started again. The log hears of changes.
func works(ready func(context.Context) error, log *slog.Logger) func(context.Context) bool {
	return watch(ready, log, "nothing can be written: the watchdog will start the hub again")
}

// servesOn is the same for a hub on a database, which is alive for as long as it can look: no start of the hub brings a
// database back, each would cost all devices their connections, and one that finds no database ends. The hub goes on by
// itself when the database is back; until then /readyz, which balancers ask, says that it isn't ready.
func servesOn(ready func(context.Context) error, log *slog.Logger) func(context.Context) bool {
	look := watch(ready, log, "the database can't be written: the hub goes on when it can")
	return func(ctx context.Context) bool {
		look(ctx)
		return true
	}
}

// watch tells whether the data can be written. The log hears of changes.
func watch(ready func(context.Context) error, log *slog.Logger, trouble string) func(context.Context) bool {
	broken := false
	return func(ctx context.Context) bool {
		err := ready(ctx)
		switch {
		case err == nil && broken:
			log.Info("the data can be written again")
		case err != nil && !broken && ctx.Err() == nil:
			log.Error(trouble, "error", err)
		}
		broken = err != nil
		return !broken
	}
}
