package app

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"
)

// pingLate is how long a watcher may stand still before pings stop: it turns each second.
const pingLate = 30 * time.Second

// PingOptions say where the app's own sign of life goes.
type PingOptions struct {
	URL      string
	Every    time.Duration // 0 = DefaultPing
	Insecure bool          // allow plain HTTP beyond this computer
	Logger   *slog.Logger  // may be nil

	Transport http.RoundTripper // for tests; nil: the network
}

// DefaultPing is the time between two pings.
const DefaultPing = time.Minute

// A Pinger tells a service elsewhere that this app lives, by asking for a URL: when nothing comes any more, that service tells
// somebody. The pings are fed by what they speak for, [Pinger.Turn], and say nothing of hub and panel.
type Pinger struct {
	url    string
	every  time.Duration
	client *http.Client
	log    *slog.Logger
	begun  time.Time
	turned atomic.Int64 // when Turn was called last, in nanoseconds since begun; 0: never
}

// NewPinger checks the options and connects to nothing. Its errors name the flag of the command app, and never the address.
func NewPinger(o PingOptions) (*Pinger, error) {
	u, err := parseTarget("--ping-url", o.URL, o.Insecure)
	if err != nil {
		return nil, err
	}
	return &Pinger{
		url:    u.String(),
		every:  cmp.Or(o.Every, DefaultPing),
		client: newClient(o.Transport, nil),
		log:    cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
		begun:  time.Now(),
	}, nil
}

// Turn is to be called at least every 30 s for the pings to go on. It never blocks.
func (p *Pinger) Turn() { p.turned.Store(max(1, int64(time.Since(p.begun)))) }

// Run pings until the context ends. It must be called once.
func (p *Pinger) Run(ctx context.Context) {
	tick := time.NewTicker(p.every)
	defer tick.Stop()
	failed, stuck := false, false
	for {
		turned := p.turned.Load()
		late := turned == 0 || time.Since(p.begun)-time.Duration(turned) >= pingLate
		switch {
		case !late:
			_, err := p.Ping(ctx)
			if err != nil && !failed && ctx.Err() == nil {
				p.log.Warn("ping failed", "error", err)
			}
			failed = err != nil
		case turned != 0 && !stuck:
			p.log.Error("the app doesn't watch any more: no pings", "hint", "start it again, and report what the log says before")
		}
		stuck = late
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Ping pings once. What it says is for the one who tries it.
func (p *Pinger) Ping(ctx context.Context) (said string, err error) {
	ctx, cancel := context.WithTimeout(ctx, noticeTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		return "", err
	}
	r.Header.Set("User-Agent", "twinpanel")
	return exchange(p.client, r, "--ping-url")
}
