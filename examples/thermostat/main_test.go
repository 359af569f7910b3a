package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"log/slog"
	"math"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub/hubtest"
	"github.com/twinpanel/twinpanel/twin"
	"github.com/twinpanel/twinpanel/twinclient"
)

func TestRunRefuses(t *testing.T) {
	for _, test := range []struct {
		args string
		want string
	}{
		{"", `device id "": give the UUID`},
		{"--hub hub.example --device-id 7cf2b1f0-5d3a-4c6e-9d5b-3a1f0e8c2b41", "write mqtt://HOST:1883"},
		{"--hub mqtt://hub.example --device-id 7cf2b1f0-5d3a-4c6e-9d5b-3a1f0e8c2b41", "is plaintext"},
		{"--hub mqtt://hub.example --device-id 7cf2b1f0-5d3a-4c6e-9d5b-3a1f0e8c2b41 --secret-file secret", "is plaintext"},
		{"--hub mqtts://hub.example --device-id 7cf2b1f0-5d3a-4c6e-9d5b-3a1f0e8c2b41", "or its secret, so that knowing the device id isn't enough"},
		{"--device-id 7cf2b1f0-5d3a-4c6e-9d5b-3a1f0e8c2b41 warm", `unexpected argument "warm"`},
		{"--colour red", "flag provided but not defined: -colour"},
	} {
		if err := run(t.Context(), strings.Fields(test.args), new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: got error %v, want %q", test.args, err, test.want)
		}
	}
	var help bytes.Buffer
	if err := run(t.Context(), []string{"--help"}, &help); !errors.Is(err, flag.ErrHelp) || !strings.Contains(help.String(), "-device-id uuid") {
		t.Errorf("--help: got %v and\n%s", err, help.String())
	}
}

func TestThermostat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hubtest.Start(t)
		id := h.AddDevice("thermostat").ID
		ctx, cancel := context.WithCancel(t.Context())
		var done sync.WaitGroup
		done.Go(func() {
			o := twinclient.Options{Hub: "mqtt://localhost", DeviceID: id, Dial: func(ctx context.Context) (net.Conn, error) { return h.Dial(ctx) }}
			if err := heat(ctx, o, slog.New(slog.DiscardHandler)); err != nil {
				t.Error(err)
			}
		})
		for _, test := range []struct {
			desired string
			target  float64
		}{
			{"", 19},
			{`{"target":25}`, 25},
			{`{"target":"hot"}`, 25},
			{`{"target":100}`, 25},
			{`{}`, 25},
			{`{"target":21.5}`, 21.5},
		} {
			if test.desired != "" {
				h.MustPut(id, "desired", test.desired)
			}
			time.Sleep(30 * time.Minute)
			if got := current(t, h, id); got.Target != test.target || math.Abs(got.Temperature-test.target) > 0.5 {
				t.Errorf("desired %s: got %+v, want it at %v", test.desired, got, test.target)
			}
		}
		cancel()
		done.Wait()
	})
}

type state struct {
	LastUpdate  time.Time `json:"last_update"`
	Temperature float64   `json:"temperature"`
	Target      float64   `json:"target"`
	Heating     *bool     `json:"heating"`
}

// current is what the hub knows of the thermostat, and not from long ago.
func current(t *testing.T, h *hubtest.Hub, id twin.ID) (s state) {
	t.Helper()
	if err := json.Unmarshal(h.MustGet(id, "current").Data, &s); err != nil {
		t.Fatal(err)
	}
	if age := time.Since(s.LastUpdate); s.Heating == nil || age > twinclient.DefaultHeartbeat {
		t.Errorf("got %+v, %v old", s, age)
	}
	return s
}
