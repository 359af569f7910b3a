package hubtest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/twinpanel/twinpanel/hub/hubtest"
	"github.com/twinpanel/twinpanel/twin"
	"github.com/twinpanel/twinpanel/twinclient"
)

// The test of a device that follows desired, although the network loses an answer.
func Example() {
	test := func(t *testing.T) { // for real: func TestLampFollowsDesired(t *testing.T)
		synctest.Test(t, func(t *testing.T) {
			h := hubtest.Start(t)
			id := h.AddDevice("lamp").ID
			lamp, err := newLamp(twinclient.Options{Hub: "mqtt://localhost", DeviceID: id, Dial: h.Dial})
			if err != nil {
				t.Fatal(err)
			}
			go lamp.Run(t.Context())

			isOn := func(doc twin.Document) bool { return jsonOf(doc).On }
			isOff := func(doc twin.Document) bool { return !jsonOf(doc).On }
			h.Await(id, "current", isOff)
			h.DropAnswers(1)
			h.MustPut(id, "desired", `{"on":true}`)
			h.Await(id, "current", isOn)
		})
	}
	fmt.Println("passed:", run(test))
	// Output: passed: true
}

// A lamp's documents, desired and current, look the same.
type lamp struct {
	On bool `json:"on"`
}

func jsonOf(doc twin.Document) (l lamp) {
	_ = json.Unmarshal(doc.Data, &l)
	return l
}

// newLamp is the device under test.
func newLamp(o twinclient.Options) (sync *twinclient.Sync, err error) {
	var l lamp
	sync, err = twinclient.NewSync(twinclient.SyncConfig{
		Connect:  o,
		Watch:    "desired",
		Publish:  "current",
		Document: func(context.Context) (json.RawMessage, error) { return json.Marshal(l) },
		Watched: func(desired twin.Document, err error) {
			if err == nil {
				l = jsonOf(desired)
				sync.Changed()
			}
		},
	})
	return sync, err
}

// run is what go test does with a test.
func run(test func(*testing.T)) (passed bool) {
	return testing.RunTests(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: "TestLampFollowsDesired", F: test}})
}
