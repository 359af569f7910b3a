package hub_test

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/docstore"
)

// putHeader is the beginning of a put whose body has length bytes.
const putHeader = "PUT " + document + " HTTP/1.1\r\nHost: hub.test\r\nX-Auth-Token: " + token + "\r\nContent-Length: "

func TestCloseWaitsForNoStallingClient(t *testing.T) {
	tests := []struct {
		name, sends string
		status      int // of the answer; 0 = none
		body        string
		takes       time.Duration
		warns       bool
	}{
		{"silent", "", 0, "", 0, false},
		{"half a header", putHeader, 0, "", 0, false},
		{"idle after an answer", "GET " + panel + " HTTP/1.1\r\nHost: hub.test\r\nX-Auth-Token: " + token + "\r\n\r\n", 200, `{"documents":[]}`, 0, false},
		{"half a body", putHeader + "100\r\n\r\n{", 503, `{"message":"the hub is ending: nothing was written, try again"}`, 0, false},
		{"at a store that hangs", putHeader + "2\r\n\r\n{}", 0, "", 5 * time.Second, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				h := newHub(t, &patientStore{docstore.NewMemory(), time.Hour}, func(c *hub.Config) {
					c.Logger = slog.New(slog.NewTextHandler(&log, nil))
				})
				client, server := net.Pipe()
				defer client.Close()
				served := make(chan error)
				go func() { served <- h.ServeREST(&oneConn{conn: server, closed: make(chan struct{})}) }()
				if _, err := io.WriteString(client, tt.sends); err != nil {
					t.Fatal(err)
				}
				go func() {
					if status, body := readAnswer(t, bufio.NewReader(client)); status != tt.status || body != tt.body {
						t.Errorf("got %d %s\nwant %d %s", status, body, tt.status, tt.body)
					}
				}()
				synctest.Wait()

				start := time.Now()
				if err := h.Close(); err != nil {
					t.Errorf("closing: %v", err)
				}
				// net/http looks every few milliseconds whether a connection has ended.
				if got := time.Since(start).Truncate(time.Second); got != tt.takes {
					t.Errorf("closing took %v, want %v", got, tt.takes)
				}
				if err := <-served; err != nil {
					t.Errorf("serving: %v", err)
				}
				if got := strings.Contains(log.String(), "level=WARN"); got != tt.warns || strings.Contains(log.String(), "level=ERROR") {
					t.Errorf("got log %q, want a warning: %v", &log, tt.warns)
				}
				synctest.Wait()
			})
		})
	}
}

// A crowd is a listener at which there is always one client more.
type crowd struct {
	came   chan net.Conn // the clients' ends
	closed chan struct{}
}

func (l *crowd) Accept() (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.came <- client:
		return server, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *crowd) Close() error   { close(l.closed); return nil }
func (l *crowd) Addr() net.Addr { return &net.TCPAddr{} }

func TestRESTConnectionsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, docstore.NewMemory())
		l := &crowd{make(chan net.Conn, 2000), make(chan struct{})}
		served := make(chan error)
		go func() { served <- h.ServeREST(l) }()
		synctest.Wait()
		open := len(l.came)
		if open == 0 || open > 1000 {
			t.Errorf("%d connections are open, want up to 1000", open)
		}
		for range 3 {
			(<-l.came).Close()
		}
		synctest.Wait()
		if got := len(l.came); got != open {
			t.Errorf("after three have left, %d connections are open; want %d", got, open)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Errorf("serving: %v", err)
		}
	})
}

func TestRESTKeepsNoConnectionOfStrangers(t *testing.T) {
	h := newHub(t, docstore.NewMemory()).REST()
	for header, want := range map[string]string{"X-Auth-Token: ": "close", "X-Auth-Token: " + noToken: "close", "X-Auth-Token: " + token: ""} {
		if got := call(h, "GET", panel, "", header).Header.Get("Connection"); got != want {
			t.Errorf("%s: got Connection %q, want %q", header, got, want)
		}
	}
	if got := call(h, "GET", "/", "", "X-Auth-Token: ").Header.Get("Connection"); got != "close" {
		t.Errorf("unknown route: got Connection %q, want close", got)
	}
}
