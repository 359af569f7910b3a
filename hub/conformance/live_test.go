package conformance_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/twinpanel/twinpanel/hub/conformance"
	"github.com/twinpanel/twinpanel/twin"
	"github.com/twinpanel/twinpanel/twinclient"
)

// TestLive (go test -run '^TestLive$' -v) runs against a hub in use, which the
// environment names:
//
//	TWIN_API         such as https://api.scaleway.com/iot/v1/regions/fr-par
//	TWIN_TOKEN       the secret key for it
//	TWIN_DEVICE      the id of a device; its twin's documents stay as they are
//	TWIN_MQTT        such as mqtt://iot.fr-par.scw.cloud:1883, or mqtts://…; optional
//	TWIN_WS          such as wss://websocket.iot.fr-par.scw.cloud/mqtt; optional
//	TWIN_BYSTANDER   the id of another device, which must not hear of the first one; optional
//	TWIN_READ_TOKEN  a secret key that may read and not write; optional
//
// Over MQTT the devices must accept connections without a certificate, and their own
// connections are dropped.
func TestLive(t *testing.T) {
	api, token, device := os.Getenv("TWIN_API"), os.Getenv("TWIN_TOKEN"), os.Getenv("TWIN_DEVICE")
	if api == "" || token == "" || device == "" {
		t.Log("no live hub: to run against one, set TWIN_API, TWIN_TOKEN, TWIN_DEVICE, and TWIN_MQTT or TWIN_WS for MQTT")
		return
	}
	id, err := twin.ParseID(device)
	if err != nil {
		t.Fatalf("TWIN_DEVICE: %v", err)
	}
	rest := conformance.REST(api, token, id)
	rest.ReadOnly = os.Getenv("TWIN_READ_TOKEN")
	if _, err := rest.Get(t.Context(), "conformance-never"); err != nil && !errors.Is(err, twin.ErrDocumentNotFound) {
		t.Fatalf("TWIN_API, TWIN_TOKEN and TWIN_DEVICE open no twin: %v", err)
	}
	t.Run("REST", func(t *testing.T) {
		conformance.Live(t, func(*testing.T) conformance.Twin { return rest })
	})
	for _, variable := range []string{"TWIN_MQTT", "TWIN_WS"} {
		address := os.Getenv(variable)
		if address == "" {
			t.Logf("not over %s: it is not set", variable)
			continue
		}
		dial, err := dialer(address)
		if err != nil {
			t.Fatalf("%s: %v", variable, err)
		}
		wire := conformance.Wire(dial, rest)
		wire.Bystander = twin.ID(strings.ToLower(os.Getenv("TWIN_BYSTANDER")))
		wire.Quiet = 2 * time.Second
		t.Run(variable, func(t *testing.T) {
			conformance.Live(t, func(*testing.T) conformance.Twin { return wire })
		})
	}
	if address := os.Getenv("TWIN_MQTT"); address != "" {
		t.Run("twinclient", func(t *testing.T) {
			mqtt := conformance.MQTT(twinclient.Options{Hub: address, DeviceID: id, Insecure: true})
			t.Cleanup(func() { mqtt.Close() })
			conformance.Live(t, func(*testing.T) conformance.Twin {
				return struct {
					*conformance.MQTTTwin
					conformance.Manager // MQTT cannot delete what a check wrote
				}{mqtt, rest}
			})
		})
	}
	names, err := rest.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.Contains(string(name), "conformance-") {
			t.Errorf("document %s is left behind", name)
		}
	}
}

// dialer opens connections to an address.
func dialer(address string) (func(context.Context) (net.Conn, error), error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	switch u.Scheme {
	case "mqtt":
		return func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", hostPort(u, "1883"))
		}, nil
	case "mqtts":
		return func(ctx context.Context) (net.Conn, error) {
			return new(tls.Dialer).DialContext(ctx, "tcp", hostPort(u, "8883"))
		}, nil
	case "ws", "wss":
		return func(ctx context.Context) (net.Conn, error) {
			conn, _, err := websocket.Dial(ctx, address, &websocket.DialOptions{Subprotocols: []string{"mqtt"}})
			if err != nil {
				return nil, err
			}
			return websocket.NetConn(context.Background(), conn, websocket.MessageBinary), nil
		}, nil
	}
	return nil, fmt.Errorf("%s: expected mqtt:, mqtts:, ws: or wss:", address)
}

func hostPort(u *url.URL, standard string) string {
	return net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), standard))
}
