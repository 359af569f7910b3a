package console

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func TestHandler(t *testing.T) {
	tests := []struct {
		request string
		status  int
		kind    string // content type
		body    string // a part of it
	}{
		{"GET /console/index.html", 404, "text/plain", "404"},
		{"GET /console/page/index.html", 404, "text/plain", "404"},
		{"GET /console/..%2fconsole.go", 404, "text/plain", "404"},
		{"GET /consoles", 404, "text/plain", "404"},
		{"POST /console", 405, "text/plain", "Method Not Allowed"},
		{"GET /console", 200, "text/html", `<script type="module" src="console/console.js">`},
		{"GET /console?x", 200, "text/html", `<script type="module" src="console/console.js">`},
		{"GET /console/console.css", 200, "text/css", "prefers-color-scheme: dark"},
		{"GET /console/console.js", 200, "text/javascript", "from './mqtt.js'"},
		{"GET /console/mqtt.js", 200, "text/javascript", "export class Client"},
		{"HEAD /console", 200, "text/html", ""},
		{"GET /console/", 308, "text/html", `href="/console"`},
	}
	handler := Handler()
	for _, tt := range tests {
		method, path, _ := strings.Cut(tt.request, " ")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		kind, body := w.Header().Get("Content-Type"), w.Body.String()
		if w.Code != tt.status || !strings.HasPrefix(kind, tt.kind) || !strings.Contains(body, tt.body) {
			t.Errorf("%s: got %d, %s, %.100q\nwant %d, %s, %q in it", tt.request, w.Code, kind, body, tt.status, tt.kind, tt.body)
		}
		if w.Code == http.StatusOK {
			for name, want := range map[string]string{
				"Content-Security-Policy": policy,
				"X-Content-Type-Options":  "nosniff",
				"Referrer-Policy":         "no-referrer",
				"Cache-Control":           "no-cache",
			} {
				if got := w.Header().Get(name); got != want {
					t.Errorf("%s: got %s %q, want %q", tt.request, name, got, want)
				}
			}
		}
	}
}

// What the policy forbids would fail in a browser alone, and what arrives is never HTML.
func TestPageKeepsToItsPolicy(t *testing.T) {
	forbidden := map[string]*regexp.Regexp{
		"index.html":  regexp.MustCompile(`(?i)<style|<script>| style=| on[a-z]+=|javascript:`),
		"console.css": regexp.MustCompile(`(?i)@import|url\(`),
		"console.js":  regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|https?://`),
		"mqtt.js":     regexp.MustCompile(`innerHTML|eval\(|https?://`),
	}
	files, err := fs.ReadDir(page, "page")
	if err != nil || len(files) != len(forbidden) {
		t.Fatalf("got %d files and error %v, want %d files", len(files), err, len(forbidden))
	}
	for name, pattern := range forbidden {
		b, err := fs.ReadFile(page, "page/"+name)
		if err != nil {
			t.Fatal(err)
		}
		if found := pattern.Find(b); found != nil {
			t.Errorf("%s has %q", name, found)
		}
	}
}
