package twin_test

import (
	"fmt"

	"github.com/twinpanel/twinpanel/twin"
)

// A hub applies the body of a patch to what it stores.
func ExampleMerge() {
	stored := twin.Document{Version: 4, Data: []byte(`{"alarm_armed":true,"door_open":true,"siren_ringing":true}`)}

	update, err := twin.ParsePatch([]byte(`{"version":4,"data":{"door_open":false,"siren_ringing":null}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := twin.CheckVersion(update.Version, stored.Version); err != nil {
		fmt.Println(err)
		return
	}
	data, err := twin.Merge(stored.Data, update.Data)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n", twin.Document{Version: stored.Version + 1, Data: data}.Encode())
	// Output: {"version":5,"data":{"alarm_armed":true,"door_open":false}}
}

// A device sends only what changed since its last publication.
func ExampleDiff() {
	published := []byte(`{"last_update":"12:00:00","door_open":true,"doors":{"front":"open","back":"closed"}}`)
	present := []byte(`{"last_update":"12:00:02","door_open":false,"doors":{"front":"closed","back":"closed"}}`)

	patch, err := twin.Diff(published, present)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n", twin.Update{Data: patch}.Encode())
	// Output: {"data":{"last_update":"12:00:02","door_open":false,"doors":{"front":"closed"}}}
}

func ExampleParsePatch() {
	_, err := twin.ParsePatch([]byte(`{"data":{"doors":[{},{},{"open":null}]}}`))
	fmt.Println(err)
	// Output: data.doors[2].open: null inside an array: replace the whole array without nulls
}

func ExampleTopic_Response() {
	request, err := twin.ParseTopic("$SCW/twins/me/desired/get")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(request.Response(twin.Success))
	// Output: $SCW/twins/me/desired/get/response/success
}
