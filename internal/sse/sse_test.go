package sse

import (
	"bufio"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// A stream outlives the server's deadlines for as long as its viewer reads, and ends when he doesn't.
func TestStreamEndsWithItsViewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		l := &oneConn{conn: make(chan net.Conn, 1)}
		server := &http.Server{ReadTimeout: time.Minute, WriteTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s := Begin(w)
			for {
				if err := s.Send([]byte(`{"a":1}`)); err != nil {
					ended <- err
					return
				}
				time.Sleep(Pulse)
			}
		})}
		go server.Serve(l)
		here, there := net.Pipe()
		l.conn <- there
		if _, err := here.Write([]byte("GET / HTTP/1.0\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(here), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := answer.Header.Get("Content-Type"); got != "text/event-stream" {
			t.Errorf("got type %s", got)
		}
		lines := bufio.NewScanner(answer.Body)
		for range 10 { // 2.5 minutes
			if !lines.Scan() || lines.Text() != `data: {"a":1}` || !lines.Scan() || lines.Text() != "" {
				t.Fatalf("got %q, %v; want an event", lines.Text(), lines.Err())
			}
		}
		time.Sleep(Pulse + Patience + time.Second)
		select {
		case <-ended:
		default:
			t.Error("the stream goes on without its viewer")
		}
		here.Close()
		close(l.conn)
		server.Close()
	})
}

// oneConn is a listener for what comes in a channel.
type oneConn struct{ conn chan net.Conn }

func (l *oneConn) Accept() (net.Conn, error) {
	if c, ok := <-l.conn; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }
