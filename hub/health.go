package hub

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/twinpanel/twinpanel/hub/metrics"
	"github.com/twinpanel/twinpanel/hub/registry"
)

const (
	readyAgain = time.Second // between two questions to the registry, whoever asks how often
	readyTime  = 2 * time.Second
)

// A healthAnswer is what /healthz and /readyz say.
type healthAnswer struct {
	Status string `json:"status"`           // ok or unavailable
	Reason string `json:"reason,omitempty"` // in words
}

// healthz answers as long as the process serves at all.
func healthz(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, healthAnswer{Status: "ok"})
}

// readyz answers 200 when the hub is ready as [Hub.Ready] has it, and 503 when it isn't, or is about to end. It
// needs no token, and says no more than that.
func (h *Hub) readyz(w http.ResponseWriter, r *http.Request) {
	switch {
	case h.rest.closing.Err() != nil:
		writeJSON(w, http.StatusServiceUnavailable, healthAnswer{"unavailable", "the hub is ending"})
	case h.Ready(r.Context()) != nil:
		writeJSON(w, http.StatusServiceUnavailable, healthAnswer{"unavailable", "the data can't be written: the hub's log says why"})
	default:
		writeJSON(w, http.StatusOK, healthAnswer{Status: "ok"})
	}
}

// Metrics are what /metrics of the REST API shows; numbers can be added.
func (h *Hub) Metrics() *metrics.Metrics { return h.metrics }

// Ready returns an error when the hub can't write within two seconds: the one that the registry has for it. The log hears of changes. A hub
// on a data folder then writes nothing any more until it is started again; one on a database goes on by itself when
// the database does. A disk that is full now is no such error, since writes go on when there is room.
func (h *Hub) Ready(ctx context.Context) error { return h.writable.check(ctx, h) }

// writable remembers for a moment whether the registry takes writes.
type writable struct {
	asking chan struct{} // holds an element while somebody asks

	mu  sync.Mutex
	at  time.Time
	err error
}

func newWritable() writable { return writable{asking: make(chan struct{}, 1)} }

// check asks the registry for a write of nothing: a transaction without a change. So it waits where a write waits,
// and is refused where all writes are, but puts nothing on the disk.
func (c *writable) check(ctx context.Context, h *Hub) error {
	select {
	case c.asking <- struct{}{}:
		defer func() { <-c.asking }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if at, err := c.last(); time.Since(at) < readyAgain {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	err := h.registry.Seen(ctx, nil, nil)
	if errors.Is(err, context.Canceled) {
		return err // the one who asked went away
	}
	c.mu.Lock()
	changed := (err == nil) != (c.err == nil)
	c.at, c.err = time.Now(), err
	c.mu.Unlock()
	switch {
	case changed && err != nil:
		h.log.error("", "the data can't be written", "error", err)
	case changed:
		h.log.info("", "the data can be written again")
	}
	return err
}

func (c *writable) last() (time.Time, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at, c.err
}

// serveMetrics answers whoever has a token for all devices; one that only reads is good enough. Prometheus
// shows it as Authorization: Bearer. Where tokens can't be looked up, since the database is away, it answers 503 as /readyz does.
func (h *Hub) serveMetrics() http.Handler {
	handler := h.metrics.Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && r.Header.Get("X-Auth-Token") == "" {
			r.Header.Set("X-Auth-Token", bearer)
		}
		token, err := h.authenticate(r)
		if err == nil && token.Device != "" {
			err = &permissionError{action: "read", resource: "hub"}
		}
		if err != nil {
			status, body := restError(r, err)
			if status == http.StatusInternalServerError {
				if r.Context().Err() == nil {
					h.log.error("", "request failed", "method", r.Method, "path", r.URL.Path, "request_id", w.Header().Get("X-Request-Id"), "error", err)
				}
				status, body = http.StatusServiceUnavailable, plainBody{"the token can't be looked up: the hub's log says why"}
			}
			writeJSON(w, status, body)
			return
		}
		w.Header().Del("Connection")
		handler.ServeHTTP(w, r)
	})
}

// watch adds what is read when somebody asks.
func (h *Hub) watch() {
	h.metrics.Gauges("connections", "Open MQTT connections, over TCP and WebSocket: of devices, of clients of the broker behind the hub that are no device, and of clients that have not yet shown who they are.", "state", func() map[string]float64 {
		devices, plain, newcomers := h.endpoint.connections()
		now := map[string]float64{"device": float64(devices), "newcomer": float64(newcomers)}
		if h.endpoint.broker != nil {
			now["plain"] = float64(plain)
		}
		return now
	})
	if b := h.endpoint.broker; b != nil {
		b.watch(h.metrics)
	}
	h.metrics.Gauge("devices_connected", "Devices that have a connection.", func() float64 { return float64(len(h.endpoint.connectedDevices())) })
	h.metrics.Gauge("writable", "1 if the hub can write, 0 if it can't, as /readyz has it; see data_free_bytes for a full disk.", func() float64 {
		if h.Ready(context.Background()) != nil {
			return 0
		}
		return 1
	})
	h.metrics.Counter("log_lines_omitted_total", "Log lines that were left out, since there were too many of their kind.", h.log.omittedInAll)
	h.metrics.Counter("series_points_pushed_total", "Points of time series that Graphite took.", func() float64 { return float64(h.SeriesStats().Pushed) })
	h.metrics.Counter("series_points_dropped_total", "Points of time series that were dropped.", func() float64 { return float64(h.SeriesStats().Dropped) })
	h.metrics.Gauge("series_points_waiting", "Points of time series that wait to be pushed.", func() float64 { return float64(h.SeriesStats().Queued) })
	h.metrics.Gauges("certificate_expiry_timestamp_seconds",
		"When the first certificate of a kind expires: the hub's own, those of its authorities, those of devices.", "kind", (&firstExpiries{hub: h}).read)
}

// firstExpiries remembers when the first of each kind expires: a house has a dozen certificates, an operator
// has thousands.
type firstExpiries struct {
	hub *Hub

	mu    sync.Mutex
	at    time.Time
	first map[string]float64
}

func (e *firstExpiries) read() map[string]float64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	if time.Since(e.at) < expiryLook && e.first != nil {
		return e.first
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyTime)
	defer cancel()
	found, err := e.hub.expiries(ctx)
	if err != nil {
		return nil
	}
	e.at, e.first = time.Now(), make(map[string]float64)
	for _, x := range found { // the soonest first
		if _, ok := e.first[x.What]; !ok {
			e.first[x.What] = float64(x.At.Unix())
		}
	}
	return e.first
}

// outcomeOf is what became of a request, for the metrics.
func outcomeOf(err error) string {
	switch {
	case err == nil:
		return metrics.OK
	case isUnknown(err):
		return metrics.Unknown
	case isRefusal(err), isRefused(err), errors.Is(err, registry.ErrNoDevice):
		return metrics.Refused
	}
	return metrics.Failed
}

// connectOutcome is what became of a connection, for the metrics.
func connectOutcome(err error) string {
	switch {
	case err == nil:
		return "accepted"
	case errors.Is(err, errEmpty):
		return "nothing sent"
	case errors.Is(err, errFull):
		return "full"
	case errors.Is(err, errGuessing):
		return "too many failed logins"
	case isRefused(err):
		return "refused"
	case errors.Is(err, errHubRefused):
		return "hub refused by broker"
	case byBroker(err):
		return "broker away"
	case isBrokerRefusal(err):
		return "refused by broker"
	case errors.Is(err, errUnavailable):
		return "devices unreadable"
	}
	return "not understood"
}
