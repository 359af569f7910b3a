package hub_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// A fullRegistry takes no writes while broken is set.
type fullRegistry struct {
	*registry.Memory
	broken error
	asked  int
}

func (r *fullRegistry) Seen(ctx context.Context, devices map[twin.ID]time.Time, tokens map[string]time.Time) error {
	r.asked++
	if r.broken != nil {
		return r.broken
	}
	return r.Memory.Seen(ctx, devices, tokens)
}

// ask sends a request without a token but for what header says.
func ask(h *hub.Hub, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	answer := httptest.NewRecorder()
	h.REST().ServeHTTP(answer, r)
	return answer
}

func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		devices := &fullRegistry{Memory: registry.NewMemory()}
		var log bytes.Buffer
		h, err := hub.New(hub.Config{Documents: docstore.NewMemory(), Registry: devices, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		wantLog := func(line string) {
			t.Helper()
			if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, line) {
				t.Errorf("log is %q, want %q", got, line)
			}
			log.Reset()
		}
		want := func(path string, status int, body string) {
			t.Helper()
			answer := ask(h, path)
			if answer.Code != status || strings.TrimSpace(answer.Body.String()) != body || answer.Header().Get("Content-Type") != "application/json" {
				t.Errorf("%s: got %d %s %s; want %d %s", path, answer.Code, answer.Header().Get("Content-Type"), answer.Body, status, body)
			}
		}
		want("/healthz", 200, `{"status":"ok"}`)
		want("/readyz", 200, `{"status":"ok"}`)
		devices.broken = errors.New("disk I/O error in /var/lib/hub")
		time.Sleep(2 * time.Second)
		devices.asked = 0
		for range 100 { // whoever asks in a hurry costs no more
			want("/readyz", 503, `{"status":"unavailable","reason":"the data can't be written: the hub's log says why"}`)
		}
		if devices.asked != 1 {
			t.Errorf("the registry was asked %d times, want once", devices.asked)
		}
		wantLog(`level=ERROR msg="the data can't be written" error="disk I/O error in /var/lib/hub"`)
		want("/healthz", 200, `{"status":"ok"}`) // it serves, and reads
		devices.broken = nil
		time.Sleep(2 * time.Second)
		want("/readyz", 200, `{"status":"ok"}`)
		wantLog(`level=INFO msg="the data can be written again"`)
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		want("/readyz", 503, `{"status":"unavailable","reason":"the hub is ending"}`)
	})
}

func TestMetricsNeedAToken(t *testing.T) {
	devices := registry.NewMemory()
	h, err := hub.New(hub.Config{Documents: docstore.NewMemory(), Registry: devices})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	d, err := registry.NewDevice("panel")
	if err != nil {
		t.Fatal(err)
	}
	if err := devices.AddDevice(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	token := func(name string, change func(*registry.Token)) string {
		token, secret, err := registry.NewToken(name)
		if err != nil {
			t.Fatal(err)
		}
		change(&token)
		if err := devices.AddToken(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		return secret
	}
	reader := token("prometheus", func(t *registry.Token) { t.ReadOnly = true })
	one := token("one", func(t *registry.Token) { t.Device = d.ID })
	for _, tt := range []struct {
		name, header string
		status       int
	}{
		{"no token", "Accept: */*", 401},
		{"no token's form", "Authorization: Bearer x", 401},
		{"another scheme", "Authorization: Basic " + reader, 401},
		{"unknown token", "Authorization: Bearer " + string(d.ID), 401},
		{"token for one device", "Authorization: Bearer " + one, 403},
		{"bearer", "Authorization: Bearer " + reader, 200},
		{"as the API has it", "X-Auth-Token: " + reader, 200},
	} {
		answer := ask(h, "/metrics", tt.header)
		if answer.Code != tt.status {
			t.Errorf("%s: got %d %s, want %d", tt.name, answer.Code, answer.Body, tt.status)
		}
		if shown := strings.Contains(answer.Body.String(), "twinpanel_hub_devices_connected 0\n"); shown != (tt.status == 200) {
			t.Errorf("%s: metrics shown: %v", tt.name, shown)
		}
	}
}

// A tokenlessRegistry can't look up tokens while away is set.
type tokenlessRegistry struct {
	*registry.Memory
	away error
}

func (r *tokenlessRegistry) TokenByHash(ctx context.Context, hash [32]byte) (registry.Token, error) {
	if r.away != nil {
		return registry.Token{}, r.away
	}
	return r.Memory.TokenByHash(ctx, hash)
}

// While the database is away nobody is shown metrics, and nobody is told that a token is wrong.
func TestMetricsWhileTokensCannotBeLookedUp(t *testing.T) {
	devices := &tokenlessRegistry{Memory: registry.NewMemory()}
	var log bytes.Buffer
	h, err := hub.New(hub.Config{Documents: docstore.NewMemory(), Registry: devices, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	token, secret, err := registry.NewToken("prometheus")
	if err != nil {
		t.Fatal(err)
	}
	if err := devices.AddToken(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	devices.away = errors.New("connection refused by db.example")
	answer := ask(h, "/metrics", "Authorization: Bearer "+secret)
	const want = `{"message":"the token can't be looked up: the hub's log says why"}`
	if answer.Code != http.StatusServiceUnavailable || strings.TrimSpace(answer.Body.String()) != want {
		t.Errorf("got %d %s, want 503 %s", answer.Code, answer.Body, want)
	}
	if got := log.String(); !strings.Contains(got, `level=ERROR msg="request failed" method=GET path=/metrics`) || !strings.Contains(got, `error="connection refused by db.example"`) || strings.Contains(got, secret) {
		t.Errorf("log is %q", got)
	}
	if answer := ask(h, "/metrics"); answer.Code != http.StatusUnauthorized {
		t.Errorf("without a token: got %d, want 401", answer.Code)
	}
	devices.away = nil
	if answer := ask(h, "/metrics", "Authorization: Bearer "+secret); answer.Code != http.StatusOK {
		t.Errorf("afterwards: got %d, want 200", answer.Code)
	}
}

// Numbers move with what happens, and no name or id is among them.
func TestMetricsCount(t *testing.T) {
	devices, documents := registry.NewMemory(), docstore.NewMemory()
	h, err := hub.New(hub.Config{Documents: documents, Registry: devices})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	d, err := registry.NewDevice("front door")
	if err != nil {
		t.Fatal(err)
	}
	token, secret, err := registry.NewToken("phone")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(devices.AddDevice(t.Context(), d), devices.AddToken(t.Context(), token)); err != nil {
		t.Fatal(err)
	}
	call := func(method, document, body string) {
		r := httptest.NewRequest(method, "/iot/v1/regions/fr-par/twins/"+string(d.ID)+"/documents/"+document, strings.NewReader(body))
		r.Header.Set("X-Auth-Token", secret)
		h.REST().ServeHTTP(httptest.NewRecorder(), r)
	}
	call(http.MethodPut, "desired", `{"data":{"alarm_armed":true}}`)
	call(http.MethodPut, "desired", `{"data":[]}`)
	call(http.MethodGet, "desired", "")
	call(http.MethodGet, "nothing", "")
	ask(h, "/iot/v1/regions/fr-par/hubs", "X-Auth-Token: "+string(d.ID))

	text := ask(h, "/metrics", "Authorization: Bearer "+secret).Body.String()
	for _, want := range []string{
		`twinpanel_hub_requests_total{door="rest",method="put",outcome="ok"} 1`,
		`twinpanel_hub_requests_total{door="rest",method="put",outcome="refused"} 1`,
		`twinpanel_hub_requests_total{door="rest",method="get",outcome="ok"} 1`,
		`twinpanel_hub_requests_total{door="rest",method="get",outcome="refused"} 1`,
		`twinpanel_hub_requests_total{door="mqtt",method="put",outcome="failed"} 0`,
		`twinpanel_hub_request_duration_seconds_count{door="rest",method="put"} 2`,
		`twinpanel_hub_failed_logins_total{door="rest",outcome="wrong"} 1`,
		`twinpanel_hub_http_responses_total{code="200"} 2`,
		`twinpanel_hub_http_responses_total{code="401"} 1`,
		`twinpanel_hub_writable 1`,
		`twinpanel_hub_connections{state="device"} 0`,
		"\ngo_goroutines ", "\nprocess_resident_memory_bytes ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the metrics don't have %s", want)
		}
	}
	for _, secret := range []string{string(d.ID), d.Name, secret, token.Name, "desired"} {
		if strings.Contains(text, secret) {
			t.Errorf("the metrics show %q", secret)
		}
	}
}
