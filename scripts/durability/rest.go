//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// requestTimeout is longer than a hub lets a request take.
const requestTimeout = 15 * time.Second

// An answer is what a client was told.
type answer struct {
	outcome outcome
	state   state // of an acknowledged read or write
	err     error // what went wrong; of an acknowledged one: what must not be
}

// errUnreachable says that nothing was sent.
var errUnreachable = errors.New("hub is out of reach")

// A client sends requests one after the other. They go to a document of its hub.
type client interface {
	// do sends a request: "get", "put", "patch", or "delete", which not every client can.
	do(method, device, document string, body []byte) answer
	close()
}

// A restClient is an app: it keeps one connection alive.
type restClient struct {
	url, token string // url ends before /twins
	http       http.Client
}

func newRESTClient(url, token string) *restClient {
	return &restClient{url, token, http.Client{Timeout: requestTimeout, Transport: new(http.Transport)}}
}

func (c *restClient) close() { c.http.CloseIdleConnections() }

var restMethods = map[string]string{"get": http.MethodGet, "put": http.MethodPut, "patch": http.MethodPatch, "delete": http.MethodDelete}

func (c *restClient) do(method, device, document string, body []byte) answer {
	r, err := http.NewRequest(restMethods[method], c.url+"/twins/"+device+"/documents/"+document, bytes.NewReader(body))
	if err != nil {
		return answer{failed, state{}, err}
	}
	r.Header.Set("X-Auth-Token", c.token)
	response, err := c.http.Do(r)
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" {
		return answer{failed, state{}, fmt.Errorf("%w: %w", errUnreachable, err)}
	}
	if err != nil {
		return answer{unknown, state{}, err}
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{unknown, state{}, err}
	}
	return readREST(method, response.StatusCode, b)
}

// readREST reads the hub's answer. A status of success is an acknowledgement, whatever follows.
func readREST(method string, status int, body []byte) answer {
	switch {
	case status == http.StatusNoContent:
		return answer{acknowledged, state{}, nil}
	case status == http.StatusOK:
		s, err := parseState(body)
		return answer{acknowledged, s, err}
	case status == http.StatusNotFound && method == "get":
		return answer{acknowledged, state{}, nil}
	case status == http.StatusBadRequest && bytes.Contains(body, []byte(`"argument_name":"version"`)):
		return answer{refused, state{}, nil}
	case status == http.StatusConflict && method == "patch": // other writers were faster, for as long as a request may take
		return answer{refused, state{}, nil}
	case status == http.StatusServiceUnavailable: // a hub that ends, or that doesn't know itself
		return answer{unknown, state{}, fmt.Errorf("hub answers %d %s", status, body)}
	}
	return answer{failed, state{}, fmt.Errorf("hub answers %d %s", status, body)}
}
