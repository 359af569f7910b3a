package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/credential"
	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/graphite"
	"github.com/twinpanel/twinpanel/hub/peers"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/internal/cli"
)

// Config is what the hub is told by flags and environment. flags has the defaults.
type Config struct {
	Place       place    // of documents, devices and all else
	MQTT        string   // host:port to listen on, as the next five; port 0 takes a free one, empty = none
	MQTTS       string   // with TLS
	REST        string   //
	HTTPS       string   // REST with TLS
	WS          string   // MQTT over WebSocket and the console
	WSS         string   // the same with TLS
	Names       []string // hosts that the hub's own certificate is for
	Cert        string   // file of a certificate to show instead, and the chain to its authority
	KeyFile     string   // its key
	Insecure    bool     // listen in plain text also outside loopback
	Balancers   []string // addresses and networks of balancers, which tell their clients' addresses
	Origins     []string // hosts of web pages that may open a WebSocket, beside the hub's own
	Graphite    string   // URI that time series are pushed to; empty = none. It may hold credentials
	OtherTopics string   // what a PUBLISH outside $SCW/twins/ does: refuse or drop; empty = refuse, or on to Upstream
	Upstream    string   // URL of a broker that the hub stands in front of; empty = none. It may hold a password
	UpstreamCA  string   // file with the authorities that vouch for it; empty = the system's
}

func (c *Config) flags(fs *pflag.FlagSet) {
	c.Place.flags(fs)
	fs.StringVar(&c.MQTT, "mqtt", "127.0.0.1:1883", "`address` for devices in plain text; port 0 takes a free one, \"\" = none, as for the others")
	fs.StringVar(&c.MQTTS, "mqtts", "", "`address` for devices with TLS, as in 0.0.0.0:8883; none without it")
	fs.StringVar(&c.REST, "rest", "127.0.0.1:8081", "`address` for apps in plain text")
	fs.StringVar(&c.HTTPS, "https", "", "`address` for apps with TLS, as in 0.0.0.0:8443; none without it")
	fs.StringVar(&c.WS, "ws", "", "`address` for MQTT over WebSocket and the console, a web page to be a device in, in plain text; none without it")
	fs.StringVar(&c.WSS, "wss", "", "`address` for the same with TLS, as in 0.0.0.0:8084; none without it")
	fs.StringSliceVar(&c.Names, "name", nil, "`host` name or IP address that devices and apps call this hub by, for its certificate; can be repeated; without it those of this computer")
	fs.StringVar(&c.Cert, "cert", "", "`file` with a certificate to show in place of the hub's own, and the chain to its authority, in PEM; read again when it changes")
	fs.StringVar(&c.KeyFile, "key-file", "", "`file` with the key of --cert, in PEM")
	fs.BoolVar(&c.Insecure, "insecure", false, "allow plain text on addresses that others can reach: all they send and get can be read and changed on the way, secrets and tokens included")
	fs.StringSliceVar(&c.Balancers, "balancer", nil, "IP `address` of a balancer in front of the hub, or a network as in 10.1.0.0/24, that begins each connection with the PROXY protocol, so that clients are known by their own addresses; can be repeated")
	c.hubFlags(fs)
}

// hubFlags say what the hub does, wherever it listens and keeps its data.
func (c *Config) hubFlags(fs *pflag.FlagSet) {
	fs.StringSliceVar(&c.Origins, "ws-origin", nil, "`host` of web pages that may open a WebSocket, beside the hub's own, as in app.example or *.example:8080; can be repeated")
	fs.StringVar(&c.Graphite, "graphite", "", "`URI` that time series are pushed to: tcp://HOST:2003 or https://USER:TOKEN@HOST/PATH; whoever uses this computer can read a command line")
	fs.StringVar(&c.OtherTopics, "other-topics", "", "`refuse|drop` what a device publishes outside $SCW/twins/: refuse, the default, closes its connection, drop ignores the message")
	fs.StringVar(&c.Upstream, "upstream", "", "`URL` of an MQTT 3.1.1 broker that the hub stands in front of, for all but twins: mqtt://HOST or mqtts://[USER:PASSWORD@]HOST[:PORT]; with a user, whom every device is to the broker, only devices may connect; "+
		"whoever uses this computer can read a command line, so a password is better off in the environment")
	fs.StringVar(&c.UpstreamCA, "upstream-ca", "", "`file` with the authority that signed the certificate of an mqtts broker, in PEM; without it those of this computer")
}

// A listener is one of the addresses that the hub may listen on.
type listener struct {
	flag, address string
	example       string // of an address
	tls           string // the flag for the same with TLS; empty = this one has it
	lines         string // that say where it is: %s is the address
	serve         func(*hub.Hub, net.Listener) error
}

// listeners are those that have an address.
func (c *Config) listeners() []listener {
	const rest = "/iot/v1/regions/" + hub.DefaultRegion + "\n"
	return slices.DeleteFunc([]listener{
		{"--mqtt", c.MQTT, "127.0.0.1:1883", "--mqtts", "MQTT at mqtt://%s\n", (*hub.Hub).ServeMQTT},
		{"--mqtts", c.MQTTS, "0.0.0.0:8883", "", "MQTT over TLS at mqtts://%s\n", (*hub.Hub).ServeMQTT},
		{"--rest", c.REST, "127.0.0.1:8081", "--https", "REST at http://%s" + rest, (*hub.Hub).ServeREST},
		{"--https", c.HTTPS, "0.0.0.0:8443", "", "REST over TLS at https://%s" + rest, (*hub.Hub).ServeREST},
		{"--ws", c.WS, "127.0.0.1:8083", "--wss", "WebSocket at ws://%[1]s/mqtt\nConsole at http://%[1]s/console\n", (*hub.Hub).ServeWS},
		{"--wss", c.WSS, "0.0.0.0:8084", "", "WebSocket over TLS at wss://%[1]s/mqtt\nConsole at https://%[1]s/console\n", (*hub.Hub).ServeWS},
	}, func(l listener) bool { return l.address == "" })
}

// Validate says which flag is missing or wrong.
func (c *Config) Validate() error {
	if err := c.Place.check(); err != nil {
		return err
	}
	listeners := c.listeners()
	for _, l := range listeners {
		if err := cli.CheckAddress(l.flag, l.address, l.example); err != nil {
			return err
		}
	}
	speaksTLS := c.MQTTS != "" || c.HTTPS != "" || c.WSS != ""
	switch {
	case len(listeners) == 0:
		return cli.Hint(cli.Usagef("nowhere to listen"), "give --mqtt, --mqtts, --rest, --https, --ws or --wss an address")
	case (c.Cert == "") != (c.KeyFile == ""):
		return cli.Hint(cli.Usagef("--cert and --key-file belong together"), "give both, or neither: then the hub makes a certificate itself")
	case c.Cert != "" && !speaksTLS:
		return cli.Hint(cli.Usagef("--cert without an address for TLS"), "add --mqtts, --https or --wss")
	case len(c.Origins) > 0 && c.WS == "" && c.WSS == "":
		return cli.Hint(cli.Usagef("--ws-origin without --ws or --wss"), "add --ws 127.0.0.1:8083, or another address for MQTT over WebSocket")
	}
	if _, err := parseBalancers(c.Balancers); err != nil {
		return err
	}
	return c.validateHub()
}

// validateHub says which of hubFlags is wrong, but for those that readUpstream reads.
func (c *Config) validateHub() error {
	for _, n := range c.Names {
		if err := credential.CheckHost(n); err != nil {
			return cli.Usagef("--name: %w", err)
		}
	}
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
	case "", hub.RefuseOtherTopics, hub.DropOtherTopics:
		return nil
	}
	return cli.Usagef("--other-topics is %q: expected %s or %s", c.OtherTopics, hub.RefuseOtherTopics, hub.DropOtherTopics)
}

// run serves until ctx ends, which is a clean end, or something breaks.
func (c *Config) run(ctx context.Context, _ []string, stdout, stderr io.Writer) (err error) {
	if err := c.Validate(); err != nil {
		return err
	}
	upstream, err := c.readUpstream()
	if err != nil {
		return err
	}
	log, stop := cli.NewLogger(stderr)
	defer stop()
	stdout, flush := cli.NoWait(stdout)
	defer flush()

	balancers, err := parseBalancers(c.Balancers)
	if err != nil {
		return err
	}
	listeners := c.listeners()
	open := make([]net.Listener, len(listeners))
	for i, l := range listeners {
		if open[i], err = c.listen(l); err != nil {
			return err
		}
		if len(balancers) > 0 {
			open[i] = newBalanced(open[i], balancers, log)
		}
		defer open[i].Close()
	}
	if err := checkUpstream(ctx, upstream, open); err != nil {
		return err
	}
	s, err := c.Place.openLogged(ctx, log) // after the addresses: one that can't be had leaves no folder behind
	if err != nil {
		return err
	}
	defer func() {
		if e := s.Close(); e != nil {
			err = errors.Join(err, fmt.Errorf("closing %s: %w", c.Place, e))
		}
	}()
	h, err := c.newHub(s, s, s.link, upstream, log)
	if err != nil {
		return err
	}
	watchdog := databaseWatchdog
	if c.Place.Store == "" {
		watchDisk(h.Metrics(), c.Place.Data)
		watchdog = folderWatchdog
	}
	servers := make([]func() error, len(listeners))
	for i, l := range listeners {
		if l.tls == "" {
			config, err := h.TLS(ctx)
			if err != nil {
				return errors.Join(certificateError(err), h.Close())
			}
			if l.flag == "--https" {
				config.ClientAuth = tls.NoClientCert // a browser would ask people for a certificate
			}
			open[i] = tls.NewListener(open[i], config)
		}
		servers[i] = func() error { return l.serve(h, open[i]) }
	}

	for i, l := range listeners {
		fmt.Fprintf(stdout, l.lines, open[i].Addr())
	}
	if upstream != nil {
		fmt.Fprintf(stdout, "In front of %s\n", upstream)
		warnPlain(upstream, log)
	}
	if c.Graphite != "" {
		fmt.Fprintf(stdout, "Time series to %s\n", graphite.Config{URI: c.Graphite}.Server())
	}
	defer cli.Serves(ctx, watchdog(h.Ready, log), log)()
	return serve(ctx, h, log, servers...)
}

// certificateFaults are the flags that are to be looked at, and what for.
var certificateFaults = map[credential.FilesFault]struct{ flags, hint string }{
	credential.CertFault:    {"--cert", "--cert is the hub's certificate and what leads to its authority, in PEM; without --cert and --key-file the hub makes a certificate itself"},
	credential.KeyFault:     {"--key-file", "--key-file is the key of --cert, in PEM; without --cert and --key-file the hub makes a certificate itself"},
	credential.SwappedFault: {"--cert", "--cert and --key-file seem swapped"},
	credential.PairFault:    {"--cert and --key-file", "the key has to be the one that the certificate was made for"},
}

// certificateError names the flags of files that can't be used.
func certificateError(err error) error {
	if e, ok := errors.AsType[*credential.FilesError](err); ok {
		f := certificateFaults[e.Fault]
		return cli.Hint(fmt.Errorf("%s: %w", f.flags, err), "%s", f.hint)
	}
	return err
}

// newHub is the hub that hubFlags describe.
func (c *Config) newHub(documents docstore.Store, devices registry.Registry, link peers.Link, upstream *hub.Upstream, log *slog.Logger) (*hub.Hub, error) {
	return hub.New(hub.Config{
		Documents:   documents,
		Registry:    devices,
		Peers:       link,
		OtherTopics: hub.OtherTopics(c.OtherTopics),
		Upstream:    upstream,
		Graphite:    c.Graphite,
		Names:       c.Names,
		Certificate: credential.Files{Cert: c.Cert, Key: c.KeyFile},
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
	var looking sync.WaitGroup
	looking.Go(func() { h.TryUpstream(ctx) })
	defer looking.Wait()
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
func (c *Config) listen(l listener) (net.Listener, error) {
	if l.tls == "" || c.Insecure {
		return cli.Listen(l.flag, l.address)
	}
	return cli.ListenLoopback(l.flag, l.address,
		"speak TLS ("+l.tls+" in place of "+l.flag+"), or listen on 127.0.0.1, or add --insecure if everybody on that network may read and change all documents: nothing is encrypted")
}
