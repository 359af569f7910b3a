package simulator

import (
	"cmp"
	"context"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/internal/sse"
)

func request(h http.Handler, method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestAPI(t *testing.T) {
	const want = `{"error":"want either {\"open\":true|false} or {\"fault\":true|false}"}`
	tests := []struct {
		name, method, path, body string
		status                   int
		answer                   string // "" = not looked at
	}{
		{"empty body", "PUT", "/api/house/door", ``, 400, `{"error":"body is not understood: it is empty"}`},
		{"no JSON", "PUT", "/api/house/door", `open`, 400, ""},
		{"half of it", "PUT", "/api/house/door", `{"open":tr`, 400, ""},
		{"array", "PUT", "/api/house/door", `[]`, 400, ""},
		{"nothing asked", "PUT", "/api/house/door", `{}`, 400, want},
		{"null", "PUT", "/api/house/door", `{"open":null}`, 400, want},
		{"both", "PUT", "/api/house/door", `{"open":true,"fault":true}`, 400, want},
		{"word", "PUT", "/api/house/door", `{"open":"true"}`, 400, ""},
		{"number", "PUT", "/api/house/door", `{"open":1}`, 400, ""},
		{"unknown key", "PUT", "/api/house/door", `{"closed":true}`, 400, `{"error":"body is not understood: json: unknown field \"closed\""}`},
		{"more than one", "PUT", "/api/house/door", `{"open":true}{"open":false}`, 400, `{"error":"body is not understood: something follows the JSON object"}`},
		{"endless", "PUT", "/api/house/door", `{"open":` + strings.Repeat(" ", 2000) + `true}`, 413, ""},
		{"unknown door", "PUT", "/api/house/doors/window", `{"open":true}`, 404, `{"error":"door \"window\": this house has no such door"}`},
		{"wrong method", "POST", "/api/house/door", `{"open":true}`, 405, ""},
		{"wrong path", "GET", "/api", ``, 404, ""},
		{"file that is not there", "GET", "/page/index.html", ``, 404, ""},

		{"nothing of the above moved the door", "GET", "/api/house", ``, 200, `{"door_open":false,"siren_on":false}`},
		{"opened", "PUT", "/api/house/door", `{"open":true}`, 200, `{"door_open":true,"siren_on":false}`},
		{"looked at", "GET", "/api/house", ``, 200, `{"door_open":true,"siren_on":false}`},
		{"broken", "PUT", "/api/house/door", `{"fault":true}`, 200, `{"door_open":true,"siren_on":false,"fault":true}`},
		{"repaired", "PUT", "/api/house/door", `{"fault":false}`, 200, `{"door_open":true,"siren_on":false}`},
		{"broken by name", "PUT", "/api/house/doors/door", `{"fault":true}`, 200, `{"door_open":true,"siren_on":false,"fault":true}`},
		{"closed and repaired", "PUT", "/api/house/doors/door", ` {"open":false} `, 200, `{"door_open":false,"siren_on":false}`},
	}
	handler := newHouse(t, Config{}).Handler()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := request(handler, tt.method, tt.path, tt.body)
			got := strings.TrimSpace(w.Body.String())
			if w.Code != tt.status || tt.answer != "" && got != tt.answer {
				t.Errorf("%s %s %s: %d %s; want %d %s", tt.method, tt.path, tt.body, w.Code, got, tt.status, tt.answer)
			}
		})
	}
}

func TestAPIWithSeveralDoors(t *testing.T) {
	h := newHouse(t, Config{Doors: []string{"front", "back"}})
	siren, _ := h.OpenSiren()
	siren.Set(true)
	handler := h.Handler()
	for _, step := range []struct{ path, body, want string }{
		{"/api/house/door", `{"open":true}`, `{"door_open":true,"siren_on":true,"doors":{"back":{"open":false},"front":{"open":true}}}`},
		{"/api/house/doors/front", `{"open":false}`, `{"door_open":false,"siren_on":true,"doors":{"back":{"open":false},"front":{"open":false}}}`},
		{"/api/house/doors/back", `{"fault":true}`, `{"door_open":false,"siren_on":true,"fault":true,"doors":{"back":{"open":false,"fault":true},"front":{"open":false}}}`},
	} {
		if got := strings.TrimSpace(request(handler, "PUT", step.path, step.body).Body.String()); got != step.want {
			t.Errorf("PUT %s %s: %s; want %s", step.path, step.body, got, step.want)
		}
	}
}

func TestOtherSitesCannotMoveTheDoor(t *testing.T) {
	h := newHouse(t, Config{})
	for _, header := range [][]string{
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"},
		{"Origin", "https://elsewhere.example"},
	} {
		if w := request(h.Handler(), "PUT", "/api/house/door", `{"open":true}`, header...); w.Code != 403 {
			t.Errorf("%v: %d; want 403", header, w.Code)
		}
	}
	if w := request(h.Handler(), "PUT", "/api/house/door", `{"open":true}`, "Sec-Fetch-Site", "same-origin"); w.Code != 200 {
		t.Errorf("own page: %d %s; want 200", w.Code, w.Body)
	}
}

func TestPageNeedsNothingButItself(t *testing.T) {
	handler := newHouse(t, Config{}).Handler()
	w := request(handler, "GET", "/", "")
	if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		t.Fatalf("page: %d %s", w.Code, w.Header().Get("Content-Type"))
	}
	policy := w.Header().Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy: %s", policy)
	}
	html := w.Body.String()
	links := regexp.MustCompile(`(?:src|href)="([^"#]+)"`).FindAllStringSubmatch(html, -1)
	if len(links) < 2 {
		t.Errorf("page has links %v; want its style and its script", links)
	}
	for _, l := range links {
		if strings.HasPrefix(l[1], "data:") {
			continue
		}
		if strings.Contains(l[1], ":") || strings.HasPrefix(l[1], "/") {
			t.Errorf("link %q is not relative", l[1])
		}
		if w := request(handler, "GET", "/"+l[1], ""); w.Code != 200 || w.Body.Len() == 0 {
			t.Errorf("GET /%s: %d, %d bytes", l[1], w.Code, w.Body.Len())
		}
	}
	// The policy would stop these silently.
	for _, inline := range []string{` style="`, `<script>`, `<style`, ` onclick=`} {
		if strings.Contains(html, inline) {
			t.Errorf("page has inline %q, which its policy forbids", inline)
		}
	}
}

// The page must know every word of the lamp, or it would show a known state as unknown.
func TestPageKnowsEveryLampWord(t *testing.T) {
	script, err := fs.ReadFile(page, "page/house.js")
	if err != nil {
		t.Fatal(err)
	}
	style, err := fs.ReadFile(page, "page/house.css")
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range lamps {
		if !strings.Contains(string(script), word+":") {
			t.Errorf("house.js has no words for the lamp %s", word)
		}
		if !strings.Contains(string(style), `[data-lamp="`+word+`"]`) {
			t.Errorf("house.css has no colour for the lamp %s", word)
		}
	}
}

// A viewer of the stream. It is an http.ResponseWriter that can be read meanwhile.
type viewer struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex
	header http.Header
	status int
	body   strings.Builder
}

func (v *viewer) Header() http.Header { return v.header }
func (v *viewer) Flush()              {}

func (v *viewer) WriteHeader(status int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.status = status
}

func (v *viewer) Write(p []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.status = cmp.Or(v.status, http.StatusOK)
	return v.body.Write(p)
}

// watch starts a stream in a synctest bubble.
func watch(t *testing.T, h *House) *viewer {
	ctx, cancel := context.WithCancel(t.Context())
	v := &viewer{cancel: cancel, done: make(chan struct{}), header: http.Header{}}
	go func() {
		h.Handler().ServeHTTP(v, httptest.NewRequestWithContext(ctx, "GET", "/api/house/events", nil))
		close(v.done)
	}()
	synctest.Wait()
	return v
}

// events returns what came since the last time.
func (v *viewer) events() []string {
	synctest.Wait()
	v.mu.Lock()
	defer v.mu.Unlock()
	all := strings.Split(v.body.String(), "\n\n")
	v.body.Reset()
	return all[:len(all)-1]
}

// answered returns the status that the stream began with.
func (v *viewer) answered() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.status
}

func TestStreamTellsEachChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, Config{Doors: []string{"front", "back"}})
		v := watch(t, h)
		siren, _ := h.OpenSiren()
		for _, step := range []struct {
			do   func()
			want string // "" = no event
		}{
			{func() {}, `{"door_open":false,"siren_on":false,"doors":{"back":{"open":false},"front":{"open":false}},"names":["front","back"],"lamp":""}`},
			{func() { h.Lamp("armed") }, `{"door_open":false,"siren_on":false,"doors":{"back":{"open":false},"front":{"open":false}},"names":["front","back"],"lamp":"armed"}`},
			{func() { h.Lamp("armed") }, ""},
			{func() { h.MoveDoor("back", true) }, `{"door_open":true,"siren_on":false,"doors":{"back":{"open":true},"front":{"open":false}},"names":["front","back"],"lamp":"armed"}`},
			{func() { h.MoveDoor("back", true) }, ""},
			{func() { siren.Set(true) }, `{"door_open":true,"siren_on":true,"doors":{"back":{"open":true},"front":{"open":false}},"names":["front","back"],"lamp":"armed"}`},
			{func() { siren.Set(true) }, ""},
			{func() { siren.Close() }, `{"door_open":true,"siren_on":false,"doors":{"back":{"open":true},"front":{"open":false}},"names":["front","back"],"lamp":"armed"}`},
			{func() { h.BreakDoor("front", true) }, `{"door_open":true,"siren_on":false,"fault":true,"doors":{"back":{"open":true},"front":{"open":false,"fault":true}},"names":["front","back"],"lamp":"armed"}`},
			{func() { h.Lamp("dancing") }, `{"door_open":true,"siren_on":false,"fault":true,"doors":{"back":{"open":true},"front":{"open":false,"fault":true}},"names":["front","back"],"lamp":""}`},
			{func() { h.Lamp("neither") }, ""},
		} {
			step.do()
			var want []string
			if step.want != "" {
				want = []string{"data: " + step.want}
			}
			if got := v.events(); !slices.Equal(got, want) {
				t.Errorf("events %v; want %v", got, want)
			}
		}
		time.Sleep(sse.Pulse)
		if got := v.events(); len(got) != 1 {
			t.Errorf("%d events in %v without a change; want 1", len(got), sse.Pulse)
		}
		v.cancel()
		<-v.done
	})
}

func TestStreamsEndWithTheHouse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, Config{})
		var all []*viewer
		for range maxStreams {
			all = append(all, watch(t, h))
		}
		if v := watch(t, h); v.answered() != http.StatusServiceUnavailable {
			t.Errorf("viewer %d: %d; want %d", maxStreams+1, v.answered(), http.StatusServiceUnavailable)
		}
		all[0].cancel()
		<-all[0].done
		if v := watch(t, h); v.answered() != http.StatusOK || len(v.events()) != 1 {
			t.Errorf("viewer after one left: %d; want an event", v.answered())
		}
		h.Close()
		for _, v := range all {
			<-v.done
		}
	})
}
