package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/twinpanel/twinpanel/internal/cli"
)

// tellSystemd tells the service manager, if there is one, that the app serves. If the unit has a WatchdogSec, it goes on to tell
// that the app can see: view has to come back each time. The end that it returns is told, too.
func tellSystemd(view func(), log *slog.Logger) (end func()) {
	tell, every := cli.ServiceManager(log)
	tell(daemon.SdNotifyReady)
	ctx, stop := context.WithCancel(context.Background())
	var feeding sync.WaitGroup
	if every > 0 {
		feeding.Go(func() { feed(ctx, every/3, view, func() { tell(daemon.SdNotifyWatchdog) }) })
	}
	return func() {
		tell(daemon.SdNotifyStopping)
		stop()
		feeding.Wait()
	}
}

// feed feeds the watchdog every so often after a look.
func feed(ctx context.Context, every time.Duration, view, tell func()) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		view()
		tell()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
