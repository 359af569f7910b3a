package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/docstore/sqlite"
	"github.com/twinpanel/twinpanel/hub/graphite"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/internal/cli"
)

// Config is what the hub is told by flags and environment. flags has the defaults.
type Config struct {
	Data        string   // folder; created if need be
	MQTT        string   // host:port to listen on; port 0 takes a free one
	REST        string   // likewise
	WS          string   // likewise, for MQTT over WebSocket and the console; empty = none
	Origins     []string // hosts of web pages that may open a WebSocket, beside the hub's own
	Graphite    string   // URI that time series are pushed to; empty = none. It may hold credentials
	Insecure    bool     // listen in plain text also outside loopback
	OtherTopics string   // what a PUBLISH outside $SCW/twins/ does: refuse or drop
}

func (c *Config) flags(fs *pflag.FlagSet) {
	dataFlag(fs, &c.Data)
	fs.StringVar(&c.MQTT, "mqtt", "127.0.0.1:1883", "`address` for devices; port 0 takes a free one")
	fs.StringVar(&c.REST, "rest", "127.0.0.1:8081", "`address` for apps; port 0 takes a free one")
	fs.StringVar(&c.WS, "ws", "", "`address` for MQTT over WebSocket and the console, a web page to be a device in; none without it")
	fs.BoolVar(&c.Insecure, "insecure", false, "allow addresses that others can reach: all they send and get can be read and changed on the way, ids and tokens included")
	c.hubFlags(fs)
}

// hubFlags say what the hub does, wherever it listens and keeps its data.
func (c *Config) hubFlags(fs *pflag.FlagSet) {
	fs.StringSliceVar(&c.Origins, "ws-origin", nil, "`host` of web pages that may open a WebSocket, beside the hub's own, as in app.example or *.example:8080; can be repeated")
	fs.StringVar(&c.Graphite, "graphite", "", "`URI` that time series are pushed to: tcp://HOST:2003 or https://USER:TOKEN@HOST/PATH; whoever uses this computer can read a command line")
	fs.StringVar(&c.OtherTopics, "other-topics", string(hub.RefuseOtherTopics), "`refuse|drop` what a device publishes outside $SCW/twins/: refuse closes its connection, drop ignores the message")
}

// Validate says which flag is missing or wrong.
func (c *Config) Validate() error {
	if err := checkData(c.Data); err != nil {
		return err
	}
	for _, a := range []struct{ flag, address, example string }{
		{"--mqtt", c.MQTT, "127.0.0.1:1883"},
		{"--rest", c.REST, "127.0.0.1:8081"},
		{"--ws", c.WS, "127.0.0.1:8083"},
	} {
		if a.flag == "--ws" && a.address == "" {
			continue
		}
		if err := cli.CheckAddress(a.flag, a.address, a.example); err != nil {
			return err
		}
	}
	if len(c.Origins) > 0 && c.WS == "" {
		return cli.Hint(cli.Usagef("--ws-origin without --ws"), "add --ws 127.0.0.1:8083, or another address for MQTT over WebSocket")
	}
	return c.validateHub()
}

// validateHub says which of hubFlags is wrong.
func (c *Config) validateHub() error {
	for _, o := range c.Origins {
		if err := hub.CheckOrigin(o); err != nil {
			return cli.Usagef("--ws-origin: %w", err)
		}
	}
	if c.Graphite != "" {
		// The error doesn't repeat the URI, which may hold credentials.
		if err := (graphite.Config{URI: c.Graphite}).Validate(); err != nil {
			return cli.Usagef("--graphite: %w", err)
		}
	}
	switch hub.OtherTopics(c.OtherTopics) {
	case hub.RefuseOtherTopics, hub.DropOtherTopics:
		return nil
	}
	return cli.Usagef("--other-topics is %q: expected %s or %s", c.OtherTopics, hub.RefuseOtherTopics, hub.DropOtherTopics)
}

// run serves until ctx ends, which is a clean end, or something breaks.
func (c *Config) run(ctx context.Context, _ []string, stdout, stderr io.Writer) (err error) {
	if err := c.Validate(); err != nil {
		return err
	}
	log, stop := cli.NewLogger(stderr)
	defer stop()
	stdout, flush := cli.NoWait(stdout)
	defer flush()

	db, err := sqlite.Open(c.Data, sqlite.Options{})
	if err != nil {
		return err
	}
	defer func() {
		if e := db.Close(); e != nil {
			err = errors.Join(err, fmt.Errorf("closing data folder: %w", e))
		}
	}()
	if db.Kept != "" {
		log.Info("data folder upgraded", "copy", db.Kept)
	}
	mqtt, err := c.listen("--mqtt", c.MQTT)
	if err != nil {
		return err
	}
	defer mqtt.Close()
	rest, err := c.listen("--rest", c.REST)
	if err != nil {
		return err
	}
	defer rest.Close()
	var ws net.Listener
	if c.WS != "" {
		if ws, err = c.listen("--ws", c.WS); err != nil {
			return err
		}
		defer ws.Close()
	}
	h, err := c.newHub(db, db, log)
	if err != nil {
		return err
	}

	fmt.Fprintf(stdout, "MQTT at mqtt://%s\n", mqtt.Addr())
	fmt.Fprintf(stdout, "REST at http://%s/iot/v1/regions/%s\n", rest.Addr(), hub.DefaultRegion)
	servers := []func() error{
		func() error { return h.ServeMQTT(mqtt) },
		func() error { return h.ServeREST(rest) },
	}
	if ws != nil {
		fmt.Fprintf(stdout, "WebSocket at ws://%s/mqtt\n", ws.Addr())
		fmt.Fprintf(stdout, "Console at http://%s/console\n", ws.Addr())
		servers = append(servers, func() error { return h.ServeWS(ws) })
	}
	if c.Graphite != "" {
		fmt.Fprintf(stdout, "Time series to %s\n", graphite.Config{URI: c.Graphite}.Server())
	}
	return serve(ctx, h, log, servers...)
}

// newHub is the hub that hubFlags describe.
func (c *Config) newHub(documents docstore.Store, devices registry.Registry, log *slog.Logger) (*hub.Hub, error) {
	return hub.New(hub.Config{
		Documents:   documents,
		Registry:    devices,
		OtherTopics: hub.OtherTopics(c.OtherTopics),
		Graphite:    c.Graphite,
		Origins:     c.Origins,
		Logger:      log,
	})
}

// serve runs a hub's servers until ctx ends, which is a clean end, or one of them does,
// and closes the hub.
func serve(ctx context.Context, h *hub.Hub, log *slog.Logger, servers ...func() error) (err error) {
	ended := make(chan error, len(servers))
	for _, run := range servers {
		go func() { ended <- run() }()
	}
	serving := len(servers)
	select {
	case <-ctx.Done():
		log.Info("ending", "reason", context.Cause(ctx))
	case err = <-ended:
		serving--
	}
	if e := h.Close(); e != nil {
		err = errors.Join(err, fmt.Errorf("closing hub: %w", e))
	}
	for range serving {
		err = errors.Join(err, <-ended)
	}
	return err
}

// listen opens an address, unless others could listen in and nobody said that this
// is all right.
func (c *Config) listen(flag, address string) (net.Listener, error) {
	if c.Insecure {
		return cli.Listen(flag, address)
	}
	return cli.ListenLoopback(flag, address,
		"listen on 127.0.0.1, or add --insecure if everybody on that network may read and change all documents: nothing is encrypted")
}
