package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/twin"
)

// A devLine is what hub dev prints: all that a test has to know.
type devLine struct {
	MQTT          string    `json:"mqtt"`
	WS            string    `json:"ws"`              // MQTT over WebSocket
	REST          string    `json:"rest"`            // the specification's IOT_API
	APIURL        string    `json:"api_url"`         // what the vendor's SDKs call so: REST without its path
	Console       string    `json:"console"`         // the web client
	Token         string    `json:"token"`           // the specification's SCW_SECRET_KEY
	ReadOnlyToken string    `json:"read_only_token"` // is refused what changes something
	Device        devDevice `json:"device"`
}

// A devDevice is the device that a test may be.
type devDevice struct {
	ID   twin.ID `json:"id"`
	Name string  `json:"name"`
}

func devCommand() *cli.Command {
	var c Config
	return &cli.Command{
		Name:  "dev",
		Short: "Serve a hub for a test, in memory, until stdin ends.",
		Long: `Serve a hub for a test or for trying things out, in whatever language. It keeps all
in memory, listens on free ports of this computer alone, and has a device and two
tokens. It prints where all that is, as one JSON object on one line, and ends when
its stdin ends: with the test that started it, however that ends. In bash:

  coproc hub dev
  read -r line <&"${COPROC[0]}"
  rest=$(jq -r .rest <<<"$line") token=$(jq -r .token <<<"$line")
  curl -H "X-Auth-Token: $token" "$rest/twins/$(jq -r .device.id <<<"$line")"
  exec {COPROC[1]}>&-

The device may connect with its id alone. The environment of the hub that is in
use doesn't hold here: tests must not push to its database.`,
		Flags: func(fs *pflag.FlagSet) {
			c.hubFlags(fs)
			cli.FlagOnly(fs, "ws-origin", "graphite", "other-topics", "upstream", "upstream-ca")
		},
		Run: func(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
			return c.dev(ctx, os.Stdin, stdout, stderr)
		},
	}
}

// dev serves until ctx or stdin ends.
func (c *Config) dev(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	if err := c.validateHub(); err != nil {
		return err
	}
	upstream, err := c.readUpstream()
	if err != nil {
		return err
	}
	log, stop := cli.NewLogger(stderr)
	defer stop()
	documents, devices := docstore.NewMemory(), registry.NewMemory()
	devices.DeleteAll = documents.DeleteAll
	line, err := newDevLine(ctx, devices)
	if err != nil {
		return err
	}
	var listeners [3]net.Listener // MQTT, REST, WebSocket
	for i := range listeners {
		if listeners[i], err = cli.Listen("a port", "127.0.0.1:0"); err != nil {
			return err
		}
		defer listeners[i].Close()
	}
	mqtt, rest, ws := listeners[0], listeners[1], listeners[2]
	h, err := c.newHub(documents, devices, nil, upstream, log)
	if err != nil {
		return err
	}

	line.MQTT = fmt.Sprintf("mqtt://%s", mqtt.Addr())
	line.WS = fmt.Sprintf("ws://%s/mqtt", ws.Addr())
	line.Console = fmt.Sprintf("http://%s/console", ws.Addr())
	line.APIURL = fmt.Sprintf("http://%s", rest.Addr())
	line.REST = line.APIURL + "/iot/v1/regions/" + hub.DefaultRegion
	if err := json.NewEncoder(stdout).Encode(line); err != nil {
		return errors.Join(fmt.Errorf("printing the addresses: %w", err), h.Close())
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	// Nothing can wait for this goroutine: a read of stdin can't be called off.
	go func() {
		_, _ = io.Copy(io.Discard, stdin) // a stdin that breaks has ended, too
		end(errors.New("stdin has ended"))
	}()
	return serve(ctx, h, log,
		func() error { return h.ServeMQTT(mqtt) },
		func() error { return h.ServeREST(rest) },
		func() error { return h.ServeWS(ws) })
}

// newDevLine adds a device and two tokens.
func newDevLine(ctx context.Context, r registry.Registry) (line devLine, err error) {
	d, err := registry.NewDevice("dev")
	if err != nil {
		return line, err
	}
	d.AllowInsecure = true
	all, secret, err := registry.NewToken("dev")
	if err != nil {
		return line, err
	}
	reader, readSecret, err := registry.NewToken("dev-read-only")
	if err != nil {
		return line, err
	}
	reader.ReadOnly = true
	line = devLine{Token: secret, ReadOnlyToken: readSecret, Device: devDevice{d.ID, d.Name}}
	return line, errors.Join(r.AddDevice(ctx, d), r.AddToken(ctx, all), r.AddToken(ctx, reader))
}
