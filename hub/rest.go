package hub

import (
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"io"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/twinpanel/twinpanel/hub/metrics"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// restMaxBody is the longest body, in bytes: a document's limit is for compact JSON,
// and people indent theirs.
const restMaxBody = 512 << 10

// REST is the handler of /iot/v1/regions/{region}/…: what restRoutes lists, as the
// vendor's SDKs call it.
//
// Every answer is application/json, also one without a body, since those SDKs
// refuse others. Whoever shows no valid token gets it as the last one on his
// connection. Requests need no content type: the specification's own curl commands
// send their JSON as a form.
func (h *Hub) REST() http.Handler {
	mux := http.NewServeMux()
	methods := make(map[string][]string)
	for _, route := range h.restRoutes() {
		pattern := "/iot/v1/regions/{region}" + route.path
		mux.Handle(route.method+" "+pattern, h.serveRoute(route))
		methods[pattern] = append(methods[pattern], route.method)
	}
	for pattern, known := range methods {
		mux.Handle(pattern, otherMethods(known))
	}
	for path, handler := range map[string]http.Handler{
		"/healthz": http.HandlerFunc(healthz),
		"/readyz":  http.HandlerFunc(h.readyz),
		"/metrics": h.serveMetrics(),
	} {
		mux.Handle("GET "+path, handler)
		mux.Handle(path, otherMethods([]string{http.MethodGet}))
	}
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
	body := plainBody{"Not Found: paths here begin with /iot/v1/regions/" + h.region + "/"}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusNotFound, body)
	})
}

// otherMethods answers OPTIONS, and refuses what a path doesn't know.
func otherMethods(known []string) http.Handler {
	known = append(known, http.MethodOptions)
	if slices.Contains(known, http.MethodGet) {
		known = append(known, http.MethodHead)
	}
	slices.Sort(known)
	allow := strings.Join(known, ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", allow)
		if r.Method == http.MethodOptions {
			writeJSON(w, http.StatusNoContent, nil)
			return
		}
		writeJSON(w, http.StatusMethodNotAllowed, plainBody{"Method Not Allowed"})
	})
}

// serveRoute does what all calls have in common, in this order. Whoever has no token
// learns nothing but that.
func (h *Hub) serveRoute(route restRoute) http.Handler {
	serve := func(w http.ResponseWriter, r *http.Request) (any, error) {
		token, err := h.authenticate(r)
		if err != nil {
			return nil, err
		}
		w.Header().Del("Connection")
		if region := r.PathValue("region"); region != h.region {
			return nil, &twin.InvalidError{Argument: "region", Reason: "unknown", Help: "this hub serves region " + h.region}
		}
		request, err := route.request(token, r)
		if err != nil {
			return nil, err
		}
		if route.method != http.MethodGet && route.method != http.MethodDelete {
			if request.body, err = h.restBody(w, r); err != nil {
				return nil, err
			}
		}
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		return route.call(ctx, request)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, restMaxBody)
		answer, err := serve(w, r)
		if err != nil {
			status, body := restError(r, err)
			// A client that has gone away makes the store give up, which is no trouble.
			if status >= http.StatusInternalServerError && r.Context().Err() == nil && !errors.Is(err, errEnding) {
				device := cmp.Or(r.PathValue("twin_id"), r.PathValue("device_id"))
				h.log.error(device, "request failed", "method", r.Method, "path", route.path, "device", shortID(twin.ID(device)),
					"document", r.PathValue("document_name"), "request_id", w.Header().Get("X-Request-Id"), "error", err)
			}
			if e, ok := errors.AsType[*waitError](err); ok {
				w.Header().Set("Retry-After", strconv.Itoa(e.seconds()))
			}
			h.metrics.Answer(status)
			writeJSON(w, status, body)
			return
		}
		status := http.StatusOK
		if answer == nil {
			status = http.StatusNoContent
		}
		h.metrics.Answer(status)
		writeJSON(w, status, answer)
	})
}

// authenticate finds the token in X-Auth-Token. X-Session-Token is where the
// vendor's SDKs put a JWT; this hub issues none, and its refusal says so.
func (h *Hub) authenticate(r *http.Request) (registry.Token, error) {
	if wait := h.logins.wait(r.RemoteAddr); wait > 0 {
		h.metrics.FailedLogin(metrics.REST, false)
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
		h.metrics.FailedLogin(metrics.REST, true)
		return registry.Token{}, &authError{"api_key", "not_found"}
	case err != nil:
		return registry.Token{}, err
	case subtle.ConstantTimeCompare(hash[:], token.Hash[:]) != 1:
		return registry.Token{}, &authError{"api_key", "not_found"}
	}
	h.seen.token(token.Name)
	return token, nil
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
