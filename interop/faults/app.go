//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"time"

	"github.com/twinpanel/twinpanel/interop/faults/history"
	"github.com/twinpanel/twinpanel/twin"
)

// appTimeout bounds a request over REST.
const appTimeout = 5 * time.Second

// An app works on the twins of all devices over REST, and keeps one connection alive.
type app struct {
	load    *load
	process string
	base    string // of all paths
	http    http.Client
}

// numbered is a connection with its number in the history.
type numbered struct {
	net.Conn
	number uint64
}

func newApp(l *load, process, address string) *app {
	var dialer net.Dialer
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return numbered{c, l.lastConn.Add(1)}, nil
	}
	return &app{
		load: l, process: process, base: "http://" + address + "/iot/v1/regions/fr-par/twins/",
		http: http.Client{Timeout: appTimeout, Transport: &http.Transport{DialContext: dial}},
	}
}

// run works until ctx ends.
func (a *app) run(ctx context.Context, random *rand.Rand) {
	defer a.http.CloseIdleConnections()
	for {
		began := time.Now()
		var got answer
		if !a.load.quiet.Load() {
			got = a.do(ctx, a.next(random))
		} else if !sleep(ctx, 100*time.Millisecond) {
			return
		}
		if !a.load.wait(ctx, began, got, random) {
			return
		}
	}
}

// next is some request about some document. A document whose time has come is deleted; the apps still look at it afterwards.
func (a *app) next(random *rand.Rand) request {
	b := a.load.books[random.IntN(len(a.load.books))]
	switch n := random.IntN(20); {
	case n < 5:
		return a.load.newRequest(b.desired, random)
	case n < 8:
		return a.load.newRequest(b.current, random)
	case n < 14:
		return a.load.newRequest(b.shared, random)
	case n < 15:
		if d := b.before.Load(); d != nil {
			return request{document: d, kind: history.Get}
		}
	}
	d := b.life.Load()
	if d.uses.Add(1) > lifeLength && b.life.CompareAndSwap(d, b.nextLife()) {
		b.before.Store(d)
		return request{document: d, kind: history.Delete}
	}
	return a.load.newRequest(d, random)
}

// do sends a request and records it.
func (a *app) do(ctx context.Context, r request) answer {
	return a.load.record(r, a.process, "", func(r request) (answer, uint64) { return a.ask(ctx, r) })
}

var restMethods = map[history.Kind]string{
	history.Get: http.MethodGet, history.Put: http.MethodPut, history.Patch: http.MethodPatch, history.Delete: http.MethodDelete,
}

func (a *app) ask(ctx context.Context, r request) (got answer, conn uint64) {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { conn = i.Conn.(numbered).number }})
	var body io.Reader
	if r.kind.IsWrite() {
		body = struct{ io.Reader }{bytes.NewReader(r.update().Encode())} // of a type that cannot be sent again: net/http would
	}
	req, err := http.NewRequestWithContext(ctx, restMethods[r.kind], a.base+string(r.document.device)+"/documents/"+string(r.document.name), body)
	if err != nil {
		panic(err) // the program's own fault
	}
	req.Header.Set("X-Auth-Token", a.load.token)
	response, err := a.http.Do(req)
	if err != nil {
		return answer{outcome: history.Unknown, note: err.Error()}, conn
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{outcome: history.Unknown, note: err.Error()}, conn
	}
	return r.readREST(response.StatusCode, b), conn
}

// readREST reads an answer over REST; docs/protocol.md has the forms.
func (r request) readREST(status int, body []byte) answer {
	note := fmt.Sprintf("%d %.200s", status, body)
	switch status {
	case http.StatusNoContent:
		return answer{outcome: history.OK}
	case http.StatusOK:
		var of struct {
			TwinID       twin.ID   `json:"twin_id"`
			DocumentName twin.Name `json:"document_name"`
		}
		doc, err := twin.ParseDocument(body)
		if err := errors.Join(err, json.Unmarshal(body, &of)); err != nil || of.TwinID != r.document.device || of.DocumentName != r.document.name {
			return answer{outcome: history.Wrong, note: note}
		}
		return r.answered(doc)
	case http.StatusBadRequest:
		if v, ok := actualVersion(body); ok {
			return answer{outcome: history.Mismatch, version: v}
		}
		return answer{outcome: history.Wrong, note: note}
	case http.StatusNotFound:
		if strings.Contains(string(body), `"resource":"twin_document"`) {
			return answer{outcome: history.Absent}
		}
		return answer{outcome: history.Denied, note: note}
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
		return answer{outcome: history.Denied, note: note}
	}
	if status == http.StatusServiceUnavailable && !strings.Contains(string(body), "nothing was written") {
		return answer{outcome: history.Unknown, note: note}
	}
	return answer{outcome: history.Failed, note: note}
}

// actualVersion reads the version out of the answer to a versioned write that was refused.
func actualVersion(body []byte) (uint32, bool) {
	var refusal struct {
		Details []struct {
			ArgumentName string `json:"argument_name"`
			HelpMessage  string `json:"help_message"`
		}
	}
	if json.Unmarshal(body, &refusal) != nil || len(refusal.Details) != 1 || refusal.Details[0].ArgumentName != "version" {
		return 0, false
	}
	_, actual, ok := strings.Cut(refusal.Details[0].HelpMessage, "actual version ")
	v, err := strconv.ParseUint(actual, 10, 32)
	return uint32(v), ok && err == nil
}
