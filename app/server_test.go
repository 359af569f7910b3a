package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A fakeHouse shows what it is told, and takes wishes.
type fakeHouse struct {
	mu      sync.Mutex
	view    View
	fail    error // of the next wishes
	deaf    bool  // wishes get no answer
	wishes  []Wish
	viewers map[chan struct{}]bool
}

func (h *fakeHouse) View() View {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.view
}

func (h *fakeHouse) Join() (<-chan struct{}, func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	changed := make(chan struct{}, 1)
	if h.viewers == nil {
		h.viewers = map[chan struct{}]bool{}
	}
	h.viewers[changed] = true
	return changed, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.viewers, changed)
	}
}

func (h *fakeHouse) Wish(ctx context.Context, armed bool, by string) error {
	if h.deaf {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fail != nil {
		return h.fail
	}
	w := Wish{Armed: armed, By: by, Outcome: Waiting}
	h.wishes, h.view.Wish = append(h.wishes, w), &w
	return nil
}

// show changes the view.
func (h *fakeHouse) show(v View) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.view = v
	for changed := range h.viewers {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
}

func (h *fakeHouse) watched() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.viewers)
}

func newTestServer(t *testing.T, c ServerConfig) http.Handler {
	t.Helper()
	if c.House == nil {
		c.House = &fakeHouse{}
	}
	s, err := NewServer(c)
	if err != nil {
		t.Fatal(err)
	}
	return s.Handler()
}

// A visit is a request as a browser on this computer makes it, with what a test changes.
type visit struct {
	method, path, body string
	from               string            // address; empty = 127.0.0.1
	host               string            // empty = localhost:8090
	header             map[string]string // "" takes one out
}

func (v visit) do(h http.Handler) *httptest.ResponseRecorder {
	r := httptest.NewRequest(v.method, v.path, strings.NewReader(v.body))
	r.RemoteAddr, r.Host = "127.0.0.1:50000", "localhost:8090"
	if v.from != "" {
		r.RemoteAddr = v.from + ":50000"
	}
	if v.host != "" {
		r.Host = v.host
	}
	if v.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for k, value := range v.header {
		r.Header.Set(k, value)
		if value == "" {
			r.Header.Del(k)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// wantRefusal checks that an answer is a refusal with this status and code.
func wantRefusal(t *testing.T, w *httptest.ResponseRecorder, status int, code string) {
	t.Helper()
	var got refusal
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != status || got.Code != code || got.Text == "" {
		t.Errorf("got %d %s, want %d with error %q and a text", w.Code, w.Body, status, code)
	}
}

func TestNewServerNeedsAHouse(t *testing.T) {
	if _, err := NewServer(ServerConfig{}); err == nil {
		t.Error("got no error")
	}
}

// Without a passphrase only this computer may ask, and only as itself: neither a page that found its way here under a name
// of its own (DNS rebinding), nor somebody else, nor a proxy that somebody put before it.
func TestServerWithoutPassphrase(t *testing.T) {
	for _, tt := range []struct {
		name    string
		host    string
		from    string
		header  map[string]string
		allowed bool
	}{
		{"a name that leads here", "attacker.example", "", nil, false},
		{"with a port", "attacker.example:8090", "", nil, false},
		{"a name that begins well", "localhost.attacker.example:8090", "", nil, false},
		{"a name that begins as an address", "127.0.0.1.attacker.example", "", nil, false},
		{"a private address", "192.168.1.20:8090", "", nil, false},
		{"every address", "0.0.0.0:8090", "", nil, false},
		{"a given name", "alarm.example.org", "", nil, false},
		{"nonsense", "[::1", "192.0.2.7", nil, false},
		{"another computer", "", "192.0.2.7", nil, false},
		{"another computer with IPv6", "", "[2001:db8::7]", nil, false},
		{"a proxy", "", "", map[string]string{"X-Forwarded-For": "192.0.2.7"}, false},
		{"a proxy that hides its client", "", "", map[string]string{"Forwarded": "for=unknown"}, false},
		{"a proxy that tells something else of it", "", "", map[string]string{"X-Real-Ip": "192.0.2.7"}, false},
		{"a proxy that tells how it was asked", "", "", map[string]string{"X-Forwarded-Proto": "https"}, false},
		{"a proxy that tells of itself", "", "", map[string]string{"Via": "1.1 proxy"}, false},
		{"localhost", "localhost:8090", "", nil, true},
		{"capitals and a dot", "LocalHost.:8090", "", nil, true},
		{"without a port", "localhost", "", nil, true},
		{"a name of its own", "alarm.localhost:8090", "", nil, true},
		{"IPv4", "127.0.0.1:8090", "", nil, true},
		{"another of IPv4", "127.8.8.8", "", nil, true},
		{"IPv6", "[::1]:8090", "[::1]", nil, true},
		{"IPv6 without a port", "[::1]", "[::1]", nil, true},
		{"IPv4 in IPv6", "localhost", "[::ffff:127.0.0.1]", nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newTestServer(t, ServerConfig{Names: []string{"alarm.example.org"}})
			for _, path := range []string{"/", "/api/nothing"} {
				w := visit{method: "GET", path: path, host: tt.host, from: tt.from, header: tt.header}.do(h)
				if !tt.allowed {
					wantRefusal(t, w, http.StatusForbidden, "forbidden")
				} else if w.Code == http.StatusForbidden {
					t.Errorf("%s: got %d %s", path, w.Code, w.Body)
				}
			}
		})
	}
}

func TestServerRefusesOtherSites(t *testing.T) {
	for _, tt := range []struct {
		name         string
		method, path string
		header       map[string]string
		allowed      bool
	}{
		{"a wish of another site", "POST", "/api/wish", map[string]string{"Sec-Fetch-Site": "cross-site"}, false},
		{"a wish of a neighbour", "POST", "/api/wish", map[string]string{"Sec-Fetch-Site": "same-site"}, false},
		{"a wish of an origin, in an old browser", "POST", "/api/wish", map[string]string{"Sec-Fetch-Site": "", "Origin": "https://attacker.example"}, false},
		{"a wish of no origin, in an old browser", "POST", "/api/wish", map[string]string{"Sec-Fetch-Site": "", "Origin": "null"}, false},
		{"a look of another site", "GET", "/api/stream", map[string]string{"Sec-Fetch-Site": "cross-site"}, false},
		{"a look of a neighbour", "HEAD", "/api/stream", map[string]string{"Sec-Fetch-Site": "same-site"}, false},
		{"a wish of the page", "POST", "/api/wish", nil, true},
		{"a wish of the page, in an old browser", "POST", "/api/wish", map[string]string{"Sec-Fetch-Site": "", "Origin": "http://localhost:8090"}, true},
		{"a wish of no browser", "POST", "/api/wish", map[string]string{"Sec-Fetch-Site": ""}, true},
		{"a link to the page", "GET", "/", map[string]string{"Sec-Fetch-Site": "cross-site"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			house := &fakeHouse{}
			v := visit{method: tt.method, path: tt.path, header: tt.header}
			if tt.method == "POST" {
				v.body = `{"armed":true}`
			}
			w := v.do(newTestServer(t, ServerConfig{House: house}))
			switch {
			case tt.allowed && w.Code != http.StatusOK:
				t.Errorf("got %d %s, want it done", w.Code, w.Body)
			case !tt.allowed && len(house.wishes) > 0:
				t.Errorf("got wishes %v", house.wishes)
			case !tt.allowed:
				wantRefusal(t, w, http.StatusForbidden, "forbidden")
			}
		})
	}
}

func TestServerRefusesBodies(t *testing.T) {
	for _, tt := range []struct{ name, contentType, body string }{
		{"none", "application/json", ""},
		{"no type", "", `{"armed":true}`},
		{"a form", "application/x-www-form-urlencoded", `{"armed":true}`},
		{"text", "text/plain", `{"armed":true}`},
		{"a type that is none", "application/json; x", `{"armed":true}`},
		{"no object", "application/json", `true`},
		{"null", "application/json", `null`},
		{"an array", "application/json", `[{"armed":true}]`},
		{"half of it", "application/json", `{"armed":tr`},
		{"without the key", "application/json", `{}`},
		{"the key with null", "application/json", `{"armed":null}`},
		{"text for a boolean", "application/json", `{"armed":"true"}`},
		{"a number for a boolean", "application/json", `{"armed":1}`},
		{"a number for a name", "application/json", `{"armed":true,"name":7}`},
		{"a key too many", "application/json", `{"armed":true,"force":true}`},
		{"something behind it", "application/json", `{"armed":true}{"armed":false}`},
		{"an end too many", "application/json", `{"armed":true}}`},
		{"too long", "application/json", `{"armed":true,"name":"` + strings.Repeat("a", maxBody) + `"}`},
		{"too long behind it", "application/json", `{"armed":true}` + strings.Repeat(" ", maxBody)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			house := &fakeHouse{}
			w := visit{method: "POST", path: "/api/wish", body: tt.body, header: map[string]string{"Content-Type": tt.contentType}}.do(newTestServer(t, ServerConfig{House: house}))
			wantRefusal(t, w, http.StatusBadRequest, "bad_request")
			if len(house.wishes) > 0 {
				t.Errorf("got wishes %v", house.wishes)
			}
		})
	}
}

func TestServerTakesWishes(t *testing.T) {
	for _, tt := range []struct{ name, body, by, want string }{
		{"arm", `{"armed":true}`, "", `{"wish":{"armed":true,"at":"0001-01-01T00:00:00Z","age_ms":0,"outcome":"waiting"}}`},
		{"disarm with a name", `{"armed":false,"name":"Anna"}`, "Anna", `{"wish":{"armed":false,"by":"Anna","at":"0001-01-01T00:00:00Z","age_ms":0,"outcome":"waiting"}}`},
		{"a name with spaces", `{"armed":true,"name":" An  na\n"}`, "An na", `"by":"An na"`},
		{"what can't be a name", `{"armed":false,"name":"\u202eAnna"}`, "", `{"wish":{"armed":false,"at":`},
		{"spaces", " {\"armed\" : true} \r\n", "", `"armed":true`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			house := &fakeHouse{}
			w := visit{method: "POST", path: "/api/wish", body: tt.body, header: map[string]string{"Content-Type": "application/json; charset=utf-8"}}.do(newTestServer(t, ServerConfig{House: house}))
			if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), tt.want) || len(house.wishes) != 1 || house.wishes[0].By != tt.by {
				t.Errorf("got %d %s and wishes %v, want %s by %q", w.Code, w.Body, house.wishes, tt.want, tt.by)
			}
		})
	}
}

func TestServerSaysWhyAWishFailed(t *testing.T) {
	for _, tt := range []struct {
		fail   error
		status int
		code   string
	}{
		{&HubError{Why: WhyUnreachable, Text: "the hub can't be reached"}, http.StatusBadGateway, "hub_away"},
		{&HubError{Why: WhySlow, Text: "the hub is slow"}, http.StatusBadGateway, "hub_away"},
		{&HubError{Why: WhyNonsense, Text: "this is no hub"}, http.StatusBadGateway, "hub_away"},
		{&HubError{Why: WhyDenied, Text: "the token opens nothing"}, http.StatusBadGateway, "hub_refused"},
		{fmt.Errorf("asking: %w", &HubError{Why: WhyRefused, Text: "the hub refuses"}), http.StatusBadGateway, "hub_refused"},
		{ErrTooManyWishes, http.StatusServiceUnavailable, "too_busy"},
		{ErrEnding, http.StatusServiceUnavailable, "too_busy"},
		{errors.New("it broke"), http.StatusInternalServerError, "failed"},
	} {
		w := visit{method: "POST", path: "/api/wish", body: `{"armed":true}`}.do(newTestServer(t, ServerConfig{House: &fakeHouse{fail: tt.fail}}))
		wantRefusal(t, w, tt.status, tt.code)
		if !strings.Contains(w.Body.String(), tt.fail.Error()) {
			t.Errorf("got %s, want the reason %q", w.Body, tt.fail)
		}
	}
}

func TestServerSaysThatAWishHasNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, start := newTestServer(t, ServerConfig{House: &fakeHouse{deaf: true}}), time.Now()
		w := visit{method: "POST", path: "/api/wish", body: `{"armed":true}`}.do(h)
		wantRefusal(t, w, http.StatusBadGateway, "hub_away")
		if took := time.Since(start); took != wishTime || !strings.Contains(w.Body.String(), errNoAnswer.Text) {
			t.Errorf("got %s after %v", w.Body, took)
		}
	})
}

func TestServerAnswersWithPolicy(t *testing.T) {
	want := map[string]string{
		"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; " +
			"frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
		"X-Content-Type-Options":       "nosniff",
		"Referrer-Policy":              "no-referrer",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Strict-Transport-Security":    "",
	}
	h := newTestServer(t, ServerConfig{})
	for _, v := range []visit{
		{method: "GET", path: "/"},
		{method: "GET", path: "/nosuch.js"},
		{method: "GET", path: "/api/nothing"},
		{method: "PUT", path: "/api/wish", body: "{}"},
		{method: "POST", path: "/api/wish", body: "{"},
		{method: "GET", path: "/", host: "attacker.example"},
		{method: "POST", path: "/api/wish", header: map[string]string{"Sec-Fetch-Site": "cross-site"}},
	} {
		w := v.do(h)
		for _, name := range slices.Sorted(maps.Keys(want)) {
			if got := w.Header().Get(name); got != want[name] {
				t.Errorf("%s %s: %s: got %q, want %q", v.method, v.path, name, got, want[name])
			}
		}
		if strings.HasPrefix(v.path, "/api/") && w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s may be stored", v.method, v.path)
		}
	}
}

func TestServerMayBeFramedByItsOwn(t *testing.T) {
	w := visit{method: "GET", path: "/"}.do(newTestServer(t, ServerConfig{Framed: true}))
	if got := w.Header().Get("Content-Security-Policy"); !strings.Contains(got, "frame-ancestors 'self';") {
		t.Errorf("got the policy %q", got)
	}
}

func TestServerAnswersInJSONWhereNothingIs(t *testing.T) {
	h := newTestServer(t, ServerConfig{})
	for _, v := range []visit{
		{method: "GET", path: "/api/"},
		{method: "GET", path: "/api/nothing"},
		{method: "GET", path: "/api/wish"},
		{method: "POST", path: "/api/stream", body: "{}"},
	} {
		wantRefusal(t, v.do(h), http.StatusNotFound, "bad_request")
	}
}

func TestServerUnderAPrefix(t *testing.T) {
	h := http.StripPrefix("/app", newTestServer(t, ServerConfig{}))
	if w := (visit{method: "GET", path: "/app/"}).do(h); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "<html") {
		t.Errorf("page: got %d %s", w.Code, w.Body)
	}
	if w := (visit{method: "POST", path: "/app/api/wish", body: `{"armed":true}`}).do(h); w.Code != http.StatusOK {
		t.Errorf("wish: got %d %s", w.Code, w.Body)
	}
}
