package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/app"
	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/internal/agent"
	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/internal/panel"
	"github.com/twinpanel/twinpanel/internal/simulator"
	"github.com/twinpanel/twinpanel/sensor"
	"github.com/twinpanel/twinpanel/siren"
	"github.com/twinpanel/twinpanel/statemachine"
	"github.com/twinpanel/twinpanel/twin"
	"github.com/twinpanel/twinpanel/twinclient"
)

// Config is what the demo is told by flags and environment. flags has the defaults.
type Config struct {
	Listen string // host:port of the page, the app, the house, the console, WebSocket and REST, on loopback
	MQTT   string // host:port for devices, on loopback

	ExitDelay  time.Duration // 0 to statemachine.MaxDelay
	EntryDelay time.Duration // the same
}

// Addresses that are tried first; when another program has one, a free port will do.
const (
	usualListen = "127.0.0.1:8080"
	usualMQTT   = "127.0.0.1:1883"
)

func (c *Config) flags(fs *pflag.FlagSet) {
	fs.StringVar(&c.Listen, "listen", "", "`address` of the page with phone and house, the hub's console and the REST API (default "+usualListen+", or a free port)")
	fs.StringVar(&c.MQTT, "mqtt", "", "`address` for devices (default "+usualMQTT+", or a free port)")
	fs.DurationVar(&c.ExitDelay, "exit-delay", 0, "time to leave after arming: 0s to 255s")
	fs.DurationVar(&c.EntryDelay, "entry-delay", 0, "time to disarm after opening the door: 0s to 255s")
}

// Validate says which flag is wrong. Addresses are looked at when they are opened.
func (c *Config) Validate() error {
	for flag, delay := range map[string]time.Duration{"--exit-delay": c.ExitDelay, "--entry-delay": c.EntryDelay} {
		if delay < 0 || delay > statemachine.MaxDelay {
			return cli.Usagef("%s is %v: expected 0s to %.0fs", flag, delay, statemachine.MaxDelay.Seconds())
		}
	}
	return nil
}

// listen opens an address that a flag gave, or the usual one. Only loopback will do: whoever reaches the house may open its door.
func listen(flag, address, usual string) (net.Listener, error) {
	if address == "" {
		l, err := cli.Listen(flag, usual)
		if err != nil {
			l, err = cli.Listen(flag, "127.0.0.1:0")
		}
		return l, err
	}
	if err := cli.CheckAddress(flag, address, usual); err != nil {
		return nil, err
	}
	return cli.ListenLoopback(flag, address, "listen on 127.0.0.1: whoever reaches the demo can open its door")
}

// A demo is what runs, with all that has to be told about it.
type demo struct {
	web, mqtt net.Listener
	hub       *hub.Hub
	house     *simulator.House
	agent     *agent.Agent
	watcher   *app.Watcher // what the app knows
	app       http.Handler
	wire      *wire // what is said over REST and MQTT
	viewer    *viewer

	token    string  // for people
	appToken string  // opens the panel's twin alone
	panel    twin.ID // the panel's device
	spare    twin.ID // a device to play with
}

// who is whose token this is.
func (d *demo) who(token string) string {
	if token == d.appToken {
		return "app"
	}
	return "you"
}

// run shows the demo until ctx ends, which is a clean end, or a server breaks.
func (c *Config) run(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
	if err := c.Validate(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "twinpanel-demo-")
	if err != nil {
		return cli.Hint(fmt.Errorf("making a folder for the panel's journal: %w", err), "name a folder that can be written in the environment variable TMPDIR")
	}
	defer os.RemoveAll(dir)
	log, stop := cli.NewLogger(stderr)
	defer stop()
	d, err := c.open(dir, log)
	if err != nil {
		return err
	}
	d.explain(stdout)
	return d.serve(ctx)
}

// serve runs all parts until ctx ends or one of them breaks, and waits for all of them.
func (d *demo) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	web := &http.Server{Handler: d.handler(), ReadHeaderTimeout: 10 * time.Second}
	broken := make(chan error, 2)
	var servers sync.WaitGroup
	start := func(run func() error) {
		servers.Go(func() {
			if err := run(); err != nil && !errors.Is(err, http.ErrServerClosed) {
				broken <- err
				cancel()
			}
		})
	}
	start(func() error { return web.Serve(d.web) })
	start(func() error { return d.hub.ServeMQTT(d.devices()) })
	servers.Go(func() { d.watcher.Run(ctx) })

	err := d.agent.Run(ctx)
	cancel()
	d.house.Close()
	err = errors.Join(err, web.Close(), d.hub.Close())
	servers.Wait()
	close(broken)
	for e := range broken {
		err = errors.Join(err, e)
	}
	return err
}

// devices is the listener for devices, shown on the wire.
func (d *demo) devices() net.Listener {
	return &tap{d.mqtt, d.wire, map[twin.ID]string{d.panel: "panel", d.spare: "spare"}}
}

// open listens, fills a hub in memory with two devices and two tokens, and joins a panel with a house.
func (c *Config) open(dir string, log *slog.Logger) (d *demo, err error) {
	d = &demo{wire: newWire()}
	if d.web, err = listen("--listen", c.Listen, usualListen); err != nil {
		return nil, err
	}
	if d.mqtt, err = listen("--mqtt", c.MQTT, usualMQTT); err != nil {
		d.web.Close()
		return nil, err
	}
	secret := registry.NewSecret()
	if err = d.openHub(secret, log); err == nil {
		err = errors.Join(c.openPanel(d, dir, secret, log), d.openApp(log))
	}
	if err != nil {
		d.web.Close()
		d.mqtt.Close()
		return nil, err
	}
	return d, nil
}

// openHub makes two devices. The panel needs a secret and cannot disarm itself, as in a real house; the
// spare is for whoever has its id, on loopback, for as long as the demo runs.
func (d *demo) openHub(secret string, log *slog.Logger) error {
	ctx := context.Background()
	documents, devices := docstore.NewMemory(), registry.NewMemory()
	devices.DeleteAll = documents.DeleteAll
	add := func(name string, id *twin.ID, allow func(*registry.Device)) error {
		device, err := registry.NewDevice(name)
		allow(&device)
		*id = device.ID
		return errors.Join(err, devices.AddDevice(ctx, device))
	}
	addToken := func(name string, secret *string, device twin.ID) error {
		token, opens, err := registry.NewToken(name)
		token.Device = device
		*secret = opens
		return errors.Join(err, devices.AddToken(ctx, token))
	}
	err := errors.Join(
		add("panel", &d.panel, func(device *registry.Device) {
			device.Secret = registry.HashSecret(secret)
			device.ReadOnly = []twin.Name{agent.Desired}
		}),
		add("spare", &d.spare, func(device *registry.Device) { device.AllowInsecure = true }),
		addToken("demo", &d.token, ""),
		addToken("app", &d.appToken, d.panel))
	if err != nil {
		return err
	}
	d.viewer = newViewer(d.wire, documents, d.panel, d.token, d.appToken, secret)
	d.hub, err = hub.New(hub.Config{Documents: documents, Registry: devices, Logger: log})
	return err
}

// openPanel joins a panel with a house.
func (c *Config) openPanel(d *demo, dir, secret string, log *slog.Logger) (err error) {
	secretFile := filepath.Join(dir, "secret")
	if err := os.WriteFile(secretFile, []byte(secret), 0o600); err != nil {
		return fmt.Errorf("writing the panel's secret: %w", err)
	}
	if d.house, err = simulator.New(simulator.Config{}); err != nil {
		return err
	}
	door, err := sensor.New(sensor.Config{
		Open:          func() (sensor.Line, error) { return d.house.OpenDoor("door") },
		OpenLevelHigh: true,
		Logger:        log,
	})
	if err != nil {
		return err
	}
	rules := statemachine.DefaultRules()
	rules.ExitDelay, rules.EntryDelay = c.ExitDelay, c.EntryDelay
	d.agent, err = agent.New(agent.Config{
		Panel: panel.Config{
			Rules:    rules,
			Contacts: []panel.Contact{{Name: "door", Sensor: door}},
			Siren: siren.New(siren.Config{
				Open:       func() (siren.Line, error) { return d.house.OpenSiren() },
				ActiveHigh: true,
			}),
			StateDir: dir,
			Show:     func(word string, _ bool) { d.house.Lamp(word) },
		},
		Hub:    twinclient.Options{Hub: "mqtt://" + d.mqtt.Addr().String(), DeviceID: d.panel, SecretFile: secretFile},
		Logger: log,
	})
	return err
}

// openApp joins an app with the hub, as in a real house: over HTTP, with a token that opens this house and no other.
// Nobody signs in, on loopback.
func (d *demo) openApp(log *slog.Logger) error {
	api, err := app.NewAPI(app.Options{URL: "http://" + d.web.Addr().String(), Device: d.panel, Token: d.appToken})
	if err != nil {
		return err
	}
	d.watcher = app.NewWatcher(app.WatchConfig{API: api, Logger: log})
	server, err := app.NewServer(app.ServerConfig{House: d.watcher, Framed: true, Logger: log})
	if err != nil {
		return err
	}
	d.app = server.Handler()
	return nil
}
