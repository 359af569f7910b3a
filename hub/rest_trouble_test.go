package hub_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/hubtest"
	"github.com/twinpanel/twinpanel/twin"
)

// A house is a hub under test and its panel, reached over net.Pipe.
type house struct {
	*hubtest.Hub
	panel twin.ID
}

func newHouse(t *testing.T, options ...func(*hub.Config)) house {
	h := hubtest.Start(t, options...)
	return house{h, h.AddDevice("panel").ID}
}

// dial opens a bare connection to the REST API.
func (h house) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := h.HTTPClient().Transport.(*http.Transport).DialContext(t.Context(), "tcp", "hub.test:80")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// put replaces the document desired.
func (h house) put(ctx context.Context, body string) (status int, answer string, err error) {
	r, err := http.NewRequestWithContext(ctx, "PUT", hubtest.BaseURL+"/twins/"+string(h.panel)+"/documents/desired", strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("X-Auth-Token", h.Token)
	a, err := h.HTTPClient().Do(r)
	if err != nil {
		return 0, "", err
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	return a.StatusCode, strings.TrimSpace(string(b)), err
}

// header is the beginning of a put whose body has length bytes.
func (h house) header(length int) string {
	return fmt.Sprintf("PUT /iot/v1/regions/fr-par/twins/%s/documents/desired HTTP/1.1\r\nHost: hub.test\r\nX-Auth-Token: %s\r\nContent-Length: %d\r\n\r\n",
		h.panel, h.Token, length)
}

func TestRESTSlowAndMalformedClientsDisturbNobody(t *testing.T) {
	const large = 300 << 10
	tests := []struct {
		name string
		send func(h house) string
		// What the client gets before the connection ends, and when that is.
		status int // 0 = nothing
		body   string
		after  time.Duration
	}{
		{"silent", func(house) string { return "" }, 0, "", 5 * time.Second},
		{"half a header", func(h house) string { return h.header(2)[:40] }, 400, "400 Bad Request", 5 * time.Second},
		{"no HTTP", func(house) string { return "\x10\x10\x00\x04MQTT\x04\x02\x00\x00\x00\x04door\r\n\r\n" }, 400, "400 Bad Request", 0},
		{"header without end", func(house) string { return "GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 64<<10) }, 431, "431 Request Header Fields Too Large", 500 * time.Millisecond}, // net/http lets the client read before it hangs up
		{"half a body", func(h house) string { return h.header(100) + `{"data":{` }, 408,
			`{"message":"the request's body came too slowly: nothing was written"}`, 30 * time.Second},
		{"half a large body", func(h house) string { return h.header(large) + `{"data":{"a":"` + strings.Repeat("x", large/2) }, 408,
			`{"message":"the request's body came too slowly: nothing was written"}`, 30 * time.Second},
		{"announces too much", func(h house) string { return h.header(1<<30) + strings.Repeat(" ", 512<<10+1) }, 413,
			invalid("body", "constraint", "longer than 524288 bytes"), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t)
				h.MustPut(h.panel, "desired", `{"n":0}`)
				start := time.Now()

				var clients sync.WaitGroup
				for range 20 {
					conn := h.dial(t)
					// A client may be cut off while it still sends.
					go func() { _, _ = io.WriteString(conn, tt.send(h)) }()
					clients.Go(func() {
						status, body := readAnswer(t, bufio.NewReader(conn))
						if status != tt.status || body != tt.body {
							t.Errorf("got %d %s\nwant %d %s", status, body, tt.status, tt.body)
						}
						if got := time.Since(start); got != tt.after {
							t.Errorf("answered after %v, want %v", got, tt.after)
						}
					})
				}
				for n := 1; n <= 60; n++ {
					sent := time.Now()
					status, answer, err := h.put(t.Context(), fmt.Sprintf(`{"version":%d,"data":{"n":%d}}`, n, n))
					if err != nil || status != 200 {
						t.Fatalf("other client, write %d: got %d %s, error %v", n, status, answer, err)
					}
					if took := time.Since(sent); took != 0 {
						t.Errorf("other client, write %d: took %v", n, took)
					}
					time.Sleep(time.Second)
				}
				clients.Wait()
				if doc := h.MustGet(h.panel, "desired"); doc.Version != 61 || string(doc.Data) != `{"n":60}` {
					t.Errorf("got version %d, data %s, want 61 and n 60", doc.Version, doc.Data)
				}
			})
		})
	}
}

// readAnswer reads one answer; status 0 is a connection that ended without.
func readAnswer(t *testing.T, r *bufio.Reader) (status int, body string) {
	if _, err := r.Peek(1); err != nil {
		return 0, ""
	}
	answer, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Errorf("reading answer: %v", err)
		return 0, ""
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Errorf("reading answer: %v", err)
	}
	return answer.StatusCode, strings.TrimSpace(string(b))
}

// A patientStore takes its time for a put, and cannot know what became of it when
// nobody waits any more.
type patientStore struct {
	docstore.Store
	takes time.Duration
}

func (s *patientStore) Put(ctx context.Context, key docstore.Key, cond docstore.If, data []byte) (uint32, error) {
	select {
	case <-time.After(s.takes):
		return s.Store.Put(ctx, key, cond, data)
	case <-ctx.Done():
		return 0, &docstore.OutcomeError{Err: ctx.Err()}
	}
}

func patient(takes time.Duration) func(*hub.Config) {
	return func(c *hub.Config) { c.Documents = &patientStore{c.Documents, takes} }
}

func TestRESTHubKilledMidRequest(t *testing.T) {
	t.Run("while the body arrives", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t)
			h.MustPut(h.panel, "desired", `{"alarm_armed":true}`)
			conn := h.dial(t)
			if _, err := io.WriteString(conn, h.header(30)+`{"data":{"alarm_`); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			h.Stop()
			if status, body := readAnswer(t, bufio.NewReader(conn)); status != 0 {
				t.Errorf("got %d %s, want no answer", status, body)
			}
			h.Restart()
			if doc := h.MustGet(h.panel, "desired"); doc.Version != 1 || string(doc.Data) != `{"alarm_armed":true}` {
				t.Errorf("got version %d, data %s, want what was there", doc.Version, doc.Data)
			}
		})
	})
	t.Run("while the store writes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t, patient(time.Second))
			answered := make(chan error)
			go func() {
				status, answer, err := h.put(t.Context(), `{"data":{"alarm_armed":true}}`)
				if err == nil {
					t.Errorf("got %d %s, want no answer", status, answer)
				}
				answered <- err
			}()
			synctest.Wait()
			h.Stop()
			<-answered
			h.Restart()
			if status, answer, err := h.put(t.Context(), `{"data":{"alarm_armed":false}}`); err != nil || status != 200 {
				t.Errorf("after restart: got %d %s, error %v", status, answer, err)
			}
		})
	})
}

func TestRESTStoreTooSlowSaysThatTheOutcomeIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, patient(time.Minute))
		start := time.Now()
		status, answer, err := h.put(t.Context(), `{"data":{"alarm_armed":true}}`)
		if want := `{"message":"outcome unknown: the write may have happened or not, get the document to see"}`; err != nil || status != 503 || answer != want {
			t.Errorf("got %d %s, error %v; want 503 %s", status, answer, err, want)
		}
		if got, want := time.Since(start), 10*time.Second; got != want {
			t.Errorf("answered after %v, want %v", got, want)
		}
	})
}

func TestCloseFinishesRESTRequestsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		documents := docstore.NewMemory()
		h := newHub(t, &patientStore{documents, 3 * time.Second})
		client, server := net.Pipe()
		defer client.Close()
		listener := &oneConn{conn: server, closed: make(chan struct{})}
		served := make(chan error)
		go func() { served <- h.ServeREST(listener) }()

		request := "PUT " + document + " HTTP/1.1\r\nHost: hub.test\r\nX-Auth-Token: " + token + "\r\nContent-Length: 2\r\n\r\n{}"
		if _, err := io.WriteString(client, request); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		closed := make(chan error)
		go func() { closed <- h.Close() }()
		if status, body := readAnswer(t, bufio.NewReader(client)); status != 200 || body != restDoc("desired", 1, "{}") {
			t.Errorf("got %d %s, want 200", status, body)
		}
		if err := <-closed; err != nil {
			t.Errorf("closing: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serving: %v", err)
		}
	})
}

// A oneConn is a listener with one connection.
type oneConn struct {
	conn   net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *oneConn) Accept() (net.Conn, error) {
	if conn := l.conn; conn != nil {
		l.conn = nil
		return conn, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }
