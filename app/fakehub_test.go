package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

const testDevice = twin.ID("6ca0df05-1234-4abc-8def-0123456789ab")

// A fakeHub has the documents of one twin, and faults on demand. It is the app's network, too.
type fakeHub struct {
	mu       sync.Mutex
	docs     map[twin.Name]twin.Document
	requests []request
	before   func(request) (*http.Response, error) // called first, without the lock; nil, nil: go on
	after    func(request)                         // called after it was done, before the answer
}

// A request as the fake saw it.
type request struct {
	at     time.Time
	method string
	name   twin.Name
	update twin.Update // of a put
	r      *http.Request
}

func (q request) String() string { return fmt.Sprintf("%s %s %s", q.method, q.name, q.update.Data) }

func newFakeHub() *fakeHub { return &fakeHub{docs: map[twin.Name]twin.Document{}} }

// RoundTrip implements [http.RoundTripper].
func (h *fakeHub) RoundTrip(r *http.Request) (*http.Response, error) {
	q := request{at: time.Now(), method: r.Method, name: twin.Name(path.Base(r.URL.Path)), r: r}
	if r.URL.Path != "/iot/v1/regions/fr-par/twins/"+string(testDevice)+"/documents/"+string(q.name) || r.Header.Get("X-Auth-Token") != "secret" {
		return nil, fmt.Errorf("not a request that the vendor's API knows: %s %s", r.Method, r.URL)
	}
	if r.Method == http.MethodPut {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		if q.update, err = twin.ParsePut(body); err != nil {
			return nil, fmt.Errorf("not a put: %w", err)
		}
	}
	h.mu.Lock()
	h.requests = append(h.requests, q)
	before, after := h.before, h.after
	h.mu.Unlock()
	if before != nil {
		if answer, err := before(q); answer != nil || err != nil {
			return answer, err
		}
	}
	answer := h.do(q)
	if after != nil {
		after(q)
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return answer, nil
}

func (h *fakeHub) do(q request) *http.Response {
	h.mu.Lock()
	defer h.mu.Unlock()
	doc, ok := h.docs[q.name]
	if q.method == http.MethodPut {
		if err := twin.CheckVersion(q.update.Version, doc.Version); err != nil {
			return answerWith(400, `{"details":[{"argument_name":"version","help_message":"","reason":"constraint"}],"message":"invalid argument(s)","type":"invalid_arguments"}`)
		}
		doc, ok = twin.Document{Version: doc.Version + 1, Data: q.update.Data}, true
		h.docs[q.name] = doc
	}
	if !ok {
		return answerWith(404, `{"message":"resource is not found","resource":"twin_document","resource_id":"","type":"not_found"}`)
	}
	return answerWith(200, fmt.Sprintf(`{"twin_id":%q,"document_name":%q,"version":%d,"data":%s}`, testDevice, q.name, doc.Version, doc.Data))
}

func answerWith(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body))}
}

// put writes a document, as the panel or somebody with curl would.
func (h *fakeHub) put(name twin.Name, data string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(data)); err != nil {
		panic(err)
	}
	h.docs[name] = twin.Document{Version: h.docs[name].Version + 1, Data: b.Bytes()}
}

// set writes a document with this version.
func (h *fakeHub) set(name twin.Name, version uint32, data string) {
	h.put(name, data)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.docs[name] = twin.Document{Version: version, Data: h.docs[name].Data}
}

func (h *fakeHub) delete(name twin.Name) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.docs, name)
}

func (h *fakeHub) get(name twin.Name) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return string(h.docs[name].Data)
}

// fault makes each request go through before from now on; nil ends it.
func (h *fakeHub) fault(before func(request) (*http.Response, error)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.before = before
}

// seen are the requests of a method for a document so far; "" for all.
func (h *fakeHub) seen(method string, name twin.Name) (all []request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, q := range h.requests {
		if (method == "" || q.method == method) && (name == "" || q.name == name) {
			all = append(all, q)
		}
	}
	return all
}

// forget begins to count anew.
func (h *fakeHub) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.requests = nil
}

// The faults.
func refused(request) (*http.Response, error) {
	return nil, fmt.Errorf("dial tcp 127.0.0.1:8081: connect: connection refused")
}

func hangs(q request) (*http.Response, error) {
	<-q.r.Context().Done()
	return nil, q.r.Context().Err()
}

func slow(d time.Duration) func(request) (*http.Response, error) {
	return func(q request) (*http.Response, error) {
		select {
		case <-time.After(d):
			return nil, nil
		case <-q.r.Context().Done():
			return nil, q.r.Context().Err()
		}
	}
}

// only limits a fault to one method of one document.
func only(method string, name twin.Name, fault func(request) (*http.Response, error)) func(request) (*http.Response, error) {
	return func(q request) (*http.Response, error) {
		if q.method == method && q.name == name {
			return fault(q)
		}
		return nil, nil
	}
}

// beats makes the panel write current every 30 s, with what it says then, until the test ends or says returns "".
func (h *fakeHub) beats(t *testing.T, says func() string) {
	go func() {
		for n := 0; ; n++ {
			data := says()
			if data == "" {
				return
			}
			h.put(currentName, strings.TrimSuffix(data, "}")+fmt.Sprintf(`,"last_update":"2026-11-22T12:00:00.%03dZ"}`, n%1000))
			select {
			case <-time.After(30 * time.Second):
			case <-t.Context().Done():
				return
			}
		}
	}()
}
