package twinclient_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
	"github.com/twinpanel/twinpanel/twinclient"
)

// One connection: any document of the device's own twin.
func Example() {
	ctx := context.Background()
	h, options := newHub() // for real: twinclient.Options{Hub: "mqtts://hub.example", DeviceID: …, CAFile: …}
	defer h.Close()

	conn, err := twinclient.Dial(ctx, options)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()

	doc, err := conn.Put(ctx, "notes", twin.Update{Data: []byte(`{"door":"oak","bell":true}`)})
	fmt.Println(string(doc.Encode()), err)

	doc, err = conn.Patch(ctx, "notes", twin.Update{Version: doc.Version, Data: []byte(`{"bell":null}`)})
	fmt.Println(string(doc.Encode()), err)

	_, err = conn.Put(ctx, "notes", twin.Update{Version: 1})
	fmt.Println(err)

	// Output:
	// {"version":1,"data":{"door":"oak","bell":true}} <nil>
	// {"version":2,"data":{"door":"oak"}} <nil>
	// put notes: document version mismatch
}

// A lamp that somebody else switches: it follows desired and publishes current.
func ExampleSync() {
	h, options := newHub()
	defer h.Close()
	conn, err := twinclient.Dial(context.Background(), options)
	if err != nil {
		fmt.Println(err)
		return
	}
	conn.Put(context.Background(), "desired", twin.Update{Data: []byte(`{"on":true}`)}) // as an app would, over REST
	conn.Close()

	ctx, done := context.WithCancel(context.Background())
	lamp := struct {
		On bool `json:"on"`
	}{}
	var sync *twinclient.Sync
	sync, err = twinclient.NewSync(twinclient.SyncConfig{
		Connect: options,
		Watch:   "desired",
		Publish: "current",
		Document: func(context.Context) (json.RawMessage, error) {
			fmt.Println("the lamp is on:", lamp.On)
			if lamp.On {
				done() // a real lamp goes on for ever
			}
			return json.Marshal(lamp)
		},
		Watched: func(doc twin.Document, err error) {
			if err != nil {
				return // nobody wants anything
			}
			fmt.Println("wanted:", string(doc.Data))
			if json.Unmarshal(doc.Data, &lamp) == nil {
				sync.Changed()
			}
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	sync.Run(ctx)

	// Output:
	// wanted: {"on":true}
	// the lamp is on: true
}

// newHub is a hub in memory with one device, which these options connect to.
func newHub() (*hub.Hub, twinclient.Options) {
	devices := registry.NewMemory()
	device, err := registry.NewDevice("lamp")
	if err != nil {
		panic(err)
	}
	device.AllowInsecure = true
	if err := devices.AddDevice(context.Background(), device); err != nil {
		panic(err)
	}
	h, err := hub.New(hub.Config{Documents: docstore.NewMemory(), Registry: devices})
	if err != nil {
		panic(err)
	}
	return h, twinclient.Options{
		Hub:      "mqtt://localhost",
		DeviceID: device.ID,
		Dial: func(context.Context) (net.Conn, error) {
			client, server := net.Pipe()
			go h.ServeConn(server)
			return client, nil
		},
	}
}
