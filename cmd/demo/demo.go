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
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"

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
	Listen string // host:port of the house page, the console, WebSocket and REST, on loopback
	MQTT   string // host:port for devices, on loopback
}

// Addresses that are tried first; when another program has one, a free port will do.
const (
	usualListen = "127.0.0.1:8080"
	usualMQTT   = "127.0.0.1:1883"
)

func (c *Config) flags(fs *pflag.FlagSet) {
	fs.StringVar(&c.Listen, "listen", "", "`address` of the house page, the hub's console and the REST API (default "+usualListen+", or a free port)")
	fs.StringVar(&c.MQTT, "mqtt", "", "`address` for devices (default "+usualMQTT+", or a free port)")
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

	token string
	panel twin.ID // the panel's device
	spare twin.ID // a device to play with
}

// run shows the demo until ctx ends, which is a clean end, or a server breaks.
func (c *Config) run(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
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
	start(func() error { return d.hub.ServeMQTT(d.mqtt) })

	err := d.agent.Run(ctx)
	d.house.Close()
	err = errors.Join(err, web.Close(), d.hub.Close())
	servers.Wait()
	close(broken)
	for e := range broken {
		err = errors.Join(err, e)
	}
	return err
}

// open listens, fills a hub in memory with two devices and a token, and joins a panel with a house.
func (c *Config) open(dir string, log *slog.Logger) (d *demo, err error) {
	d = new(demo)
	if d.web, err = listen("--listen", c.Listen, usualListen); err != nil {
		return nil, err
	}
	if d.mqtt, err = listen("--mqtt", c.MQTT, usualMQTT); err != nil {
		d.web.Close()
		return nil, err
	}
	secret := registry.NewSecret()
	if err = d.openHub(secret, log); err == nil {
		err = d.openPanel(dir, secret, log)
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
	token, opens, err := registry.NewToken("demo")
	d.token = opens
	err = errors.Join(err, devices.AddToken(ctx, token),
		add("panel", &d.panel, func(device *registry.Device) {
			device.Secret = registry.HashSecret(secret)
			device.ReadOnly = []twin.Name{agent.Desired}
		}),
		add("spare", &d.spare, func(device *registry.Device) { device.AllowInsecure = true }))
	if err != nil {
		return err
	}
	d.hub, err = hub.New(hub.Config{Documents: documents, Registry: devices, Logger: log})
	return err
}

// openPanel joins a panel with a house.
func (d *demo) openPanel(dir, secret string, log *slog.Logger) (err error) {
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
	d.agent, err = agent.New(agent.Config{
		Panel: panel.Config{
			Rules:    statemachine.DefaultRules(),
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

// handler serves the house, and the hub's REST API, console and WebSocket beside it. It is no ServeMux, which would
// redirect what the hub refuses: a path such as twins//documents, made from a variable that isn't set.
func (d *demo) handler() http.Handler {
	house, rest, web := d.house.Handler(), d.hub.REST(), d.hub.WebSocket()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/"); first {
		case "iot":
			rest.ServeHTTP(w, r)
		case "mqtt", "console":
			web.ServeHTTP(w, r)
		default:
			house.ServeHTTP(w, r)
		}
	})
}

// explain prints where everything is and what to try, in the order in which it works.
func (d *demo) explain(w io.Writer) {
	host, port, _ := net.SplitHostPort(d.mqtt.Addr().String())
	fmt.Fprintf(w, `A hub, a panel and a house run in this process. Nothing is kept; Ctrl-C ends it.

  house      http://%[1]s/
  console    http://%[1]s/console#%[6]s   be the spare device
  REST       http://%[1]s/iot/v1/regions/%[2]s
  MQTT       mqtt://%[3]s
  WebSocket  ws://%[1]s/mqtt
  token      %[4]s
  panel      %[5]s   the panel's device; it connects with a secret, so its id opens nothing
  spare      %[6]s   a device to play with; its id is enough to be it

Open the house in a browser. Then, in another terminal, arm as the phone does:

  export IOT_API=http://%[1]s/iot/v1/regions/%[2]s SCW_SECRET_KEY=%[4]s PANEL_DEVICE_ID=%[5]s
  curl -sS -H "X-Auth-Token: $SCW_SECRET_KEY" -X PUT $IOT_API/twins/$PANEL_DEVICE_ID/documents/desired -d '{"data": {"alarm_armed": true}}'

The panel follows at once: the lamp at the door shows that it is armed. Now open the door, in the
browser or with the next line, and the siren sounds:

  curl -sS -X PUT http://%[1]s/api/house/door -d '{"open": true}'

See what the phone sees, and disarm:

  curl -sS -H "X-Auth-Token: $SCW_SECRET_KEY" $IOT_API/twins/$PANEL_DEVICE_ID/documents/current
  curl -sS -H "X-Auth-Token: $SCW_SECRET_KEY" -X PUT $IOT_API/twins/$PANEL_DEVICE_ID/documents/desired -d '{"data": {"alarm_armed": false}}'

As the spare device, over MQTT, in the console or with

  mosquitto_rr -V mqttv311 -h %[7]s -p %[8]s -i %[6]s -t '$SCW/twins/me/hello/put' -e '$SCW/twins/me/hello/put/response/success' -m '{"data": {"hello": "twin"}}'

`, d.web.Addr(), hub.DefaultRegion, d.mqtt.Addr(), d.token, d.panel, d.spare, host, port)
}
