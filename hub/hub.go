// Package hub is Cloud Twins as a server: an MQTT 3.1.1 endpoint that answers
// in-band requests on the connection that asked, and the REST API. Both are
// ways into one function, [Hub.Do]. Nothing is routed between connections:
// there is no broker here, but the hub can stand in front of one, see [Upstream].
//
// Hubs on one store are one hub to their clients, see package peers.
package hub

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"

	"github.com/twinpanel/twinpanel/hub/credential"
	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/graphite"
	"github.com/twinpanel/twinpanel/hub/metrics"
	"github.com/twinpanel/twinpanel/hub/peers"
	"github.com/twinpanel/twinpanel/hub/registry"
)

// DefaultRegion is the vendor's only region for devices.
const DefaultRegion = "fr-par"

// OtherTopics says what happens to a PUBLISH outside $SCW/twins/.
type OtherTopics string

// The choices of --other-topics.
const (
	RefuseOtherTopics OtherTopics = "refuse" // close the connection
	DropOtherTopics   OtherTopics = "drop"   // acknowledge and forget
)

// Config is what a hub needs.
type Config struct {
	Documents   docstore.Store    // required; a [Store], which is Registry too, saves a read in most requests
	Registry    registry.Registry // required
	Peers       peers.Link        // the other hubs on the same documents and registry; nil = there can be none
	Region      string            // of the REST path; default DefaultRegion
	OtherTopics OtherTopics       // default RefuseOtherTopics
	Graphite    string            // URI that time series are pushed to, see [graphite.Config]; empty = [registry.Hub.Graphite]
	Names       []string          // hosts that the hub's own certificate is for, see [credential.NewServer]
	Certificate credential.Files  // shown instead of that one; zero = none
	Upstream    *Upstream         // a broker that the hub stands in front of; nil = none
	Origins     []string          // of web pages that may open a WebSocket, beside the hub's own, see [Hub.WebSocket]
	Logger      *slog.Logger      // nil = silent
}

// Validate says what is missing or wrong.
func (c Config) Validate() error {
	switch {
	case c.Documents == nil:
		return errors.New("hub: Config.Documents is missing")
	case c.Registry == nil:
		return errors.New("hub: Config.Registry is missing")
	}
	for _, n := range c.Names {
		if err := credential.CheckHost(n); err != nil {
			return fmt.Errorf("hub: Config.Names: %w", err)
		}
	}
	for _, o := range c.Origins {
		if err := CheckOrigin(o); err != nil {
			return fmt.Errorf("hub: Config.Origins: %w", err)
		}
	}
	if c.Graphite != "" {
		if err := (graphite.Config{URI: c.Graphite}).Validate(); err != nil {
			return fmt.Errorf("hub: Config.Graphite: %w", err)
		}
	}
	if c.Upstream != nil {
		if err := c.Upstream.Validate(); err != nil {
			return fmt.Errorf("hub: Config.Upstream: %w", err)
		}
		if c.OtherTopics != "" {
			return errors.New("hub: Config.OtherTopics: other topics are those of Config.Upstream")
		}
	}
	switch c.OtherTopics {
	case "", RefuseOtherTopics, DropOtherTopics:
		return nil
	}
	return fmt.Errorf("hub: Config.OtherTopics is %q: expected %q or %q", c.OtherTopics, RefuseOtherTopics, DropOtherTopics)
}

// A Hub serves twins. It is safe for concurrent use.
type Hub struct {
	documents docstore.Store
	registry  registry.Registry
	both      Store // documents and registry, if they are one; else nil
	region    string
	log       *quietLog
	seen      *seen
	logins    *logins
	endpoint  *endpoint
	series    *series
	rest      *httpServer
	web       *httpServer
	metrics   *metrics.Metrics
	writable  writable
	peers     peers.Link // nil = there are no other hubs
	news      *news

	graphite string        // [Config.Graphite]
	changing chan struct{} // holds an element while somebody changes the hub's record over REST

	names       []string
	certificate credential.Files
	tlsMu       sync.Mutex         // of server
	server      *credential.Server // nil until somebody wants TLS
	expiry      *expiry
}

// New checks the configuration and returns a hub that serves nothing yet.
func New(c Config) (*Hub, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Region = cmp.Or(c.Region, DefaultRegion)
	c.OtherTopics = cmp.Or(c.OtherTopics, RefuseOtherTopics)
	h := &Hub{
		documents:   c.Documents,
		registry:    c.Registry,
		both:        storeOf(c.Documents, c.Registry),
		peers:       c.Peers,
		region:      c.Region,
		log:         newQuietLog(c.Logger),
		graphite:    c.Graphite,
		changing:    make(chan struct{}, 1),
		names:       c.Names,
		certificate: c.Certificate,
	}
	h.series = newSeries(graphite.Config{Logger: c.Logger}, h.log)
	if err := h.startSeries(); err != nil {
		return nil, err
	}
	h.seen, h.logins = newSeen(c.Registry, h.log), newLogins()
	h.metrics, h.writable = metrics.New(), newWritable()
	h.expiry = newExpiry(h.expiries, c.Logger)
	files := 1
	if c.Upstream != nil {
		files = 2
	}
	mqtt, rest, web := shares(fileLimit(), files)
	h.endpoint = newEndpoint(h, c, mqtt)
	h.rest = newHTTPServer("REST", rest, h.log, h.tlsReason)
	h.rest.http.Handler = h.REST()
	h.web = newHTTPServer("WebSocket", web, h.log, h.tlsReason)
	h.web.http.Handler = h.WebSocket()
	h.web.http.IdleTimeout = webIdleTimeout
	h.watch()
	h.news = h.listen()
	return h, nil
}

// ServeMQTT accepts connections until the listener or the hub is closed; a closed
// hub is a clean end (nil).
func (h *Hub) ServeMQTT(l net.Listener) error { return h.endpoint.serve(l) }

// ServeConn serves one MQTT connection and returns when it has ended.
func (h *Hub) ServeConn(conn net.Conn) { h.endpoint.serveConn(conn) }

// ServeREST answers REST requests, with every limit on time and size that a
// public server needs, until the listener or the hub is closed; a closed hub is
// a clean end (nil).
func (h *Hub) ServeREST(l net.Listener) error { return h.rest.serve(l) }

// ServeWS serves [Hub.WebSocket] as ServeREST serves [Hub.REST].
func (h *Hub) ServeWS(l net.Listener) error { return h.web.serve(l) }

// Close stops listening, ends all connections and waits for requests that the store is
// working on, but not for clients that stall: they are cut off, which is no error. It
// leaves store and registry open: they belong to the caller. Whoever serves
// [Hub.REST] or [Hub.WebSocket] with a server of his own has to shut that down himself.
func (h *Hub) Close() error {
	defer h.log.flush()
	var (
		parts sync.WaitGroup
		web   error
	)
	h.news.close()
	parts.Go(h.endpoint.close)
	parts.Go(func() { web = h.web.shutdown() })
	rest := h.rest.shutdown()
	parts.Wait()
	h.expiry.close()
	h.series.close()
	h.seen.close()
	return errors.Join(rest, web)
}
