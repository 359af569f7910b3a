package interop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	iot "github.com/scaleway/scaleway-sdk-go/api/iot/v1"
	"github.com/scaleway/scaleway-sdk-go/scw"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/hubtest"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// What the hub refuses comes out as the error that a program written for the
// vendor's hub looks for.
func TestVendorSDKErrors(t *testing.T) {
	invalid := func(argument, reason, help string) error {
		return &scw.InvalidArgumentsError{Details: []scw.InvalidArgumentsErrorDetail{{ArgumentName: argument, Reason: reason, HelpMessage: help}}}
	}
	noDocument := func(name string) error {
		return &scw.ResourceNotFoundError{Resource: "twin_document", ResourceID: name}
	}
	noTwin := &scw.ResourceNotFoundError{Resource: "twin", ResourceID: unknownID}
	noRoute := &scw.ResponseError{StatusCode: http.StatusNotFound, Status: "404 Not Found", Message: "Not Found: paths here begin with /iot/v1/regions/fr-par/"}
	const (
		badName   = "only letters, digits and - _ . ~ can stand in a name: choose another one"
		badID     = "not a UUID: write the device's id as in 01234567-89ab-cdef-0123-456789abcdef"
		arrayNull = "null inside an array: replace the whole array without nulls"
	)
	tests := []struct {
		name string
		call call
		want error
	}{
		{"put of an older version", put("desired", version(1), `{}`), invalid("version", "constraint", "expected version 1, actual version 2")},
		{"patch of an older version", patch("desired", version(1), `{}`), invalid("version", "constraint", "expected version 1, actual version 2")},
		{"put of a version that is still to come", put("desired", version(3), `{}`), invalid("version", "constraint", "expected version 3, actual version 2")},
		{"put of the last version there can be", put("desired", version(4294967295), `{}`), invalid("version", "constraint", "expected version 4294967295, actual version 2")},
		{"put of a version of nothing", put("nothing", version(7), `{}`), invalid("version", "constraint", "expected version 7, actual version 0")},

		{"get of a missing document", get("nothing"), noDocument("nothing")},
		{"patch of a missing document", patch("nothing", nil, `{}`), noDocument("nothing")},
		{"patch of a version of a missing document", patch("nothing", version(7), `{}`), noDocument("nothing")},
		{"delete of a missing document", remove("nothing"), noDocument("nothing")},

		{"list of an unknown device", of(unknownID, list()), noTwin},
		{"get of an unknown device", of(unknownID, get("desired")), noTwin},
		{"put of an unknown device", of(unknownID, put("desired", nil, `{}`)), noTwin},
		{"patch of an unknown device", of(unknownID, patch("desired", nil, `{}`)), noTwin},
		{"delete of an unknown device", of(unknownID, remove("desired")), noTwin},
		{"delete all of an unknown device", of(unknownID, removeAll()), noTwin},
		{"no UUID", of("me", list()), invalid("twin_id", "format", badID)},

		{"name with other characters", put("front:door", nil, `{}`), invalid("document_name", "format", badName)},
		{"name with letters beyond ASCII", get("tür"), invalid("document_name", "format", badName)},
		{"name too long", get(strings.Repeat("n", 129)), invalid("document_name", "constraint", "longer than 128 characters: choose a shorter name")},
		{"name with a slash", get("a/b"), noRoute},
		{"name of two dots", get(".."), noRoute},

		{"null inside an array of a patch", patch("desired", nil, `{"doors":[1,null]}`), invalid("data", "constraint", "data.doors[1]: "+arrayNull)},
		{"data too deep", put("desired", nil, strings.Repeat(`{"a":`, 33)+`1`+strings.Repeat(`}`, 33)),
			invalid("data", "constraint", "data"+strings.Repeat(".a", 32)+": deeper than 32 levels: store it in flatter form")},
		{"data too long", put("desired", nil, `{"a":"`+strings.Repeat("x", 262144)+`"}`),
			invalid("data", "constraint", "larger than 262144 bytes: split it into several documents")},
		{"body too long", put("desired", nil, `{"a":"`+strings.Repeat("x", 524288)+`"}`),
			invalid("body", "constraint", "longer than 524288 bytes")},

		{"another region", func(api *iot.API, id string) (string, error) {
			return document(api.GetTwinDocument(&iot.GetTwinDocumentRequest{Region: scw.RegionNlAms, TwinID: id, DocumentName: "desired"}))
		}, invalid("region", "unknown", "this hub serves region fr-par")},
	}
	h := hubtest.Start(t)
	panel := h.AddDevice("panel").ID
	h.MustPut(panel, "desired", `{"alarm_armed":false}`)
	h.MustPut(panel, "desired", `{"alarm_armed":true}`)
	api := sdk(t, h, h.Token)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.call(api, string(panel))
			checkError(t, err, tt.want)
		})
	}
	if doc := h.MustGet(panel, "desired"); doc.Version != 2 || string(doc.Data) != `{"alarm_armed":true}` {
		t.Errorf("after all refusals, the document is %d %s", doc.Version, doc.Data)
	}
	if got, err := list()(api, string(panel)); got != "desired" || err != nil {
		t.Errorf("after all refusals, the list is %q, %v", got, err)
	}
}

// checkError compares an error of the SDK with the one it should be: the type and
// every field that the hub's answer gave it.
func checkError(t *testing.T, got, want error) {
	t.Helper()
	if reflect.TypeOf(got) != reflect.TypeOf(want) || fieldsOf(t, got) != fieldsOf(t, want) {
		t.Errorf("got  %T %v\nwant %T %v", got, got, want, want)
	}
}

// fieldsOf leaves out only the body, which the SDK's types keep from JSON.
func fieldsOf(t *testing.T, err error) string {
	t.Helper()
	fields, e := json.Marshal(err)
	if e != nil {
		t.Fatal(e)
	}
	if r, ok := errors.AsType[*scw.ResponseError](err); ok {
		return r.Status + string(fields)
	}
	return string(fields)
}

// Without a token that opens the hub, every call is refused in the same way,
// whatever is or isn't there.
func TestVendorSDKWithoutAccess(t *testing.T) {
	h := hubtest.Start(t)
	panel := h.AddDevice("panel").ID
	h.MustPut(panel, "desired", `{"alarm_armed":true}`)
	tests := []struct {
		name string
		api  *iot.API
		want error
	}{
		{"unknown token", sdk(t, h, unknownID), &scw.DeniedAuthenticationError{Method: "api_key", Reason: "not_found"}},
		{"JWT", sdk(t, h, h.Token, scw.WithJWT("a.b.c")), &scw.DeniedAuthenticationError{Method: "jwt", Reason: "invalid_argument"}},
		{"nothing", sdk(t, h, h.Token, scw.WithoutAuth()), &scw.DeniedAuthenticationError{Method: "api_key", Reason: "invalid_argument"}},
	}
	calls := []struct {
		name string
		call call
	}{
		{"list", list()},
		{"get", get("desired")},
		{"get of a missing document", get("nothing")},
		{"get of an unknown device", of(unknownID, get("desired"))},
		{"get of a bad name", get("front:door")},
		{"put", put("desired", nil, `{}`)},
		{"patch", patch("desired", nil, `{}`)},
		{"delete", remove("desired")},
		{"delete all", removeAll()},
	}
	for _, tt := range tests {
		for _, c := range calls {
			t.Run(tt.name+", "+c.name, func(t *testing.T) {
				_, err := c.call(tt.api, string(panel))
				checkError(t, err, tt.want)
			})
		}
	}
	if doc := h.MustGet(panel, "desired"); doc.Version != 1 {
		t.Errorf("the document has version %d, want 1", doc.Version)
	}
}

// A token does what its scope leaves, and is refused the rest whatever is there.
func TestVendorSDKWithNarrowTokens(t *testing.T) {
	h := hubtest.Start(t)
	panel, other := h.AddDevice("panel").ID, h.AddDevice("other").ID
	h.MustPut(panel, "desired", `{"alarm_armed":true}`)
	scoped := func(name string, readOnly bool, device twin.ID) *iot.API {
		token, secret, err := registry.NewToken(name)
		if err != nil {
			t.Fatal(err)
		}
		token.ReadOnly, token.Device = readOnly, device
		if err := h.Registry.AddToken(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		return sdk(t, h, secret)
	}
	reader := scoped("reader", true, "")
	panelOnly := scoped("panel only", false, panel)
	panelReader := scoped("panel reader", true, panel)

	tests := []struct {
		name string
		api  *iot.API
		call call
		want error
	}{
		{"read only: put", reader, put("desired", nil, `{}`), denied("write", "twin_document")},
		{"read only: put of an older version", reader, put("desired", version(7), `{}`), denied("write", "twin_document")},
		{"read only: patch", reader, patch("desired", nil, `{}`), denied("write", "twin_document")},
		{"read only: patch of a missing document", reader, patch("nothing", nil, `{}`), denied("write", "twin_document")},
		{"read only: delete", reader, remove("desired"), denied("write", "twin_document")},
		{"read only: delete all", reader, removeAll(), denied("write", "twin")},
		{"read only: list", reader, list(), nil},
		{"read only: get", reader, get("desired"), nil},

		{"one device: list of another", panelOnly, of(string(other), list()), denied("read", "twin")},
		{"one device: get of another", panelOnly, of(string(other), get("desired")), denied("read", "twin_document")},
		{"one device: get of an unknown one", panelOnly, of(unknownID, get("desired")), denied("read", "twin_document")},
		{"one device: put of another", panelOnly, of(string(other), put("desired", nil, `{}`)), denied("write", "twin_document")},
		{"one device: delete all of another", panelOnly, of(string(other), removeAll()), denied("write", "twin")},
		{"one device: get", panelOnly, get("desired"), nil},
		{"one device: put", panelOnly, put("current", nil, `{}`), nil},

		{"one device, read only: get of another", panelReader, of(string(other), get("desired")), denied("read", "twin_document")},
		{"one device, read only: put", panelReader, put("desired", nil, `{}`), denied("write", "twin_document")},
		{"one device, read only: get", panelReader, get("desired"), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.call(tt.api, string(panel))
			checkError(t, err, tt.want)
		})
	}
	if doc := h.MustGet(panel, "desired"); doc.Version != 1 {
		t.Errorf("the document has version %d, want 1", doc.Version)
	}
	if got, err := list()(sdk(t, h, h.Token), string(other)); got != "" || err != nil {
		t.Errorf("the other twin has %q, %v", got, err)
	}
}

// denied has to be read from JSON: the type of its details has no name.
func denied(action, resource string) error {
	e := new(scw.PermissionsDeniedError)
	if err := json.Unmarshal(fmt.Appendf(nil, `{"details":[{"action":%q,"resource":%q}]}`, action, resource), e); err != nil {
		panic(err)
	}
	return e
}

func TestVendorSDKWithTooManyDocuments(t *testing.T) {
	h := hubtest.Start(t)
	panel := h.AddDevice("panel").ID
	for i := range twin.MaxDocuments {
		h.MustPut(panel, twin.Name(fmt.Sprintf("n%03d", i)), `{}`)
	}
	api := sdk(t, h, h.Token)
	_, err := put("one_more", nil, `{}`)(api, string(panel))
	checkError(t, err, &scw.QuotasExceededError{Details: []scw.QuotasExceededErrorDetail{{Resource: "twin_documents", Quota: 100, Current: 100}}})
	if _, err := put("n099", nil, `{}`)(api, string(panel)); err != nil {
		t.Errorf("put of a document that is there: %v", err)
	}
	if got, err := list()(api, string(panel)); strings.Count(got, " ") != 99 || err != nil {
		t.Errorf("list has %q, %v, want 100 names", got, err)
	}
}

// failingStore fails every put with err.
type failingStore struct {
	docstore.Store
	err error
}

func (s failingStore) Put(context.Context, docstore.Key, docstore.If, []byte) (uint32, error) {
	return 0, s.err
}

// The vendor's API has no type for the hub's own trouble. A program gets the status
// and a message that says whether something was written.
func TestVendorSDKInTheHubsTrouble(t *testing.T) {
	trouble := errors.New("disk on fire")
	tests := []struct {
		name    string
		err     error
		status  int
		message string
	}{
		{"nothing was written", trouble, http.StatusInternalServerError, "internal error: nothing was written"},
		{"nobody knows", &docstore.OutcomeError{Err: trouble}, http.StatusServiceUnavailable,
			"outcome unknown: the write may have happened or not, get the document to see"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := hubtest.Start(t, func(c *hub.Config) { c.Documents = failingStore{c.Documents, tt.err} })
			panel := h.AddDevice("panel").ID
			_, err := put("desired", nil, `{}`)(sdk(t, h, h.Token), string(panel))
			got, ok := errors.AsType[*scw.ResponseError](err)
			if !ok || got.StatusCode != tt.status || got.Message != tt.message {
				t.Errorf("got %T %v, want *scw.ResponseError with status %d and %q", err, err, tt.status, tt.message)
			}
		})
	}
}
