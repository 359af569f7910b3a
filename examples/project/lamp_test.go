package main

import (
	"encoding/json"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub/hubtest"
	"github.com/twinpanel/twinpanel/twin"
	"github.com/twinpanel/twinpanel/twinclient"
)

// says is a condition for Await: the lamp has published that it is on, or off.
func says(on bool) func(twin.Document) bool {
	return func(current twin.Document) bool {
		var s struct{ On *bool }
		return json.Unmarshal(current.Data, &s) == nil && s.On != nil && *s.On == on
	}
}

func TestLampIsSwitchedOn(t *testing.T) {
	for name, fault := range map[string]func(h *hubtest.Hub){
		"with no fault":             func(*hubtest.Hub) {},
		"although answers get lost": func(h *hubtest.Hub) { h.DropAnswers(3) },
		"although answers are late": func(h *hubtest.Hub) { h.DelayAnswers(4 * time.Second) },
		"although it is cut off":    func(h *hubtest.Hub) { h.CutConnections() },
		"although the hub restarts": func(h *hubtest.Hub) { h.Restart() },
		"after a silence of a minute": func(h *hubtest.Hub) {
			h.BlackHole(true)
			time.Sleep(time.Minute)
			h.BlackHole(false)
		},
		"after an hour without a hub": func(h *hubtest.Hub) {
			h.Stop()
			time.Sleep(time.Hour)
			h.Restart()
		},
	} {
		t.Run(name, func(t *testing.T) {
			// In a bubble the clock jumps ahead when everybody waits: the hour takes no time.
			synctest.Test(t, func(t *testing.T) {
				h := hubtest.Start(t)
				id := h.AddDevice("lamp").ID
				var on atomic.Bool
				lamp, err := newLamp(twinclient.Options{Hub: "mqtt://localhost", DeviceID: id, Dial: h.Dial}, on.Store)
				if err != nil {
					t.Fatal(err)
				}
				go lamp.Run(t.Context())
				h.Await(id, "current", says(false))

				fault(h)
				h.MustPut(id, "desired", `{"on":true}`)
				h.Await(id, "current", says(true))
				if !on.Load() {
					t.Error("the lamp says that it is on, and it is dark")
				}
			})
		})
	}
}

func TestLampStaysAsItIs(t *testing.T) {
	for name, desired := range map[string]string{
		"somebody wants nothing":  `{}`,
		"somebody wants a colour": `{"colour":"red"}`,
		"somebody wants a word":   `{"on":"no"}`,
		"somebody wants it on":    `{"on":true}`,
		"somebody sends null":     `{"on":null}`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := hubtest.Start(t)
				id := h.AddDevice("lamp").ID
				h.MustPut(id, "desired", `{"on":true}`)
				switched := 0
				lamp, err := newLamp(twinclient.Options{Hub: "mqtt://localhost", DeviceID: id, Dial: h.Dial}, func(bool) { switched++ })
				if err != nil {
					t.Fatal(err)
				}
				go lamp.Run(t.Context())
				h.Await(id, "current", says(true))

				h.MustPut(id, "desired", desired)
				time.Sleep(time.Minute)
				h.MustDelete(id, "desired")
				time.Sleep(time.Minute)
				h.Await(id, "current", says(true))
				if switched != 1 {
					t.Errorf("switched %d times, want once", switched)
				}
			})
		})
	}
}
