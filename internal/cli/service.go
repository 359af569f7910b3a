package cli

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Serves tells the service manager, if there is one, that this process is ready. If its unit has a WatchdogSec, it goes on to
// tell, three times in that time, that the process does its work, for as long as works says so; one that says no or hangs is
// started again. That the process stops is told when ctx ends, or by end, which waits for works.
func Serves(ctx context.Context, works func(context.Context) bool, log *slog.Logger) (end func()) {
	tell, watchdog := ServiceManager(log)
	tell(daemon.SdNotifyReady)
	feeding, stop := context.WithCancel(ctx)
	var fed sync.WaitGroup
	if watchdog > 0 {
		fed.Go(func() { feed(feeding, watchdog/3, works, func() { tell(daemon.SdNotifyWatchdog) }) })
	}
	end = sync.OnceFunc(func() {
		tell(daemon.SdNotifyStopping)
		stop()
		fed.Wait()
	})
	context.AfterFunc(ctx, end)
	return end
}

// feed feeds the watchdog every so often.
func feed(ctx context.Context, every time.Duration, works func(context.Context) bool, tell func()) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if works(ctx) {
			tell()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// ServiceManager returns how to tell the service manager what this process does, in the words of sd_notify(3), and after how
// long a silence its watchdog acts, which is 0 where it has none. A process that no service manager started tells nobody.
// tell waits for as long as the service manager doesn't read.
func ServiceManager(log *slog.Logger) (tell func(state string), watchdog time.Duration) {
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("the unit's watchdog can't be read", "error", err)
	}
	return func(state string) {
		if _, err := daemon.SdNotify(false, state); err != nil {
			log.Warn("the service manager can't be told", "state", state, "error", err)
		}
	}, watchdog
}
