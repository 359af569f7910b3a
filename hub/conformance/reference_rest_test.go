package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/twinpanel/twinpanel/twin"
)

// The reference's device and its tokens.
const (
	referenceID       = twin.ID("abcdef00-0000-4000-8000-000000000001")
	referenceToken    = "abcdef00-0000-4000-8000-00000000000a"
	referenceReadOnly = "abcdef00-0000-4000-8000-00000000000b"
)

// rest is the reference over REST, without a network.
func (r *reference) rest() *RESTTwin {
	t := REST("http://reference", referenceToken, referenceID)
	t.ReadOnly = referenceReadOnly
	t.Client = &http.Client{Transport: roundTrip(func(request *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		r.serve(w, request)
		return w.Result(), nil
	})}
	return t
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// serve answers a REST request.
func (r *reference) serve(w http.ResponseWriter, request *http.Request) {
	status, body := r.answer(request)
	kind := "application/json"
	if status >= 400 && r.is("REST: errors are plain text") {
		kind = "text/plain"
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	if request.Method != "HEAD" {
		io.WriteString(w, body)
	}
}

func (r *reference) answer(request *http.Request) (status int, body string) {
	path := strings.Split(strings.TrimPrefix(request.URL.Path, "/"), "/")
	method := request.Method
	switch {
	case method == "POST" && r.is("REST: a POST is a PUT"):
		method = "PUT"
	case method == "HEAD" && !r.is("REST: HEAD is unknown"):
		method = "GET"
	}
	isTwin, isDocument := len(path) == 2, len(path) == 4 && path[2] == "documents"
	switch {
	case !isTwin && !isDocument && r.is("REST: every path is a list"):
		return 200, `{"documents":[]}`
	case !isTwin && !isDocument:
		return 404, `{"message":"Not Found: paths here begin with /iot/v1/regions/fr-par/"}`
	case method == "POST", method == "HEAD", isTwin && (method == "PUT" || method == "PATCH"):
		return 405, `{"message":"Method Not Allowed"}`
	}
	token := request.Header.Get("X-Auth-Token")
	if status, body := r.authenticate(token, request.Header.Get("X-Session-Token"), method); status != 0 {
		return status, body
	}
	id, err := twin.ParseID(path[1])
	switch {
	case err != nil && !r.is("REST: every twin exists"):
		return r.failure(err, "")
	case id != referenceID && !r.is("REST: every twin exists"):
		return 404, missingBody("twin", path[1])
	case isTwin && method == "GET":
		return r.listing(request.Context())
	case isTwin:
		return r.failure(r.DeleteAll(request.Context()), "")
	}
	return r.document(request, method, twin.Name(path[3]))
}

// authenticate answers who may not, with a status of 0 for who may.
func (r *reference) authenticate(token, session, method string) (status int, body string) {
	switch {
	case r.is("REST: no token is needed"):
		return 0, ""
	case token == "" && session != "":
		return 401, deniedBody("jwt", "invalid_argument")
	case len(token) != len(referenceToken):
		return 401, deniedBody("api_key", "invalid_argument")
	case token == referenceReadOnly && method != "GET" && !r.is("REST: every token writes"):
		return 403, `{"details":[{"action":"write","resource":"twin_document"}],"message":"insufficient permissions","type":"permissions_denied"}`
	case token != referenceReadOnly && token != referenceToken:
		return 401, deniedBody("api_key", "not_found")
	}
	return 0, ""
}

func (r *reference) listing(ctx context.Context) (status int, body string) {
	names, err := r.List(ctx)
	if err != nil {
		return r.failure(err, "")
	}
	entries := make([]string, len(names))
	for i, name := range names {
		entries[i] = fmt.Sprintf(`{"document_name":%q}`, name)
		if r.is("REST: a list has versions") {
			entries[i] = fmt.Sprintf(`{"document_name":%q,"version":1}`, name)
		}
	}
	return 200, `{"documents":[` + strings.Join(entries, ",") + `]}`
}

func (r *reference) document(request *http.Request, method string, name twin.Name) (status int, body string) {
	payload, err := io.ReadAll(request.Body)
	if err != nil {
		return 400, err.Error()
	}
	var doc twin.Document
	switch {
	case len(payload) > 512<<10 && !r.is("REST: a body can have any length"):
		return 413, invalidBody("body", "constraint", "longer than 524288 bytes")
	case method == "DELETE":
		return r.failure(r.Delete(request.Context(), name), name)
	case method == "GET":
		doc, err = r.Get(request.Context(), name)
	case r.is("REST: a form is refused") && strings.Contains(request.Header.Get("Content-Type"), "form"):
		return 415, `{}`
	default:
		doc, err = r.Send(request.Context(), twin.Method(strings.ToLower(method)), name, payload)
	}
	if err != nil {
		return r.failure(err, name)
	}
	status = 200
	if r.is("REST: a document that is made is 201") && doc.Version == 1 && method == "PUT" {
		status = 201
	}
	more := ""
	if r.is("REST: a document says when it was changed") {
		more = `,"updated_at":"2026-11-21T20:00:00Z"`
	}
	quoted, _ := json.Marshal(name)
	return status, fmt.Sprintf(`{"twin_id":%q,"document_name":%s,"version":%d,"data":%s%s}`, referenceID, quoted, doc.Version, doc.Data, more)
}

// failure is the answer to a request that failed, or, without an error, to one that has nothing to say.
func (r *reference) failure(err error, name twin.Name) (status int, body string) {
	if err == nil {
		return 204, ""
	}
	if e, ok := errors.AsType[*twin.VersionError](err); ok {
		switch {
		case r.is("REST: a mismatch is a conflict"):
			return 409, `{"type":"transient_state"}`
		case r.is("REST: a mismatch names no versions"):
			return 400, invalidBody("version", "constraint", "does not match")
		}
		return 400, invalidBody("version", "constraint", fmt.Sprintf("expected version %d, actual version %d", e.Expected, e.Actual))
	}
	if e, ok := errors.AsType[*twin.InvalidError](err); ok {
		status := 400
		if r.is("REST: a refusal is 422") {
			status = 422
		}
		help := e.Help
		if e.Place != "" && e.Place != e.Argument {
			help = e.Place + ": " + help
		}
		return status, invalidBody(e.Argument, e.Reason, help)
	}
	switch {
	case errors.Is(err, twin.ErrDocumentNotFound) && r.is("REST: a document is a resource"):
		return 404, missingBody("resource", string(name))
	case errors.Is(err, twin.ErrDocumentNotFound):
		return 404, missingBody("twin_document", string(name))
	case errors.Is(err, twin.ErrTooManyDocuments):
		return 403, `{"details":[{"current":100,"quota":100,"resource":"twin_documents"}],"message":"quota(s) exceeded","type":"quotas_exceeded"}`
	}
	return 403, `{"type":"permissions_denied"}`
}
