package hub_test

import (
	"fmt"
	"testing"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// newScopedHub has the panel and a shed, each with the document desired at version 1, and a
// token of each scope, whose secrets it returns by the token's name.
func newScopedHub(t *testing.T, documents docstore.Store) (h *hub.Hub, secrets map[string]string) {
	t.Helper()
	var devices registry.Registry
	h = newHub(t, documents, func(c *hub.Config) { devices = c.Registry })
	secrets = addScopes(t, devices)
	for _, id := range []twin.ID{panelID, shedID} {
		if _, err := documents.Put(t.Context(), docstore.Key{Twin: id, Name: "desired"}, docstore.Any, []byte(`{}`)); err != nil {
			t.Fatal(err)
		}
	}
	return h, secrets
}

// addScopes adds the shed, and a token of each scope.
func addScopes(t *testing.T, devices registry.Registry) (secrets map[string]string) {
	t.Helper()
	if err := devices.AddDevice(t.Context(), registry.Device{ID: shedID, Name: "shed"}); err != nil {
		t.Fatal(err)
	}
	secrets = make(map[string]string)
	for _, scope := range []registry.Token{
		{Name: "reader", ReadOnly: true},
		{Name: "panel", Device: panelID},
		{Name: "panel reader", ReadOnly: true, Device: panelID},
	} {
		k, secret, err := registry.NewToken(scope.Name)
		if err != nil {
			t.Fatal(err)
		}
		k.ReadOnly, k.Device = scope.ReadOnly, scope.Device
		if err := devices.AddToken(t.Context(), k); err != nil {
			t.Fatal(err)
		}
		secrets[k.Name] = secret
	}
	return secrets
}

const shedID = twin.ID("22222222-2222-4333-8444-555555555555")

// denied is the body that refuses an action on a resource.
func denied(action, resource string) string {
	return fmt.Sprintf(`{"details":[{"action":%q,"resource":%q}],"message":"insufficient permissions","type":"permissions_denied"}`, action, resource)
}

// A token gets 403 for what is outside its scope, before the hub looks at the document, its
// name or the body, and whether there is such a twin or not.
func TestRESTRefusesWhatIsOutsideATokensScope(t *testing.T) {
	documents := docstore.NewMemory()
	h, secrets := newScopedHub(t, documents)
	rest := h.REST()

	requests := []struct{ method, below, body, action, resource string }{
		{"GET", "", "", "read", "twin"},
		{"HEAD", "", "", "read", "twin"},
		{"DELETE", "", "", "write", "twin"},
		{"GET", "/documents/desired", "", "read", "twin_document"},
		{"HEAD", "/documents/desired", "", "read", "twin_document"},
		{"PUT", "/documents/desired", `{"data":{"alarm_armed":false}}`, "write", "twin_document"},
		{"PATCH", "/documents/desired", `{"data":{"alarm_armed":false}}`, "write", "twin_document"},
		{"DELETE", "/documents/desired", "", "write", "twin_document"},
		{"PUT", "/documents/new", `{}`, "write", "twin_document"},
		{"PUT", "/documents/_config", `{}`, "write", "twin_document"},
		{"GET", "/documents/missing", "", "read", "twin_document"},
		{"PATCH", "/documents/missing", `{}`, "write", "twin_document"},
		{"DELETE", "/documents/missing", "", "write", "twin_document"},
		{"PUT", "/documents/front%20door", `{}`, "write", "twin_document"},
		{"PUT", "/documents/desired", `no JSON`, "write", "twin_document"},
		{"PUT", "/documents/desired", `{"version":7}`, "write", "twin_document"},
	}
	scopes := []struct {
		token  string
		twins  []twin.ID
		writes bool // whether only writes are refused
	}{
		{"reader", []twin.ID{panelID, shedID, otherID}, true},
		{"panel", []twin.ID{shedID, otherID}, false},
		{"panel reader", []twin.ID{panelID}, true},
		{"panel reader", []twin.ID{shedID, otherID}, false},
	}
	for _, scope := range scopes {
		for _, id := range scope.twins {
			for _, r := range requests {
				if scope.writes && r.action != "write" {
					continue
				}
				path := region + "/twins/" + string(id) + r.below
				t.Run(fmt.Sprintf("%s %s %s", scope.token, r.method, path), func(t *testing.T) {
					answer := call(rest, r.method, path, r.body, "X-Auth-Token: "+secrets[scope.token])
					checkAnswer(t, answer, 403, denied(r.action, r.resource))
				})
			}
		}
	}
	for _, id := range []twin.ID{panelID, shedID} {
		if names, err := documents.List(t.Context(), id); err != nil || len(names) != 1 {
			t.Errorf("after all refusals twin %s has %q, %v; want desired alone", id, names, err)
		}
		if doc, err := documents.Get(t.Context(), docstore.Key{Twin: id, Name: "desired"}); err != nil || doc.Version != 1 {
			t.Errorf("after all refusals desired of %s has version %d, %v; want 1", id, doc.Version, err)
		}
	}
}

// What is wrong with the address comes before the scope, which comes before all else.
func TestRESTChecksTheAddressBeforeTheScope(t *testing.T) {
	h, secrets := newScopedHub(t, docstore.NewMemory())
	rest := h.REST()
	for _, tt := range []struct {
		name, method, path string
		status             int
		want               string
	}{
		{"route", "PUT", "/iot/v1/regions/fr-par/networks", 404, noRoute},
		{"method", "PUT", panel, 405, noMethod},
		{"region", "PUT", "/iot/v1/regions/nl-ams/twins/" + otherID + "/documents/desired", 400,
			invalid("region", "unknown", "this hub serves region fr-par")},
		{"twin's id", "PUT", region + "/twins/shed/documents/desired", 400, invalid("twin_id", "format", notAUUID)},
		{"scope", "PUT", region + "/twins/" + otherID + "/documents/$", 403, denied("write", "twin_document")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			checkAnswer(t, call(rest, tt.method, tt.path, "{", "X-Auth-Token: "+secrets["panel reader"]), tt.status, tt.want)
		})
	}
}

func TestRESTAllowsWhatIsInATokensScope(t *testing.T) {
	h, secrets := newScopedHub(t, docstore.NewMemory())
	rest := h.REST()
	shed := region + "/twins/" + string(shedID)
	for _, tt := range []struct {
		token, method, path, body string
		status                    int
		want                      string
	}{
		{"reader", "GET", panel, "", 200, `{"documents":[{"document_name":"desired"}]}`},
		{"reader", "GET", document, "", 200, restDoc("desired", 1, "{}")},
		{"reader", "HEAD", document, "", 200, restDoc("desired", 1, "{}")},
		{"reader", "GET", shed, "", 200, `{"documents":[{"document_name":"desired"}]}`},
		{"reader", "GET", region + "/twins/" + otherID, "", 404, noTwin},
		{"reader", "OPTIONS", document, "", 204, ""},
		{"panel reader", "GET", document, "", 200, restDoc("desired", 1, "{}")},
		{"panel reader", "GET", panel + "/documents/missing", "", 404, noDocument},
		{"panel", "PUT", document, "{}", 200, restDoc("desired", 2, "{}")},
		{"panel", "PATCH", document, `{"data":{"n":1}}`, 200, restDoc("desired", 3, `{"n":1}`)},
		{"panel", "PUT", panel + "/documents/_config", "{}", 200, restDoc("_config", 1, "{}")},
		{"panel", "DELETE", document, "", 204, ""},
		{"panel", "DELETE", panel, "", 204, ""},
	} {
		t.Run(fmt.Sprintf("%s %s %s", tt.token, tt.method, tt.path), func(t *testing.T) {
			checkAnswer(t, call(rest, tt.method, tt.path, tt.body, "X-Auth-Token: "+secrets[tt.token]), tt.status, tt.want)
		})
	}
}
