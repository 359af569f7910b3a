package conformance_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/hub/conformance"
	"github.com/twinpanel/twinpanel/twin"
	"github.com/twinpanel/twinpanel/twinclient"
)

// TestLive (go test -run '^TestLive$' -v) runs against a hub in use, which the
// environment names:
//
//	TWIN_API     such as https://api.scaleway.com/iot/v1/regions/fr-par
//	TWIN_TOKEN   the secret key for it
//	TWIN_DEVICE  the id of a device; nothing of its twin is touched but documents of the test's own
//	TWIN_MQTT    such as mqtt://iot.fr-par.scw.cloud:1883; optional
//
// The device's own connection is dropped by a run over MQTT.
func TestLive(t *testing.T) {
	api, token, device := os.Getenv("TWIN_API"), os.Getenv("TWIN_TOKEN"), os.Getenv("TWIN_DEVICE")
	if api == "" || token == "" || device == "" {
		t.Log("no live hub: to run against one, set TWIN_API, TWIN_TOKEN, TWIN_DEVICE, and TWIN_MQTT for MQTT")
		return
	}
	id, err := twin.ParseID(device)
	if err != nil {
		t.Fatalf("TWIN_DEVICE: %v", err)
	}
	rest := conformance.REST(api, token, id)
	if _, err := rest.Get(t.Context(), "conformance-never"); err != nil && !errors.Is(err, twin.ErrDocumentNotFound) {
		t.Fatalf("TWIN_API, TWIN_TOKEN and TWIN_DEVICE open no twin: %v", err)
	}
	t.Run("REST", func(t *testing.T) {
		conformance.Live(t, func(*testing.T) conformance.Twin { return rest })
	})
	address := os.Getenv("TWIN_MQTT")
	if address == "" {
		t.Log("not over MQTT: to do that too, set TWIN_MQTT")
		return
	}
	t.Run("MQTT", func(t *testing.T) {
		// Plaintext, because a bare device id is all that the environment gives.
		mqtt := conformance.MQTT(twinclient.Options{Hub: address, DeviceID: id, Insecure: true})
		t.Cleanup(func() { mqtt.Close() })
		conformance.Live(t, func(*testing.T) conformance.Twin {
			return struct {
				*conformance.MQTTTwin
				conformance.Manager // MQTT cannot delete what a check wrote
			}{mqtt, rest}
		})
	})
	names, err := rest.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasPrefix(string(name), "conformance-") {
			t.Errorf("document %s is left behind", name)
		}
	}
}
