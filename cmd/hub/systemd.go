package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/internal/cli"
)

// tellSystemd tells the service manager, if there is one, that the hub serves. If the unit has a
// WatchdogSec, it goes on to tell that the hub can write: after a commit that failed nothing is written until the
// hub has been started again, which the watchdog then does. The end that it returns is told, too.
func tellSystemd(h *hub.Hub, log *slog.Logger) (end func()) {
	tell, every := cli.ServiceManager(log)
	tell(daemon.SdNotifyReady)
	ctx, stop := context.WithCancel(context.Background())
	var feeding sync.WaitGroup
	if every > 0 {
		feeding.Go(func() { feed(ctx, every/3, h.Ready, func() { tell(daemon.SdNotifyWatchdog) }, log) })
	}
	return func() {
		tell(daemon.SdNotifyStopping)
		stop()
		feeding.Wait()
	}
}

// feed tells the watchdog every so often that the hub is ready, as long as it is. The log hears of changes.
func feed(ctx context.Context, every time.Duration, ready func(context.Context) error, tell func(), log *slog.Logger) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	hungry := false
	for {
		switch err := ready(ctx); {
		case err == nil:
			tell()
			if hungry {
				log.Info("the data can be written again")
			}
			hungry = false
		case !hungry && ctx.Err() == nil:
			log.Error("nothing can be written: the watchdog will start the hub again", "error", err)
			hungry = true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
