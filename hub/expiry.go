package hub

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/twinpanel/twinpanel/hub/credential"
)

// When the log speaks of certificates that end, and how much of it.
const (
	expirySoon  = 30 * 24 * time.Hour // before the end
	expiryAgain = 24 * time.Hour      // after the last line about it
	expiryLook  = time.Hour
	expiryLines = 50 // at a time; of a fleet that ends at once, the rest is counted
)

// expiryHints say what to do, by what it is that ends.
var expiryHints = map[string]string{
	"hub certificate":    "put new files in the place of --cert and --key-file, or see hub ca renew",
	"server authority":   "see hub ca renew and hub ca remove",
	"device authority":   "see hub ca renew, hub ca add and hub ca remove",
	"device certificate": "see hub device renew",
}

// expiry is the task that logs what expires: a line a day for each thing, from thirty days before.
type expiry struct {
	list    func(context.Context) ([]credential.Expiry, error)
	log     *slog.Logger
	closing context.Context
	stop    context.CancelFunc
	running sync.WaitGroup

	told    map[credential.Expiry]toldExpiry
	noClock bool // was logged
}

// A toldExpiry is what the log has of an end.
type toldExpiry struct {
	at   time.Time
	over bool
}

func newExpiry(list func(context.Context) ([]credential.Expiry, error), log *slog.Logger) *expiry {
	e := &expiry{list: list, log: log}
	e.closing, e.stop = context.WithCancel(context.Background())
	return e
}

// start begins to look; it is called once, if at all.
func (e *expiry) start() { e.running.Go(e.run) }

func (e *expiry) close() {
	e.stop()
	e.running.Wait()
}

func (e *expiry) run() {
	tick := time.NewTicker(expiryLook)
	defer tick.Stop()
	for {
		e.look()
		select {
		case <-tick.C:
		case <-e.closing.Done():
			return
		}
	}
}

// look logs what there is to say now.
func (e *expiry) look() {
	now := time.Now()
	if !credential.ClockIsSet(now) {
		if !e.noClock {
			e.log.Warn("the clock is not set: the dates of certificates are not checked", "clock", now)
		}
		e.noClock = true
		return
	}
	if e.noClock {
		e.log.Info("the clock is set: the dates of certificates are checked", "clock", now)
		e.noClock = false
	}
	ctx, cancel := context.WithTimeout(e.closing, registryTime)
	defer cancel()
	all, err := e.list(ctx)
	if err != nil {
		if e.closing.Err() == nil {
			e.log.Warn("what expires can't be read", "error", err)
		}
		return
	}
	told := make(map[credential.Expiry]toldExpiry) // forgets what is there no more
	more := 0
	for _, x := range all {
		if now.Before(x.At.Add(-expirySoon)) {
			break // the rest lasts longer
		}
		last, known := e.told[x]
		this := toldExpiry{now, now.After(x.At)}
		if known && last.over == this.over && now.Sub(last.at) < expiryAgain {
			told[x] = last
			continue
		}
		told[x] = this
		level, msg := slog.LevelWarn, "certificate expires soon"
		if this.over {
			level, msg = slog.LevelError, "certificate expired"
		}
		if more++; more <= expiryLines {
			e.log.Log(ctx, level, msg, "what", x.What, "name", x.Name, "at", x.At, "hint", expiryHints[x.What])
		}
	}
	if more > expiryLines {
		e.log.Warn("more certificates expired or expire soon", "count", more-expiryLines)
	}
	e.told = told
}

// expiries lists everything with an end, the soonest first.
func (h *Hub) expiries(ctx context.Context) ([]credential.Expiry, error) {
	h.tlsMu.Lock()
	server := h.server
	h.tlsMu.Unlock()
	return credential.Expiries(ctx, h.registry, server)
}
