package conformance

import (
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/twin"
)

const testID twin.ID = "0f9e8d7c-6b5a-4c3d-9e1f-0a1b2c3d4e5f"

// restServer answers every request alike and returns the twin there and the last request.
func restServer(t *testing.T, status int, answer string) (*RESTTwin, *http.Request) {
	t.Helper()
	last := new(http.Request)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*last = *r
		last.Body = io.NopCloser(strings.NewReader(string(body)))
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	return REST(server.URL+"/iot/v1/regions/fr-par/", "11111111-2222-3333-4444-555555555555", testID), last
}

// Bodies as recorded of the vendor's API, and as this project's hub sends them.
func TestRESTErrors(t *testing.T) {
	const details = `{"details":[{"argument_name":%A,"help_message":%H,"reason":%R}],"message":"invalid argument(s)","type":"invalid_arguments"}`
	invalid := func(argument, help, reason string) string {
		return strings.NewReplacer("%A", `"`+argument+`"`, "%H", `"`+help+`"`, "%R", `"`+reason+`"`).Replace(details)
	}
	tests := []struct {
		name   string
		status int
		answer string
		want   error
	}{
		{"missing document", 404, `{"message":"resource is not found","resource":"twin_document","resource_id":"d","type":"not_found"}`, twin.ErrDocumentNotFound},
		{"missing twin", 404, `{"message":"resource is not found","resource":"twin","resource_id":"x","type":"not_found"}`,
			&twin.RemoteError{Text: `404 Not Found: {"message":"resource is not found","resource":"twin","resource_id":"x","type":"not_found"}`}},
		{"unknown route", 404, `{"message":"Not Found"}`, &twin.RemoteError{Text: `404 Not Found: {"message":"Not Found"}`}},
		{"not permitted", 403, `{"details":[{"action":"read","resource":"twin"}],"message":"insufficient permissions","type":"permissions_denied"}`, twin.ErrPermissionDenied},
		{"quota", 403, `{"details":[],"message":"quota(s) exceeded","type":"quotas_exceeded"}`, twin.ErrTooManyDocuments},
		{"mismatch of our hub", 400, invalid("version", "expected version 5, actual version 2", "constraint"), &twin.VersionError{Expected: 5, Actual: 2}},
		{"mismatch of another hub", 400, invalid("version", "does not match", "constraint"), &twin.VersionError{Expected: 7}},
		{"bad version", 400, invalid("version", "not a number", "format"), &twin.InvalidError{Argument: "version", Reason: "format", Help: "not a number"}},
		{"bad data", 400, invalid("data", "too deep", "constraint"), &twin.InvalidError{Argument: "data", Reason: "constraint", Help: "too deep"}},
		{"no details", 400, `{"type":"invalid_arguments"}`, &twin.RemoteError{Text: `400 Bad Request: {"type":"invalid_arguments"}`}},
		{"wrong token", 401, `{"type":"denied_authentication"}`, &twin.RemoteError{Text: `401 Unauthorized: {"type":"denied_authentication"}`}},
		{"no JSON", 400, `<html>`, &twin.RemoteError{Text: `400 Bad Request: <html>`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rest, _ := restServer(t, tt.status, tt.answer)
			if _, err := rest.Put(t.Context(), "d", update(7, `{}`)); !reflect.DeepEqual(err, tt.want) {
				t.Errorf("error is %#v, want %#v", err, tt.want)
			}
		})
	}
}

// What is no refusal must not pass for one.
func TestRESTFailures(t *testing.T) {
	tests := []struct {
		name   string
		status int
		answer string
	}{
		{"hub fails", 500, `{"message":"internal error"}`},
		{"outcome unknown", 503, `{"message":"outcome unknown"}`},
		{"no document", 200, `[]`},
		{"no version", 200, `{"twin_id":"0f9e8d7c-6b5a-4c3d-9e1f-0a1b2c3d4e5f","document_name":"d","data":{}}`},
		{"another document", 200, `{"twin_id":"0f9e8d7c-6b5a-4c3d-9e1f-0a1b2c3d4e5f","document_name":"e","version":1,"data":{}}`},
		{"another twin", 200, `{"twin_id":"1f9e8d7c-6b5a-4c3d-9e1f-0a1b2c3d4e5f","document_name":"d","version":1,"data":{}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rest, _ := restServer(t, tt.status, tt.answer)
			_, err := rest.Put(t.Context(), "d", update(0, `{}`))
			if err == nil {
				t.Fatal("accepted")
			}
			failures := record(t.Logf, func(r reporter) { (&client{reporter: r}).invalid("data", twin.Document{}, err) })
			if len(failures) == 0 {
				t.Errorf("%v passes for a refusal", err)
			}
		})
	}
}

func TestRESTRequests(t *testing.T) {
	const document = `{"twin_id":"0f9e8d7c-6b5a-4c3d-9e1f-0a1b2c3d4e5f","document_name":%q,"version":1,"data":{}}`
	const base = "/iot/v1/regions/fr-par/twins/0f9e8d7c-6b5a-4c3d-9e1f-0a1b2c3d4e5f"
	tests := []struct {
		name               string
		call               func(*RESTTwin) error
		method, path, body string
	}{
		{"get", func(r *RESTTwin) error { _, err := r.Get(t.Context(), "d"); return err }, "GET", base + "/documents/d", ""},
		{"put", func(r *RESTTwin) error { _, err := r.Put(t.Context(), "d", update(0, `{"a":"<"}`)); return err }, "PUT", base + "/documents/d", `{"data":{"a":"<"}}`},
		{"patch", func(r *RESTTwin) error { _, err := r.Patch(t.Context(), "d", update(3, `{}`)); return err }, "PATCH", base + "/documents/d", `{"version":3,"data":{}}`},
		{"send", func(r *RESTTwin) error { _, err := r.Send(t.Context(), twin.Patch, "d", []byte("[")); return err }, "PATCH", base + "/documents/d", `[`},
		{"space", func(r *RESTTwin) error { return r.Delete(t.Context(), "a b%/c") }, "DELETE", base + "/documents/a%20b%25%2Fc", ""},
		{"dots", func(r *RESTTwin) error { return r.Delete(t.Context(), "..") }, "DELETE", base + "/documents/%2E%2E", ""},
		{"delete all", func(r *RESTTwin) error { return r.DeleteAll(t.Context()) }, "DELETE", base, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rest, last := restServer(t, 200, strings.ReplaceAll(document, "%q", `"d"`))
			if err := tt.call(rest); err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(last.Body)
			if last.Method != tt.method || last.RequestURI != tt.path || string(body) != tt.body {
				t.Errorf("sent %s %s %s, want %s %s %s", last.Method, last.RequestURI, body, tt.method, tt.path, tt.body)
			}
			if got := last.Header.Get("X-Auth-Token"); got != "11111111-2222-3333-4444-555555555555" {
				t.Errorf("token is %q", got)
			}
		})
	}
	t.Run("list", func(t *testing.T) {
		rest, _ := restServer(t, 200, `{"documents":[{"document_name":"a"},{"document_name":"_config"}]}`)
		if names, err := rest.List(t.Context()); err != nil || !reflect.DeepEqual(names, []twin.Name{"a", "_config"}) {
			t.Errorf("list is %q, %v", names, err)
		}
	})
}
