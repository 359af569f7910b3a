package graphite_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub/graphite"
)

// A network is what a pusher dials: one server over net.Pipe, which can be down.
type network struct {
	serve func(net.Conn) // ends with the connection

	mu        sync.Mutex
	down      bool
	addresses []string // that were dialed
	conns     []net.Conn
}

func (n *network) dial(_ context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addresses = append(n.addresses, network+" "+address)
	if n.down {
		return nil, syscall.ECONNREFUSED
	}
	client, server := net.Pipe()
	n.conns = append(n.conns, server)
	go n.serve(server)
	return client, nil
}

// set brings the network down, which cuts all connections, or up.
func (n *network) set(down bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = down
	if down {
		for _, conn := range n.conns {
			conn.Close()
		}
		n.conns = nil
	}
}

func (n *network) dials() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.addresses)
}

// A log collects what is logged, a line for each record: WARN message key=value.
type log struct {
	mu    sync.Mutex
	lines []string
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, strings.TrimSuffix(string(b), "\n"))
	return len(b), nil
}

func (l *log) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

func (l *log) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

// carbon is a plaintext server that keeps what it gets.
type carbon struct {
	network

	linesMu sync.Mutex
	lines   []string
}

func newCarbon() *carbon {
	c := &carbon{}
	c.serve = func(conn net.Conn) {
		defer conn.Close()
		for r := bufio.NewScanner(conn); r.Scan(); {
			c.linesMu.Lock()
			c.lines = append(c.lines, r.Text())
			c.linesMu.Unlock()
		}
	}
	return c
}

// got returns the lines since the last call.
func (c *carbon) got() []string {
	c.linesMu.Lock()
	defer c.linesMu.Unlock()
	lines := c.lines
	c.lines = nil
	return lines
}

// ingest is an HTTP server that keeps the points that it accepts.
type ingest struct {
	network
	listener pipeListener
	// answer decides about a request; nil = 200. It sees the names of the points.
	answer func(w http.ResponseWriter, names []string)

	mu       sync.Mutex
	requests []*http.Request
	bodies   []string
	names    []string // of the points that were accepted
}

func newIngest(t *testing.T) *ingest {
	i := &ingest{listener: make(pipeListener)}
	server := &http.Server{Handler: i}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := server.Serve(i.listener); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		server.Close()
		<-ended
	})
	i.serve = func(conn net.Conn) { i.listener <- conn }
	return i
}

func (i *ingest) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // cut off
	}
	var points []struct{ Name string }
	if err := json.Unmarshal(body, &points); err != nil {
		http.Error(w, err.Error(), http.StatusTeapot)
		return
	}
	var names []string
	for _, p := range points {
		names = append(names, p.Name)
	}
	status := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	if i.answer != nil {
		i.answer(status, names)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.requests = append(i.requests, r)
	i.bodies = append(i.bodies, string(body))
	if status.status == http.StatusOK {
		i.names = append(i.names, names...)
	}
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (i *ingest) accepted() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.names)
}

// request returns a request and its body.
func (i *ingest) request(n int) (*http.Request, string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.requests[n].Clone(context.Background()), i.bodies[n]
}

func (i *ingest) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.requests)
}

// A pipeListener accepts what is sent to it.
type pipeListener chan net.Conn

func (l pipeListener) Accept() (net.Conn, error) {
	if conn, ok := <-l; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}

func (l pipeListener) Close() error {
	close(l)
	return nil
}

func (l pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// start makes a pusher, and closes it at the end of the test.
func start(t *testing.T, uri string, n *network, l *log) *graphite.Pusher {
	t.Helper()
	p, err := graphite.New(graphite.Config{URI: uri, Dial: n.dial, Logger: l.logger()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// points are n points with names p0, p1, … or what comes after first, at the present time.
func points(first, n int) []graphite.Point {
	all := make([]graphite.Point, n)
	for i := range all {
		all[i] = graphite.Point{Name: fmt.Sprintf("p%d", first+i), Value: float64(first + i), Time: time.Now()}
	}
	return all
}

// names are the names of such points.
func names(first, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("p%d", first+i)
	}
	return all
}

// lineNames are the names in carbon's lines.
func lineNames(lines []string) []string {
	var all []string
	for _, line := range lines {
		name, _, _ := strings.Cut(line, " ")
		all = append(all, name)
	}
	return all
}

func checkStats(t *testing.T, p *graphite.Pusher, queued, pushed, dropped uint64) {
	t.Helper()
	if got, want := p.Stats(), (graphite.Stats{Queued: queued, Pushed: pushed, Dropped: dropped}); got != want {
		t.Errorf("stats are %+v, want %+v", got, want)
	}
}

func checkEqual(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %d: %.300s\nwant %d: %.300s", what, len(got), fmt.Sprintf("%q", got), len(want), fmt.Sprintf("%q", want))
	}
}
