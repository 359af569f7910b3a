package app

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/internal/sse"
)

// A pipeListener is a network in a bubble: each connection is a net.Pipe, which keeps nothing, so that a write waits for its reader.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { close(l.closed); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8090} }

// A hereConn is a connection of this computer.
type hereConn struct{ net.Conn }

func (hereConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 50000} }

// serveInBubble serves as app does, deadlines and all, until the test ends, and returns a client. leave ends all requests, as
// the end of the program does.
func serveInBubble(t *testing.T, h http.Handler, http2 bool) (client *http.Client, leave context.CancelFunc) {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetUnencryptedHTTP2(http2)
	l := &pipeListener{make(chan net.Conn), make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	server := &http.Server{
		Handler:     h,
		ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute,
		BaseContext: func(net.Listener) context.Context { return ctx },
		Protocols:   protocols,
	}
	go server.Serve(l)
	transport := &http.Transport{Protocols: protocols, HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10}, DialContext: func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		l.conns <- hereConn{there}
		return here, nil
	}}
	t.Cleanup(func() {
		cancel()
		transport.CloseIdleConnections()
		server.Close()
		synctest.Wait()
	})
	return &http.Client{Transport: transport}, cancel
}

// An eventReader is a viewer of a stream.
type eventReader struct {
	t      *testing.T
	answer *http.Response
	lines  *bufio.Reader
}

func openStream(t *testing.T, client *http.Client, header ...string) *eventReader {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://localhost/api/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	return &eventReader{t, answer, bufio.NewReader(answer.Body)}
}

// next reads an event.
func (e *eventReader) next() (v View, err error) {
	e.t.Helper()
	line, err := e.lines.ReadString('\n')
	if err != nil {
		return v, err
	}
	data, ok := strings.CutPrefix(line, "data: ")
	blank, err := e.lines.ReadString('\n')
	if !ok || err != nil || blank != "\n" {
		e.t.Fatalf("got %q and %q, %v; want an event", line, blank, err)
	}
	if err := json.Unmarshal([]byte(data), &v); err != nil {
		e.t.Fatal(err)
	}
	return v, nil
}

// want reads an event that shows this row after so long.
func (e *eventReader) want(row Row, after time.Duration) {
	e.t.Helper()
	start := time.Now()
	v, err := e.next()
	if took := time.Since(start); err != nil || v.Row != row || took != after {
		e.t.Errorf("got %q, %v after %v, want %q after %v", v.Row, err, took, row, after)
	}
}

// wantEnd waits for the end of the stream.
func (e *eventReader) wantEnd() {
	e.t.Helper()
	start := time.Now()
	if v, err := e.next(); err == nil {
		e.t.Errorf("got an event, %+v, want the end", v)
	}
	if took := time.Since(start); took > 0 {
		e.t.Errorf("it took %v, want the end at once", took)
	}
}

// overBoth runs a test in a bubble over each version of HTTP: they have other time-outs, and keep other amounts on the way.
func overBoth(t *testing.T, test func(t *testing.T, http2 bool)) {
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, http2) })
		})
	}
}

func TestStreamShowsEachChange(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		house := &fakeHouse{view: View{Row: Disarmed, Events: []Event{}}}
		client, _ := serveInBubble(t, newTestServer(t, ServerConfig{House: house}), http2)
		viewer := openStream(t, client)
		if kind := viewer.answer.Header.Get("Content-Type"); kind != "text/event-stream" {
			t.Errorf("got the type %q", kind)
		}
		viewer.want(Disarmed, 0)
		house.show(View{Row: Arming})
		viewer.want(Arming, 0)
		time.AfterFunc(7*time.Second, func() { house.show(View{Row: Armed}) })
		viewer.want(Armed, 7*time.Second)
		for range 4 * 60 * 24 { // a day in which nothing happens, against all time-outs of the server
			viewer.want(Armed, sse.Pulse)
		}
		viewer.answer.Body.Close()
		synctest.Wait()
		if n := house.watched(); n != 0 {
			t.Errorf("%d viewers after the stream's end", n)
		}
	})
}

// Who looks late sees what is, not what was.
func TestStreamOfASlowViewerHasTheLatest(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		house := &fakeHouse{view: View{Row: Disarmed, Hub: &longTrouble}}
		client, _ := serveInBubble(t, newTestServer(t, ServerConfig{House: house}), http2)
		viewer := openStream(t, client)
		synctest.Wait()
		for _, row := range []Row{Arming, Armed, EntryDelay, Ringing} {
			house.show(View{Row: row})
		}
		viewer.want(Disarmed, 0)
		viewer.want(Ringing, 0)
		viewer.want(Ringing, sse.Pulse)
	})
}

// longTrouble makes an event of more than a client reads ahead.
var longTrouble = Trouble{Text: strings.Repeat("x", 256<<10)}

// A viewer who takes nothing is dropped, so that it holds nothing here.
func TestStreamOfAViewerWhoDoesNotRead(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		house := &fakeHouse{view: View{Row: Disarmed, Hub: &longTrouble}}
		client, _ := serveInBubble(t, newTestServer(t, ServerConfig{House: house}), http2)
		openStream(t, client)
		synctest.Wait()
		if n := house.watched(); n != 1 {
			t.Fatalf("%d viewers, want 1", n)
		}
		time.Sleep(sse.Patience - time.Second)
		if n := house.watched(); n != 1 {
			t.Errorf("%d viewers before its time is over, want 1", n)
		}
		time.Sleep(2 * time.Second)
		if n := house.watched(); n != 0 {
			t.Errorf("%d viewers after %v, want none", n, sse.Patience+time.Second)
		}
	})
}

func TestStreamEndsWithTheServer(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		house := &fakeHouse{}
		client, leave := serveInBubble(t, newTestServer(t, ServerConfig{House: house}), http2)
		viewer := openStream(t, client)
		viewer.want("", 0)
		leave()
		viewer.wantEnd()
	})
}

func TestStreamsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := serveInBubble(t, newTestServer(t, ServerConfig{}), false)
		var viewers []*eventReader
		for range maxStreams {
			viewers = append(viewers, openStream(t, client))
		}
		refused := openStream(t, client)
		body, err := io.ReadAll(refused.answer.Body)
		if refused.answer.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), `"too_busy"`) {
			t.Errorf("got %d %s, %v, want to be refused", refused.answer.StatusCode, body, err)
		}
		viewers[0].answer.Body.Close()
		synctest.Wait()
		openStream(t, client).want("", 0)
	})
}

// A request for the header alone would go on for ever.
func TestStreamWithoutABody(t *testing.T) {
	house := &fakeHouse{}
	w := visit{method: "HEAD", path: "/api/stream"}.do(newTestServer(t, ServerConfig{House: house}))
	if w.Code != http.StatusOK || w.Body.Len() > 0 || house.watched() > 0 {
		t.Errorf("got %d %s with %d viewers", w.Code, w.Body, house.watched())
	}
}
