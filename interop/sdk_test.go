package interop

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	iot "github.com/scaleway/scaleway-sdk-go/api/iot/v1"
	"github.com/scaleway/scaleway-sdk-go/scw"

	"github.com/twinpanel/twinpanel/hub/hubtest"
)

// Anything of the vendor's shape will do: the hub's tokens have no access key.
const anyAccessKey = "SCWXXXXXXXXXXXXXXXXX"

const unknownID = "00000000-0000-4000-8000-000000000000"

// sdk is the vendor's Go SDK, set up for a hub as it is for the vendor's own, with
// another address and secret.
func sdk(t *testing.T, h *hubtest.Hub, secret string, options ...scw.ClientOption) *iot.API {
	t.Helper()
	client, err := scw.NewClient(append([]scw.ClientOption{
		scw.WithAPIURL(apiURL(t, h)),
		scw.WithAuth(anyAccessKey, secret),
		scw.WithDefaultRegion(scw.RegionFrPar),
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	return iot.NewAPI(client)
}

// apiURL is what the vendor's SDKs call an API URL: the hub's REST address without path.
func apiURL(t *testing.T, h *hubtest.Hub) string {
	t.Helper()
	u, err := url.Parse(h.REST())
	if err != nil {
		t.Fatal(err)
	}
	return u.Scheme + "://" + u.Host
}

// A call is one of the SDK's six calls, as one line of a transcript.
type call func(*iot.API, string) (answer string, err error)

func list() call {
	return func(api *iot.API, id string) (string, error) {
		got, err := api.ListTwinDocuments(&iot.ListTwinDocumentsRequest{TwinID: id})
		if err != nil {
			return "", err
		}
		names := []string{}
		for _, d := range got.Documents {
			names = append(names, d.DocumentName)
		}
		return strings.Join(names, " "), nil
	}
}

func get(name string) call {
	return func(api *iot.API, id string) (string, error) {
		return document(api.GetTwinDocument(&iot.GetTwinDocumentRequest{TwinID: id, DocumentName: name}))
	}
}

// put sends no version if it is nil, and no data if that is "".
func put(name string, version *uint32, data string) call {
	return func(api *iot.API, id string) (string, error) {
		return document(api.PutTwinDocument(&iot.PutTwinDocumentRequest{TwinID: id, DocumentName: name, Version: version, Data: object(data)}))
	}
}

func patch(name string, version *uint32, data string) call {
	return func(api *iot.API, id string) (string, error) {
		return document(api.PatchTwinDocument(&iot.PatchTwinDocumentRequest{TwinID: id, DocumentName: name, Version: version, Data: object(data)}))
	}
}

func remove(name string) call {
	return func(api *iot.API, id string) (string, error) {
		return "", api.DeleteTwinDocument(&iot.DeleteTwinDocumentRequest{TwinID: id, DocumentName: name})
	}
}

func removeAll() call {
	return func(api *iot.API, id string) (string, error) {
		return "", api.DeleteTwinDocuments(&iot.DeleteTwinDocumentsRequest{TwinID: id})
	}
}

// of makes a call for another twin than the one it is played to.
func of(id string, c call) call {
	return func(api *iot.API, _ string) (string, error) { return c(api, id) }
}

// document is a document as the SDK gives it to a program.
func document(d *iot.TwinDocument, err error) (string, error) {
	if err != nil {
		return "", err
	}
	data, err := json.Marshal(d.Data)
	return fmt.Sprintf("%s %s %d %s", d.TwinID, d.DocumentName, d.Version, data), err
}

func object(data string) *scw.JSONObject {
	if data == "" {
		return nil
	}
	o, err := scw.DecodeJSONObject(data, scw.NoEscape)
	if err != nil {
		panic(err)
	}
	return &o
}

// version is the optional version of a write.
func version(n uint32) *uint32 { return new(n) }

func TestVendorSDK(t *testing.T) {
	h := hubtest.Start(t)
	id := string(h.AddDevice("panel").ID)
	api := sdk(t, h, h.Token)
	steps := []struct {
		name string
		call call
		want string
	}{
		{"list of an empty twin", list(), ``},
		{"put creates", put("desired", nil, `{"alarm_armed":true}`), id + ` desired 1 {"alarm_armed":true}`},
		{"get", get("desired"), id + ` desired 1 {"alarm_armed":true}`},
		{"put replaces", put("desired", nil, `{"alarm_armed":false,"by":"phone"}`), id + ` desired 2 {"alarm_armed":false,"by":"phone"}`},
		{"put of a version", put("desired", version(2), `{"a":{"x":1,"y":[1,2]}}`), id + ` desired 3 {"a":{"x":1,"y":[1,2]}}`},
		{"put of version 0", put("desired", version(0), `{"a":{"x":1,"y":[1,2]}}`), id + ` desired 4 {"a":{"x":1,"y":[1,2]}}`},
		{"patch", patch("desired", nil, `{"a":{"y":[3]},"b":"ü<&>"}`), id + ` desired 5 {"a":{"x":1,"y":[3]},"b":"ü\u003c\u0026\u003e"}`},
		{"patch of a version", patch("desired", version(5), `{"a":{"x":null},"b":null}`), id + ` desired 6 {"a":{"y":[3]}}`},
		{"patch without data", patch("desired", nil, ``), id + ` desired 7 {"a":{"y":[3]}}`},
		{"put without data", put("current", nil, ``), id + ` current 1 {}`},
		{"put of version 0 creates", put("-_.~0Z", version(0), `{}`), id + ` -_.~0Z 1 {}`},
		{"the configuration is a document", put("_config", nil, `{"documents":{"current":{"_tags":{"house":"mine"}}}}`),
			id + ` _config 1 {"documents":{"current":{"_tags":{"house":"mine"}}}}`},
		{"id in capitals", func(api *iot.API, id string) (string, error) { return get("current")(api, strings.ToUpper(id)) }, id + ` current 1 {}`},
		{"list", list(), `-_.~0Z _config current desired`},
		{"delete", remove("desired"), ``},
		{"the others stay", list(), `-_.~0Z _config current`},
		{"put again", put("desired", nil, `{}`), id + ` desired 1 {}`},
		{"delete all", removeAll(), ``},
		{"nothing is left", list(), ``},
		{"delete all of nothing", removeAll(), ``},
	}
	for _, s := range steps {
		got, err := s.call(api, id)
		if err != nil {
			t.Fatalf("%s: %T: %v", s.name, err, err)
		}
		if got != s.want {
			t.Fatalf("%s: got\n\t%s\nwant\n\t%s", s.name, got, s.want)
		}
	}
}

// As the vendor's documentation sets up a program: by environment alone.
func TestVendorSDKFromEnvironment(t *testing.T) {
	h := hubtest.Start(t)
	panel := h.AddDevice("panel").ID
	t.Setenv("SCW_API_URL", apiURL(t, h))
	t.Setenv("SCW_ACCESS_KEY", anyAccessKey)
	t.Setenv("SCW_SECRET_KEY", h.Token)
	t.Setenv("SCW_DEFAULT_REGION", "fr-par")
	client, err := scw.NewClient(scw.WithEnv())
	if err != nil {
		t.Fatal(err)
	}
	want := string(panel) + ` desired 1 {"alarm_armed":true}`
	if got, err := put("desired", nil, `{"alarm_armed":true}`)(iot.NewAPI(client), string(panel)); got != want || err != nil {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}
