package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/twinpanel/twinpanel/internal/cli"
)

const (
	// shortestWatchdog is twice the pause between two signs of life of the loop.
	shortestWatchdog = 4 * time.Second
	// patienceAtEnd is how long the end waits for a service manager that doesn't read.
	patienceAtEnd = time.Second
)

// tellSystemd returns a function for the panel's loop to say that it turns. The first call tells the service manager, if
// there is one, that the panel guards; each further one feeds the watchdog of its unit. It never blocks: a goroutine does
// the telling, and what the service manager was too slow for is left out. That the panel stops is told when ctx ends, or by end,
// which waits for it.
func tellSystemd(ctx context.Context, log *slog.Logger) (alive, end func()) {
	tell, watchdog := cli.ServiceManager(log)
	if watchdog > 0 && watchdog < shortestWatchdog {
		log.Warn("the unit's watchdog is too short for this panel: give it a longer WatchdogSec", "watchdog", watchdog, "shortest", shortestWatchdog)
	}
	ctx, stop := context.WithCancel(ctx)
	turns := make(chan struct{}, 1)
	told := make(chan struct{})
	go func() {
		defer close(told)
		state := daemon.SdNotifyReady
		for {
			select {
			case <-turns:
				tell(state)
				state = daemon.SdNotifyWatchdog
			case <-ctx.Done():
				tell(daemon.SdNotifyStopping)
				return
			}
		}
	}()
	alive = func() {
		select {
		case turns <- struct{}{}:
		default:
		}
	}
	end = func() {
		stop()
		select {
		case <-told:
		case <-time.After(patienceAtEnd):
		}
	}
	return alive, end
}
