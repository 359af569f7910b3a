package main

import (
	"context"
	"log/slog"
)

// folderWatchdog tells the service manager's watchdog whether a hub on a data folder does its work: after a commit that failed
// nothing is written until the hub has been started again. The log hears of it once.
func folderWatchdog(ready func(context.Context) error, log *slog.Logger) func(context.Context) bool {
	broken := false
	return func(ctx context.Context) bool {
		err := ready(ctx)
		if err != nil && !broken && ctx.Err() == nil {
			log.Error("nothing can be written: the watchdog will start the hub again", "error", err)
		}
		broken = err != nil
		return !broken
	}
}

// databaseWatchdog is the same for a hub on a database, which is alive for as long as it can look: no start of the hub brings a
// database back, each would cost all devices their connections, and one that finds no database ends. The hub goes on by
// itself when the database is back, says both in its log, and until then /readyz, which balancers ask, says that it isn't ready.
func databaseWatchdog(ready func(context.Context) error, _ *slog.Logger) func(context.Context) bool {
	return func(ctx context.Context) bool {
		_ = ready(ctx)
		return true
	}
}
