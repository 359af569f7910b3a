package importer_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub/importer"
)

// Trouble that passes is waited for; trouble that stays ends the import, which can be run again.
func TestImportThroughTrouble(t *testing.T) {
	status := func(code int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i+1 < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			say(w, code, `{"message":"not now"}`)
		}
	}
	for _, tt := range []struct {
		name        string
		trouble     func(w http.ResponseWriter, r *http.Request)
		least, most time.Duration // that two attempts in vain take
		text        string        // of the error, when it stays
	}{
		{"server error", status(500), 3 * time.Second, 5 * time.Second, "gave up after 6 attempts: the source answers 500 Internal Server Error to GET /twins/"},
		{"gateway without its server", func(w http.ResponseWriter, _ *http.Request) { typed("text/html", "<html>")(w, nil) }, 0, 0, "expected application/json"},
		{"not available", status(503), 3 * time.Second, 5 * time.Second, `503 Service Unavailable to GET /twins/dddddddd-0000-4000-8000-000000000001: "not now"`},
		{"too many requests", status(429), 3 * time.Second, 5 * time.Second, "gave up after 6 attempts: the source answers 429 Too Many Requests"},
		{"too many requests, says when", status(429, "Retry-After", "17"), 34 * time.Second, 35 * time.Second, "gave up after 6 attempts"},
		{"too many requests, says when not", status(429, "Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT"), 3 * time.Second, 5 * time.Second, "gave up after 6 attempts"},
		{"come back next year", status(429, "Retry-After", "65535"), 2 * time.Minute, 2 * time.Minute, "gave up after 6 attempts"},
		{"request time-out", status(408), 3 * time.Second, 5 * time.Second, "gave up after 6 attempts"},
		// The HTTP client itself tries once more at once on a connection that it has used before.
		{"connection cut", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, time.Second, 5 * time.Second,
			"gave up after 6 attempts: asking the source for /twins/dddddddd-0000-4000-8000-000000000001: EOF"},
		{"connection cut in the middle", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			say(w, 200, `{"documents":[`)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, 3 * time.Second, 5 * time.Second, "unexpected EOF"},
		{"no answer", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, 63 * time.Second, 65 * time.Second,
			"gave up after 6 attempts: asking the source for /twins/dddddddd-0000-4000-8000-000000000001: no complete answer in 30s"},
		{"a byte every ten seconds", func(w http.ResponseWriter, r *http.Request) {
			say(w, 200, "{")
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, " ")
				_ = http.NewResponseController(w).Flush()
				select {
				case <-time.After(10 * time.Second):
				case <-r.Context().Done():
				}
			}
		}, 63 * time.Second, 65 * time.Second, "no complete answer in 30s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, v *vendor) {
				_, id := v.add(1)
				v.put(id, "current", 3, `{}`)
				left := 1 << 30
				v.meddle = at("/twins/"+string(id), func(w http.ResponseWriter, r *http.Request) {
					if left--; left >= 0 {
						v.mu.Unlock() // it may take its time
						defer v.mu.Lock()
						tt.trouble(w, r)
						return
					}
					say(w, 200, `{"documents":[{"document_name":"current"}]}`)
				})
				target := newTarget()
				_, err := v.run(t, target)
				if tt.most == 0 { // no trouble that could pass
					wantError(t, "import", err, tt.text, "root of the API")
					return
				}
				wantError(t, "it stays", err, tt.text, "run the same command again, and it goes on where it stopped")

				v.mu.Lock()
				left = 2
				v.mu.Unlock()
				began := time.Now()
				v.mustRun(t, target)
				if took := time.Since(began); took < tt.least || took > tt.most {
					t.Errorf("two attempts in vain took %v, want %v to %v", took, tt.least, tt.most)
				}
			})
		})
	}
}

// Many workers in trouble make few lines.
func TestImportSaysThatItTriesAgain(t *testing.T) {
	bubble(t, func(t *testing.T, v *vendor) {
		for n := range 40 {
			v.add(n)
		}
		down := false
		v.meddle = func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/certificate") && !down {
				down = true
				time.AfterFunc(20*time.Second, func() { v.mu.Lock(); defer v.mu.Unlock(); v.meddle = nil })
			}
			if down {
				say(w, 503, `{}`)
			}
			return down
		}
		var lines []string
		config := v.config()
		config.Progress = func(line string) { lines = append(lines, line) }
		source, err := importer.Open(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		if report, err := source.Import(t.Context(), newTarget()); err != nil || !report.Verified {
			t.Fatalf("got %+v, %v", report, err)
		}
		again := 0
		for _, line := range lines {
			if strings.HasPrefix(line, "trying again: the source answers 503 Service Unavailable to GET /devices/") {
				again++
			}
		}
		if again < 1 || again > 3 || len(lines) != again+4 {
			t.Errorf("got lines\n%s\nwant one to three that say so, and two for each of two readings", strings.Join(lines, "\n"))
		}
	})
}

// Who interrupts an import waits for nothing.
func TestImportInterrupted(t *testing.T) {
	for name, trouble := range map[string]http.HandlerFunc{
		"while it waits":     func(w http.ResponseWriter, _ *http.Request) { say(w, 503, `{}`) },
		"while it is asking": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, v *vendor) {
				v.add(1)
				source, err := importer.Open(t.Context(), v.config())
				if err != nil {
					t.Fatal(err)
				}
				v.meddle = func(w http.ResponseWriter, r *http.Request) bool {
					v.mu.Unlock()
					defer v.mu.Lock()
					trouble(w, r)
					return true
				}
				ctx, interrupt := context.WithCancelCause(t.Context())
				stopped := errors.New("stopped")
				time.AfterFunc(500*time.Millisecond, func() { interrupt(stopped) })
				began := time.Now()
				_, err = source.Import(ctx, newTarget())
				if took := time.Since(began); !errors.Is(err, stopped) || took != 500*time.Millisecond {
					t.Errorf("after %v got %v, want %v after half a second", took, err, stopped)
				}
			})
		})
	}
}

// A redirect is not followed, so that the token stays with the source.
func TestTheTokenStaysWithTheSource(t *testing.T) {
	bubble(t, func(t *testing.T, v *vendor) {
		var asked sync.Map
		config := v.config()
		config.Transport = &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			asked.Store(address, true)
			return v.transport.DialContext(ctx, network, address)
		}}
		defer config.Transport.(*http.Transport).CloseIdleConnections()
		for _, status := range []int{301, 302, 303, 307, 308} {
			v.meddle = func(w http.ResponseWriter, r *http.Request) bool {
				http.Redirect(w, r, "http://evil.example"+r.URL.RequestURI(), status)
				return true
			}
			_, err := importer.Open(t.Context(), config)
			wantError(t, http.StatusText(status), err, `with a redirect to "http://evil.example/iot/`, "--from")
		}
		asked.Range(func(address, _ any) bool {
			if address != "vendor.test:80" {
				t.Errorf("asked %s", address)
			}
			return true
		})
		synctest.Wait()
	})
}

// Findings are bounded, however much is wrong; the counts say all.
func TestFindingsAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T, v *vendor) {
		for n := range 1500 {
			d, _ := v.add(n)
			d["name"] = "panel"
		}
		report, err := v.run(t, newTarget())
		if err != nil {
			t.Fatal(err)
		}
		text := findings(report)
		if n := strings.Count(text, "left behind: "); n != 1001 || !strings.Contains(text, "\nleft behind: and 499 more\n") || report.Devices.LeftBehind != 1499 {
			t.Errorf("%d lines, %+v; want 1000 and one for the rest", n, report)
		}
		wantError(t, "complete", report.Complete(), "see the lines above, 1499 of them", "go on without it")
	})
}
