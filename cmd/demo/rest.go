package main

import (
	"io"
	"net/http"
	"strings"
)

// showREST shows on the wire what goes in and out of the hub's REST API. A request with a body is a line, and each
// answer is one. Tokens stand in headers, and secrets of devices in bodies beside those of twins: neither is shown.
func showREST(hub http.Handler, w *wire, who func(token string) string) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		from := who(r.Header.Get("X-Auth-Token"))
		what := r.Method + " " + r.URL.EscapedPath()
		bodies := strings.Contains(r.URL.Path, "/twins/")
		r.Body = &heard{ReadCloser: r.Body, end: func(body excerpt) {
			if bodies && len(body.text) > 0 {
				w.add(message{From: from, To: "hub", Over: "REST", What: what, Payload: string(body.text), Cut: body.cut})
			}
		}}
		answer := &answer{ResponseWriter: rw, status: http.StatusOK}
		hub.ServeHTTP(answer, r)
		m := message{From: "hub", To: from, Over: "REST", What: what, Status: answer.status, folds: from == "app" && r.Method == http.MethodGet}
		if bodies {
			m.Payload, m.Cut = strings.TrimSpace(string(answer.body.text)), answer.body.cut
		}
		w.add(m)
	})
}

// An excerpt keeps the beginning of what it is given.
type excerpt struct {
	text []byte // at most maxPacket
	cut  bool
}

func (e *excerpt) keep(b []byte) {
	n := min(len(b), maxPacket-len(e.text))
	e.text = append(e.text, b[:n]...)
	e.cut = e.cut || n < len(b)
}

// heard is a body. Before the hub knows that it has all of it, end is told what was in it.
type heard struct {
	io.ReadCloser
	body excerpt
	end  func(excerpt) // nil after its call
}

func (h *heard) Read(b []byte) (int, error) {
	n, err := h.ReadCloser.Read(b)
	h.body.keep(b[:n])
	if err != nil && h.end != nil {
		h.end(h.body)
		h.end = nil
	}
	return n, err
}

// An answer goes to the client, with a copy of its beginning.
type answer struct {
	http.ResponseWriter
	status int
	body   excerpt
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	a.body.keep(b)
	return a.ResponseWriter.Write(b)
}
