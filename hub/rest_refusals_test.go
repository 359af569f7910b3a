package hub_test

import (
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/hub/docstore"
)

// restRoutes are all that the REST API can do. NAME and TWIN are replaced.
var restRoutes = []struct {
	name, method, path, body string
}{
	{"list", "GET", "/twins/TWIN", ""},
	{"delete all", "DELETE", "/twins/TWIN", ""},
	{"get", "GET", "/twins/TWIN/documents/NAME", ""},
	{"put", "PUT", "/twins/TWIN/documents/NAME", `{"data":{"alarm_armed":false}}`},
	{"patch", "PATCH", "/twins/TWIN/documents/NAME", `{"data":{"alarm_armed":false}}`},
	{"delete", "DELETE", "/twins/TWIN/documents/NAME", ""},
}

// TestRESTEachRouteRefuses has what each route refuses in the same words.
func TestRESTEachRouteRefuses(t *testing.T) {
	documents := docstore.NewMemory()
	h := newHub(t, documents).REST()
	put(t, documents, "desired", `{"alarm_armed":true}`)
	const (
		me  = string(panelID)
		dot = "a name that no URL can carry: choose another than . and .."
	)
	longName := strings.Repeat("n", 129)
	tests := []struct {
		name     string
		region   string // of the path
		twin     string
		document string
		header   []string
		status   int
		want     string
	}{
		{"no token", region, me, "desired", []string{"X-Auth-Token: "}, 401, badAPIKey},
		{"token that is no UUID", region, me, "desired", []string{"X-Auth-Token: secret"}, 401, badAPIKey},
		{"token in braces", region, me, "desired", []string{"X-Auth-Token: {" + token + "}"}, 401, badAPIKey},
		{"token without dashes", region, me, "desired", []string{"X-Auth-Token: " + strings.ReplaceAll(token, "-", "")}, 401, badAPIKey},
		{"token under another header", region, me, "desired", []string{"X-Auth-Token: ", "Authorization: Bearer " + token}, 401, badAPIKey},
		{"unknown token", region, me, "desired", []string{"X-Auth-Token: " + noToken}, 401, noAPIKey},
		{"session token", region, me, "desired", []string{"X-Auth-Token: ", "X-Session-Token: a.b.c"}, 401, noJWT},
		{"no token, and nothing else right", "/iot/v1/regions/x", "y", "$", []string{"X-Auth-Token: "}, 401, badAPIKey},
		{"other region", "/iot/v1/regions/nl-ams", me, "desired", nil, 400, invalid("region", "unknown", "this hub serves region fr-par")},
		{"other region, and nothing else right", "/iot/v1/regions/nl-ams", "y", "$", nil, 400, invalid("region", "unknown", "this hub serves region fr-par")},
		{"twin id that is no UUID", region, "panel", "desired", nil, 400, invalid("twin_id", "format", notAUUID)},
		{"twin id without dashes", region, strings.ReplaceAll(me, "-", ""), "desired", nil, 400, invalid("twin_id", "format", notAUUID)},
		{"me, which is for MQTT", region, "me", "desired", nil, 400, invalid("twin_id", "format", notAUUID)},
		{"unknown twin", region, otherID, "desired", nil, 404, noTwin},
		{"space in the name", region, me, "front%20door", nil, 400, invalid("document_name", "format", badName)},
		{"slash in the name", region, me, "a%2Fb", nil, 400, invalid("document_name", "format", badName)},
		{"name in another script", region, me, "t%C3%BCr", nil, 400, invalid("document_name", "format", badName)},
		{"name that is no UTF-8", region, me, "%ff", nil, 400, invalid("document_name", "format", badName)},
		{"NUL in the name", region, me, "a%00", nil, 400, invalid("document_name", "format", badName)},
		{"dot as a name", region, me, "%2e", nil, 400, invalid("document_name", "format", dot)},
		{"two dots as a name", region, me, "%2e%2e", nil, 400, invalid("document_name", "format", dot)},
		{"long name", region, me, longName, nil, 400, invalid("document_name", "constraint", "longer than 128 characters: choose a shorter name")},
		{"bad name in an unknown twin", region, otherID, "$", nil, 400, invalid("document_name", "format", badName)},
	}
	for _, route := range restRoutes {
		for _, tt := range tests {
			if !strings.Contains(route.path, "NAME") && tt.document != "desired" && tt.status == 400 && tt.region == region {
				continue // it has no name to refuse
			}
			t.Run(route.name+", "+tt.name, func(t *testing.T) {
				path := tt.region + strings.NewReplacer("TWIN", tt.twin, "NAME", tt.document).Replace(route.path)
				checkAnswer(t, call(h, route.method, path, route.body, tt.header...), tt.status, tt.want)
			})
		}
	}
	checkUntouched(t, documents)
}

// TestRESTRefusesMethods has the methods that a path doesn't know; no token is asked for.
func TestRESTRefusesMethods(t *testing.T) {
	documents := docstore.NewMemory()
	h := newHub(t, documents).REST()
	put(t, documents, "desired", `{"alarm_armed":true}`)
	tests := []struct {
		path, allow string
		methods     []string
	}{
		{panel, "DELETE, GET, HEAD, OPTIONS", []string{"POST", "PUT", "PATCH", "CONNECT", "TRACE", "BREW", "get"}},
		{document, "DELETE, GET, HEAD, OPTIONS, PATCH, PUT", []string{"POST", "CONNECT", "TRACE", "BREW", "put"}},
	}
	for _, tt := range tests {
		for _, method := range tt.methods {
			t.Run(method+" "+tt.path, func(t *testing.T) {
				answer := call(h, method, tt.path, `{"data":{}}`, "X-Auth-Token: ")
				if got := answer.Header.Get("Allow"); got != tt.allow {
					t.Errorf("header Allow: got %q, want %q", got, tt.allow)
				}
				checkAnswer(t, answer, 405, noMethod)
			})
		}
	}
	checkUntouched(t, documents)
}

// checkUntouched fails the test unless the only document is desired, as it was put.
func checkUntouched(t *testing.T, documents docstore.Store) {
	t.Helper()
	names, err := documents.List(t.Context(), panelID)
	if err != nil || len(names) != 1 {
		t.Fatalf("after all refusals: got documents %q and error %v, want one", names, err)
	}
	doc, err := documents.Get(t.Context(), docstore.Key{Twin: panelID, Name: "desired"})
	if err != nil || doc.Version != 1 || string(doc.Data) != `{"alarm_armed":true}` {
		t.Errorf("after all refusals: got version %d, data %s and error %v, want what was there", doc.Version, doc.Data, err)
	}
}
