package cli

import (
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

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
