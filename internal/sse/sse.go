// Package sse sends server-sent events to pages, as the HTML standard has them.
package sse

import (
	"fmt"
	"net/http"
	"time"
)

// Times of a stream.
const (
	Pulse    = 15 * time.Second // send something at least this often: pages and proxies take a long silence for the end
	Patience = 10 * time.Second // for a viewer to take an event
)

// A Stream is the answer to one viewer.
type Stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// Begin begins a stream. It lives for longer than other answers: the server's deadlines hold no more.
func Begin(w http.ResponseWriter) *Stream {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would keep events until it has a few kilobytes
	s := &Stream{w, http.NewResponseController(w)}
	_ = s.control.SetReadDeadline(time.Time{}) // nothing more is read; without deadlines there is none to lift
	return s
}

// Send sends a line as an unnamed event. The error is that of a viewer who is gone, or didn't take it within Patience.
func (s *Stream) Send(line []byte) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(Patience))
	if _, err := fmt.Fprintf(s.w, "data: %s\n\n", line); err != nil {
		return err
	}
	err := s.control.Flush()
	_ = s.control.SetWriteDeadline(time.Time{}) // HTTP/2 would end a stream that has nothing to send
	return err
}
