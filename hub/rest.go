package hub

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// restMaxBody is the longest body, in bytes: a document's limit is for compact JSON,
// and people indent theirs.
const restMaxBody = 512 << 10

// Paths of the REST API.
const (
	restTwin     = "/iot/v1/regions/{region}/twins/{twin_id}"
	restDocument = restTwin + "/documents/{document_name}"
)

// REST is the handler of /iot/v1/regions/{region}/twins/…: list, get, put, patch,
// delete and delete all, as the vendor's SDKs call them.
//
// Every answer is application/json, also one without a body, since those SDKs
// refuse others. Whoever shows no valid token gets it as the last one on his
// connection. Requests need no content type: the specification's own curl commands
// send their JSON as a form.
func (h *Hub) REST() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+restTwin, h.route(h.restList))
	mux.Handle("DELETE "+restTwin, h.route(h.restDeleteAll))
	mux.Handle(restTwin, otherMethods("DELETE, GET, HEAD, OPTIONS"))
	mux.Handle("GET "+restDocument, h.route(h.restDo(twin.Get)))
	mux.Handle("PUT "+restDocument, h.route(h.restDo(twin.Put)))
	mux.Handle("PATCH "+restDocument, h.route(h.restDo(twin.Patch)))
	mux.Handle("DELETE "+restDocument, h.route(h.restDelete))
	mux.Handle(restDocument, otherMethods("DELETE, GET, HEAD, OPTIONS, PATCH, PUT"))
	unknown := h.unknownRoute()
	mux.Handle("/", unknown)

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("X-Request-Id", uuid.NewString())
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		header.Set("Cache-Control", "no-store")
		header.Set("Connection", "close") // a stranger must not keep one of few
		// ServeMux would redirect a path such as a//b, and clients turn a
		// redirected PUT into a GET.
		if p := r.URL.EscapedPath(); path.Clean(p) != p {
			unknown.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// unknownRoute refuses a path that leads nowhere. Most often its beginning is missing.
func (h *Hub) unknownRoute() http.Handler {
	body := plainBody{"Not Found: paths here begin with /iot/v1/regions/" + h.region + "/twins/"}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusNotFound, body)
	})
}

// otherMethods answers OPTIONS, and refuses what a path doesn't know.
func otherMethods(allow string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", allow)
		if r.Method == http.MethodOptions {
			writeJSON(w, http.StatusNoContent, nil)
			return
		}
		writeJSON(w, http.StatusMethodNotAllowed, plainBody{"Method Not Allowed"})
	})
}

// A restCall answers one kind of request; an answer of nil is 204.
type restCall func(w http.ResponseWriter, r *http.Request, id twin.ID) (answer any, err error)

// route does what all calls have in common. Whoever has no token learns nothing
// but that.
func (h *Hub) route(call restCall) http.Handler {
	serve := func(w http.ResponseWriter, r *http.Request) (any, error) {
		token, err := h.authenticate(r)
		if err != nil {
			return nil, err
		}
		w.Header().Del("Connection")
		if region := r.PathValue("region"); region != h.region {
			return nil, &twin.InvalidError{Argument: "region", Reason: "unknown", Help: "this hub serves region " + h.region}
		}
		id, err := twin.ParseID(r.PathValue("twin_id"))
		if err != nil {
			return nil, err
		}
		if err := permit(token, r, id); err != nil {
			return nil, err
		}
		return call(w, r, id)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, restMaxBody)
		answer, err := serve(w, r)
		if err != nil {
			status, body := restError(r, err)
			// A client that has gone away makes the store give up, which is no trouble.
			if status >= http.StatusInternalServerError && r.Context().Err() == nil && !errors.Is(err, errEnding) {
				device := r.PathValue("twin_id")
				h.log.error(device, "request failed", "method", r.Method, "device", shortID(twin.ID(device)), "document", r.PathValue("document_name"),
					"request_id", w.Header().Get("X-Request-Id"), "error", err)
			}
			writeJSON(w, status, body)
			return
		}
		status := http.StatusOK
		if answer == nil {
			status = http.StatusNoContent
		}
		writeJSON(w, status, answer)
	})
}

// authenticate finds the token in X-Auth-Token. X-Session-Token is where the
// vendor's SDKs put a JWT; this hub issues none, and its refusal says so.
func (h *Hub) authenticate(r *http.Request) (registry.Token, error) {
	if wait := h.logins.wait(r.RemoteAddr); wait > 0 {
		return registry.Token{}, &waitError{wait}
	}
	secret := r.Header.Get("X-Auth-Token")
	if secret == "" && r.Header.Get("X-Session-Token") != "" {
		return registry.Token{}, &authError{"jwt", "invalid_argument"}
	}
	if _, err := uuid.Parse(secret); err != nil || len(secret) != len(uuid.Nil.String()) {
		return registry.Token{}, &authError{"api_key", "invalid_argument"}
	}
	hash := registry.HashSecret(strings.ToLower(secret))
	token, err := h.registry.TokenByHash(r.Context(), hash)
	switch {
	case errors.Is(err, registry.ErrNoToken):
		h.logins.failed(r.RemoteAddr, hash)
		return registry.Token{}, &authError{"api_key", "not_found"}
	case err != nil:
		return registry.Token{}, fmt.Errorf("reading token: %w", err)
	case subtle.ConstantTimeCompare(hash[:], token.Hash[:]) != 1:
		return registry.Token{}, &authError{"api_key", "not_found"}
	}
	h.seen.token(token.Name)
	return token, nil
}

// permit holds a token's scope against a request. A token for one twin gets the same
// refusal for every other, whether there is such a twin or not.
func permit(token registry.Token, r *http.Request, id twin.ID) error {
	denied := &permissionError{action: "write", resource: "twin_document"}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		denied.action = "read"
	}
	if r.PathValue("document_name") == "" {
		denied.resource = "twin"
	}
	if token.ReadOnly && denied.action == "write" || token.Device != "" && token.Device != id {
		return denied
	}
	return nil
}

// A restAnswer is a document as REST shows it: with its names.
type restAnswer struct {
	Twin     twin.ID         `json:"twin_id"`
	Document twin.Name       `json:"document_name"`
	Version  uint32          `json:"version"`
	Data     json.RawMessage `json:"data"`
}

type restName struct {
	Document twin.Name `json:"document_name"`
}

type restListAnswer struct {
	Documents []restName `json:"documents"`
}

func (h *Hub) restList(_ http.ResponseWriter, r *http.Request, id twin.ID) (any, error) {
	names, err := h.list(r.Context(), id)
	if err != nil {
		return nil, err
	}
	answer := restListAnswer{Documents: make([]restName, len(names))}
	for i, name := range names {
		answer.Documents[i].Document = name
	}
	return answer, nil
}

func (h *Hub) restDo(m twin.Method) restCall {
	return func(w http.ResponseWriter, r *http.Request, id twin.ID) (any, error) {
		name, err := twin.ParseName(r.PathValue("document_name"))
		if err != nil {
			return nil, err
		}
		var payload []byte
		if m != twin.Get {
			if payload, err = h.restBody(w, r); err != nil {
				return nil, err
			}
		}
		doc, err := h.Do(r.Context(), id, name, m, payload)
		if err != nil {
			return nil, err
		}
		return restAnswer{id, name, doc.Version, doc.Data}, nil
	}
}

// restBody reads a body, but waits for none when the hub is closed.
func (h *Hub) restBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	stay := context.AfterFunc(h.rest.closing, func() {
		// Where this cannot be done, the body has its ordinary time.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now())
	})
	body, err := io.ReadAll(r.Body)
	switch {
	case !stay():
		return nil, errEnding
	case err != nil:
		return nil, &bodyError{err}
	}
	return body, nil
}

func (h *Hub) restDelete(_ http.ResponseWriter, r *http.Request, id twin.ID) (any, error) {
	name, err := twin.ParseName(r.PathValue("document_name"))
	if err != nil {
		return nil, err
	}
	return nil, h.delete(r.Context(), id, name)
}

func (h *Hub) restDeleteAll(_ http.ResponseWriter, r *http.Request, id twin.ID) (any, error) {
	return nil, h.deleteAll(r.Context(), id)
}
