package hub_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// The house of these tests: one device, one token.
const (
	panelID  = twin.ID("11111111-2222-4333-8444-555555555555")
	otherID  = "99999999-2222-4333-8444-555555555555"
	token    = "0a1b2c3d-0000-4000-8000-00000000000f"
	noToken  = "0a1b2c3d-0000-4000-8000-000000000000"
	region   = "/iot/v1/regions/fr-par"
	panel    = region + "/twins/" + string(panelID)
	document = panel + "/documents/desired"
)

// newHub returns a hub with the panel and the token, over documents.
func newHub(t *testing.T, documents docstore.Store, options ...func(*hub.Config)) *hub.Hub {
	t.Helper()
	devices := registry.NewMemory()
	if err := devices.AddDevice(t.Context(), registry.Device{ID: panelID, Name: "panel", AllowInsecure: true}); err != nil {
		t.Fatal(err)
	}
	if err := devices.AddToken(t.Context(), registry.Token{Name: "app", Hash: registry.HashSecret(token)}); err != nil {
		t.Fatal(err)
	}
	config := hub.Config{Documents: documents, Registry: devices}
	for _, option := range options {
		option(&config)
	}
	h, err := hub.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// put writes a document past every check but those of the store.
func put(t *testing.T, store docstore.Store, name twin.Name, data string) {
	t.Helper()
	if _, err := store.Put(t.Context(), docstore.Key{Twin: panelID, Name: name}, docstore.Any, []byte(data)); err != nil {
		t.Fatal(err)
	}
}

// call sends a request to the handler.
func call(h http.Handler, method, path, body string, header ...string) *http.Response {
	r := httptest.NewRequestWithContext(context.Background(), method, path, strings.NewReader(body))
	r.Header.Set("X-Auth-Token", token)
	for _, line := range header {
		key, value, _ := strings.Cut(line, ": ")
		r.Header.Set(key, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// invalid is the body of a refused argument.
func invalid(argument, reason, help string) string {
	return fmt.Sprintf(`{"details":[{"argument_name":%q,"help_message":%q,"reason":%q}],"message":"invalid argument(s)","type":"invalid_arguments"}`,
		argument, help, reason)
}

const (
	notAUUID   = "not a UUID: write the device's id as in 01234567-89ab-cdef-0123-456789abcdef"
	badName    = "only letters, digits and - _ . ~ can stand in a name: choose another one"
	noRoute    = `{"message":"Not Found: paths here begin with /iot/v1/regions/fr-par/"}`
	noMethod   = `{"message":"Method Not Allowed"}`
	badAPIKey  = `{"message":"authentication is denied","method":"api_key","reason":"invalid_argument","type":"denied_authentication"}`
	noAPIKey   = `{"message":"authentication is denied","method":"api_key","reason":"not_found","type":"denied_authentication"}`
	noJWT      = `{"message":"authentication is denied","method":"jwt","reason":"invalid_argument","type":"denied_authentication"}`
	noTwin     = `{"message":"resource is not found","resource":"twin","resource_id":"` + otherID + `","type":"not_found"}`
	noDocument = `{"message":"resource is not found","resource":"twin_document","resource_id":"missing","type":"not_found"}`
)

// TestRESTRefuses has the refusals of single routes; those that all have in common are in
// TestRESTEachRouteRefuses, bodies in TestRefusedBodies.
func TestRESTRefuses(t *testing.T) {
	documents := docstore.NewMemory()
	h := newHub(t, documents).REST()
	put(t, documents, "desired", `{"alarm_armed":true}`)
	put(t, documents, "desired", `{"alarm_armed":true}`)

	tests := []struct {
		name   string
		method string // default GET
		path   string // default document
		body   string
		header []string
		status int
		want   string
	}{
		// Routes.
		{name: "root", path: "/", status: 404, want: noRoute},
		{name: "no twin id", path: region + "/twins", status: 404, want: noRoute},
		{name: "no twin id, slash", path: region + "/twins/", status: 404, want: noRoute},
		{name: "twin with slash", path: panel + "/", status: 404, want: noRoute},
		{name: "no document name", path: panel + "/documents/", status: 404, want: noRoute},
		{name: "below a document", path: document + "/x", status: 404, want: noRoute},
		{name: "two slashes", path: "/" + document, status: 404, want: noRoute},
		{name: "two slashes with put", method: "PUT", path: "/" + document, body: "{}", status: 404, want: noRoute},
		{name: "dots", path: panel + "/documents/x/../desired", status: 404, want: noRoute},
		{name: "unknown route needs no token", path: "/iot/v2", header: []string{"X-Auth-Token: "}, status: 404, want: noRoute},
		// Documents that are not there.
		{name: "get", path: panel + "/documents/missing", status: 404, want: noDocument},
		{name: "delete", method: "DELETE", path: panel + "/documents/missing", status: 404, want: noDocument},
		{name: "patch", method: "PATCH", path: panel + "/documents/missing", body: `{"data":{"a":1}}`, status: 404, want: noDocument},
		{name: "patch with version", method: "PATCH", path: panel + "/documents/missing", body: `{"version":7}`, status: 404, want: noDocument},
		{name: "put with version", method: "PUT", path: panel + "/documents/missing", body: `{"version":7}`, status: 400,
			want: invalid("version", "constraint", "expected version 7, actual version 0")},
		// Versions.
		{name: "put with an old version", method: "PUT", body: `{"version":1,"data":{}}`, status: 400,
			want: invalid("version", "constraint", "expected version 1, actual version 2")},
		{name: "put with a version to come", method: "PUT", body: `{"version":3,"data":{}}`, status: 400,
			want: invalid("version", "constraint", "expected version 3, actual version 2")},
		{name: "patch with an old version", method: "PATCH", body: `{"version":1,"data":{}}`, status: 400,
			want: invalid("version", "constraint", "expected version 1, actual version 2")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			answer := call(h, cmp.Or(tt.method, "GET"), cmp.Or(tt.path, document), tt.body, tt.header...)
			checkAnswer(t, answer, tt.status, tt.want)
		})
	}
	if doc, err := documents.Get(t.Context(), docstore.Key{Twin: panelID, Name: "desired"}); err != nil || doc.Version != 2 {
		t.Errorf("after all refusals: got version %d and error %v, want 2 and none", doc.Version, err)
	}
}

// checkAnswer compares an answer to the letter, and checks what all answers have in common.
func checkAnswer(t *testing.T, answer *http.Response, status int, want string) {
	t.Helper()
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSuffix(string(body), "\n"); answer.StatusCode != status || got != want {
		t.Errorf("got %d %s\nwant %d %s", answer.StatusCode, got, status, want)
	}
	for key, want := range map[string]string{
		"Content-Type":            "application/json",
		"X-Content-Type-Options":  "nosniff",
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
		"Cache-Control":           "no-store",
	} {
		if got := answer.Header.Get(key); got != want {
			t.Errorf("header %s: got %q, want %q", key, got, want)
		}
	}
	if id := answer.Header.Get("X-Request-Id"); len(id) != 36 {
		t.Errorf("header X-Request-Id: got %q, want a UUID", id)
	}
}

func TestRESTRefusesWhatIsTooMuch(t *testing.T) {
	documents := docstore.NewMemory()
	h := newHub(t, documents).REST()
	put(t, documents, "desired", `{"alarm_armed":true}`)

	for _, method := range []string{"PUT", "PATCH"} {
		t.Run(method+" longer than the hub reads", func(t *testing.T) {
			answer := call(h, method, document, `{"data":{}`+strings.Repeat(" ", 512<<10)+"}")
			checkAnswer(t, answer, 413, invalid("body", "constraint", "longer than 524288 bytes"))
		})
	}
	t.Run("PATCH that makes the document too large", func(t *testing.T) {
		half := strings.Repeat("x", twin.MaxDataSize/2)
		put(t, documents, "large", `{"a":"`+half+`"}`)
		answer := call(h, "PATCH", panel+"/documents/large", `{"data":{"b":"`+half+`"}}`)
		checkAnswer(t, answer, 400, invalid("data", "constraint", "larger than 262144 bytes: split it into several documents"))
	})
	t.Run("PUT of document 101", func(t *testing.T) {
		for i := range twin.MaxDocuments - 2 {
			put(t, documents, twin.Name(fmt.Sprint("n", i)), "{}")
		}
		answer := call(h, "PUT", panel+"/documents/more", "{}")
		checkAnswer(t, answer, 403, `{"details":[{"current":100,"quota":100,"resource":"twin_documents"}],"message":"quota(s) exceeded","type":"quotas_exceeded"}`)
	})
	if doc, err := documents.Get(t.Context(), docstore.Key{Twin: panelID, Name: "desired"}); err != nil || doc.Version != 1 {
		t.Errorf("after all refusals: got version %d and error %v, want 1 and none", doc.Version, err)
	}
}
