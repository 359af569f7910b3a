// Lamp is a device in a project of its own: a module that imports this one. It follows what
// somebody wants (the document desired) and publishes what it does (current); its test runs
// it against a hub whose network misbehaves.
//
// A module that isn't published yet is imported from a checkout of it. In a new folder
// beside the checkout:
//
//	go mod init example.com/lamp
//	go mod edit -replace github.com/twinpanel/twinpanel=../twinpanel
//	go mod edit -require github.com/twinpanel/twinpanel@v0.0.0
//	go mod tidy
//
// To see it work, start go run ./cmd/demo in the checkout, and the lamp as its second device:
//
//	go run . --hub mqtt://127.0.0.1:1883 --device-id THE-SPARE-DEVICE
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/twinpanel/twinpanel/twin"
	"github.com/twinpanel/twinpanel/twinclient"
)

func main() {
	var o twinclient.Options
	flag.StringVar(&o.Hub, "hub", "mqtt://127.0.0.1:1883", "`url` of the hub")
	flag.StringVar((*string)(&o.DeviceID), "device-id", "", "`uuid` of the device")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	lamp, err := newLamp(o, func(on bool) { fmt.Println("on:", on) })
	if err == nil {
		err = lamp.Run(ctx)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// state is what both documents hold.
type state struct {
	On bool `json:"on"`
}

// newLamp makes a lamp that is off. Its Run does all the rest: it connects, again and again if
// need be, and keeps both documents in step. All these functions are called by Run, one
// at a time.
func newLamp(o twinclient.Options, light func(on bool)) (sync *twinclient.Sync, err error) {
	var lamp state
	sync, err = twinclient.NewSync(twinclient.SyncConfig{
		Connect: o,
		Watch:   "desired",
		Publish: "current",
		Document: func(context.Context) (json.RawMessage, error) {
			return json.Marshal(lamp)
		},
		Watched: func(desired twin.Document, err error) {
			wanted := lamp
			if err != nil || json.Unmarshal(desired.Data, &wanted) != nil || wanted == lamp {
				return // nothing, or nothing new, is wanted: a lamp stays as it is
			}
			lamp = wanted
			light(lamp.On)
			sync.Changed()
		},
	})
	return sync, err
}
