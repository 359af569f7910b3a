package hubtest_test

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub/hubtest"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// A witness is a test whose failure is no failure of the test around it.
type witness struct {
	testing.TB
	failed string
}

func (w *witness) Fatalf(format string, args ...any) {
	w.failed = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// TestHelpersFail calls each helper where it has to end the test.
func TestHelpersFail(t *testing.T) {
	const nobody = twin.ID("99999999-2222-4333-8444-555555555555")
	for _, tt := range []struct {
		name, want string
		call       func(*hubtest.Hub, twin.ID)
	}{
		{"get of a missing document", "get of document missing: document not found",
			func(h *hubtest.Hub, id twin.ID) { h.MustGet(id, "missing") }},
		{"put of no object", "put of document desired: data: ",
			func(h *hubtest.Hub, id twin.ID) { h.MustPut(id, "desired", "[]") }},
		{"patch of a missing document", "patch of document missing: document not found",
			func(h *hubtest.Hub, id twin.ID) { h.MustPatch(id, "missing", "{}") }},
		{"delete of a missing document", `delete of document missing: 404 {"message":"resource is not found",`,
			func(h *hubtest.Hub, id twin.ID) { h.MustDelete(id, "missing") }},
		{"a device twice", "adding device panel: name is taken",
			func(h *hubtest.Hub, _ twin.ID) { h.AddDevice("panel") }},
		{"a token without name", "adding token : name: ",
			func(h *hubtest.Hub, _ twin.ID) { h.AddToken(registry.Token{}) }},
		{"a token of no device", "adding token x: no such device",
			func(h *hubtest.Hub, _ twin.ID) { h.AddToken(registry.Token{Name: "x", Device: nobody}) }},
		{"awaiting a missing document", "awaiting document missing for 2m0s: document not found",
			func(h *hubtest.Hub, id twin.ID) {
				h.Await(id, "missing", func(twin.Document) bool { return true })
			}},
		{"awaiting what never comes", `awaiting document desired for 2m0s: it has version 1, {"n":1}`,
			func(h *hubtest.Hub, id twin.ID) {
				h.Await(id, "desired", func(doc twin.Document) bool { return doc.Version == 2 })
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &witness{TB: t}
				h := hubtest.Start(w)
				id := h.AddDevice("panel").ID
				h.MustPut(id, "desired", `{"n":1}`)
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					tt.call(h, id)
				}()
				<-ended
				if !strings.HasPrefix(w.failed, tt.want) {
					t.Errorf("failed with %q, want %q", w.failed, tt.want)
				}
			})
		})
	}
}

func TestAwaitReturnsTheDocument(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hubtest.Start(t)
		id := h.AddDevice("panel").ID
		time.AfterFunc(10*time.Second, func() { h.MustPut(id, "current", `{"n":1}`) })
		time.AfterFunc(20*time.Second, func() { h.MustPut(id, "current", `{"n":2}`) })
		start := time.Now()
		doc := h.Await(id, "current", func(doc twin.Document) bool { return string(doc.Data) == `{"n":2}` })
		if took := time.Since(start); doc.Version != 2 || took.Truncate(time.Second) != 20*time.Second {
			t.Errorf("got version %d after %v, want 2 after 20s", doc.Version, took)
		}
	})
}

func TestMustDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hubtest.Start(t)
		id := h.AddDevice("panel").ID
		h.MustPut(id, "desired", `{"n":1}`)
		h.Stop() // helpers go past all faults
		h.MustDelete(id, "desired")
		if doc := h.MustPut(id, "desired", `{"n":2}`); doc.Version != 1 {
			t.Errorf("put after delete: version %d, want 1", doc.Version)
		}
	})
}

func TestAddTokenLimitsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hubtest.Start(t)
		id, other := h.AddDevice("panel").ID, h.AddDevice("other").ID
		reader := h.AddToken(registry.Token{Name: "reader", ReadOnly: true})
		panel := h.AddToken(registry.Token{Name: "panel", Device: id})
		for _, tt := range []struct {
			token, method string
			id            twin.ID
			want          int
		}{
			{reader, "PUT", id, 403},
			{reader, "GET", id, 404},
			{panel, "GET", other, 403},
			{panel, "PUT", id, 200},
			{h.Token, "PUT", other, 200},
		} {
			r, err := http.NewRequestWithContext(t.Context(), tt.method, hubtest.BaseURL+"/twins/"+string(tt.id)+"/documents/desired", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("X-Auth-Token", tt.token)
			answer, err := h.HTTPClient().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.StatusCode != tt.want {
				t.Errorf("%s of %s: status %d, want %d", tt.method, tt.id, answer.StatusCode, tt.want)
			}
		}
	})
}
