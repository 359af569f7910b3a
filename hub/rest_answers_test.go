package hub_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// restDoc is a document as REST answers it.
func restDoc(name string, version int, data string) string {
	return fmt.Sprintf(`{"twin_id":%q,"document_name":%q,"version":%d,"data":%s}`, panelID, name, version, data)
}

func TestRESTAnswers(t *testing.T) {
	h := newHub(t, docstore.NewMemory()).REST()
	const upper = "/iot/v1/regions/fr-par/twins/11111111-2222-4333-8444-555555555555/documents/"
	story := []struct {
		name, method, path, body string
		status                   int
		want                     string
	}{
		{"empty twin", "GET", panel, "", 200, `{"documents":[]}`},
		{"deleting nothing", "DELETE", panel, "", 204, ""},
		{"create", "PUT", document, `{"data": {"alarm_armed": true}}`, 200, restDoc("desired", 1, `{"alarm_armed":true}`)},
		{"get", "GET", document, "", 200, restDoc("desired", 1, `{"alarm_armed":true}`)},
		{"head", "HEAD", document, "", 200, restDoc("desired", 1, `{"alarm_armed":true}`)},
		{"query is ignored", "GET", document + "?x=1", "", 200, restDoc("desired", 1, `{"alarm_armed":true}`)},
		{"put the same", "PUT", document, `{"data":{"alarm_armed":true}}`, 200, restDoc("desired", 2, `{"alarm_armed":true}`)},
		{"version 0", "PUT", document, `{"version":0,"data":{"n":1}}`, 200, restDoc("desired", 3, `{"n":1}`)},
		{"version null", "PUT", document, `{"version":null,"data":{"n":1.10}}`, 200, restDoc("desired", 4, `{"n":1.10}`)},
		{"right version", "PUT", document, `{"version":4,"data":{"n":12345678901234567890}}`, 200, restDoc("desired", 5, `{"n":12345678901234567890}`)},
		{"patch", "PATCH", document, `{"data":{"door":{"open":true},"n":null,"html":"<&>"}}`, 200, restDoc("desired", 6, `{"door":{"open":true},"html":"<&>"}`)},
		{"patch with version", "PATCH", document, `{"version":6,"data":{"door":{"since":"noon"},"html":null}}`, 200, restDoc("desired", 7, `{"door":{"open":true,"since":"noon"}}`)},
		{"patch with nothing", "PATCH", document, `{}`, 200, restDoc("desired", 8, `{"door":{"open":true,"since":"noon"}}`)},
		{"put of nothing empties", "PUT", document, `{}`, 200, restDoc("desired", 9, `{}`)},
		{"put with null data", "PUT", document, `{"version":null,"data":null}`, 200, restDoc("desired", 10, `{}`)},
		{"put holds nulls", "PUT", document, `{"data":{"a":null,"b":[null]}}`, 200, restDoc("desired", 11, `{"a":null,"b":[null]}`)},
		{"an answer can be sent back", "PUT", document, restDoc("desired", 11, `{"a":1}`), 200, restDoc("desired", 12, `{"a":1}`)},
		{"upper case id", "GET", strings.ToUpper(string(panelID)), "", 200, restDoc("desired", 12, `{"a":1}`)},
		{"config is a document", "PUT", upper + "_config", `{"data":{"documents":{}}}`, 200, restDoc("_config", 1, `{"documents":{}}`)},
		{"every character of a name", "PUT", upper + "-_.~09azAZ", `{}`, 200, restDoc("-_.~09azAZ", 1, `{}`)},
		{"list", "GET", panel, "", 200, `{"documents":[{"document_name":"-_.~09azAZ"},{"document_name":"_config"},{"document_name":"desired"}]}`},
		{"delete", "DELETE", document, "", 204, ""},
		{"created again", "PUT", document, `{"data":{}}`, 200, restDoc("desired", 1, `{}`)},
		{"delete all", "DELETE", panel, "", 204, ""},
		{"list after it", "GET", panel, "", 200, `{"documents":[]}`},
	}
	for _, step := range story {
		path := step.path
		if !strings.HasPrefix(path, "/") {
			path = region + "/twins/" + path + "/documents/desired"
		}
		t.Run(step.name, func(t *testing.T) {
			checkAnswer(t, call(h, step.method, path, step.body), step.status, step.want)
		})
	}
}

func TestRESTOptionsNameTheMethods(t *testing.T) {
	h := newHub(t, docstore.NewMemory()).REST()
	for path, want := range map[string]string{
		panel:    "DELETE, GET, HEAD, OPTIONS",
		document: "DELETE, GET, HEAD, OPTIONS, PATCH, PUT",
	} {
		for method, status := range map[string]int{"OPTIONS": 204, "POST": 405} {
			answer := call(h, method, path, "", "X-Auth-Token: ")
			if got := answer.Header.Get("Allow"); answer.StatusCode != status || got != want {
				t.Errorf("%s %s: got %d and Allow %q, want %d and %q", method, path, answer.StatusCode, got, status, want)
			}
		}
	}
}

// A troubled store fails every call.
type troubled struct {
	docstore.Store
	err error
}

func (s troubled) Get(context.Context, docstore.Key) (docstore.Document, error) {
	return docstore.Document{}, s.err
}
func (s troubled) Put(context.Context, docstore.Key, docstore.If, []byte) (uint32, error) {
	return 0, s.err
}
func (s troubled) Delete(context.Context, docstore.Key, docstore.If) error { return s.err }
func (s troubled) DeleteAll(context.Context, twin.ID) error                { return s.err }
func (s troubled) List(context.Context, twin.ID) ([]twin.Name, error)      { return nil, s.err }

func TestRESTSaysWhetherItWroteWhenTheStoreFails(t *testing.T) {
	secret := errors.New("/var/lib/hub/twins.db: disk full")
	const (
		nothing = `{"message":"internal error: nothing was written"}`
		unknown = `{"message":"outcome unknown: the write may have happened or not, get the document to see"}`
	)
	requests := []struct{ method, path, body string }{
		{"GET", panel, ""},
		{"DELETE", panel, ""},
		{"GET", document, ""},
		{"PUT", document, "{}"},
		{"PATCH", document, "{}"},
		{"DELETE", document, ""},
	}
	for _, r := range requests {
		t.Run(r.method+" "+r.path, func(t *testing.T) {
			failing := newHub(t, troubled{err: secret}).REST()
			checkAnswer(t, call(failing, r.method, r.path, r.body), 500, nothing)
			if r.method != "GET" {
				unsure := newHub(t, troubled{err: &docstore.OutcomeError{Err: secret}}).REST()
				checkAnswer(t, call(unsure, r.method, r.path, r.body), 503, unknown)
			}
		})
	}
}

// A tokenTrouble is a registry that can't read tokens.
type tokenTrouble struct{ registry.Registry }

func (tokenTrouble) TokenByHash(context.Context, [32]byte) (registry.Token, error) {
	return registry.Token{}, errors.New("reading a token: disk full")
}

// What a registry says of a token that it can't read is enough.
func TestRESTSaysOnceThatItReadsAToken(t *testing.T) {
	var log bytes.Buffer
	h := newHub(t, docstore.NewMemory(), func(c *hub.Config) {
		c.Registry = tokenTrouble{c.Registry}
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	}).REST()
	checkAnswer(t, call(h, "GET", document, ""), 500, `{"message":"internal error: nothing was written"}`)
	if !strings.Contains(log.String(), `error="reading a token: disk full"`) {
		t.Errorf("got log %q", &log)
	}
}

func TestRESTLogsTroubleWithoutSecrets(t *testing.T) {
	var log bytes.Buffer
	h := newHub(t, troubled{err: errors.New("disk full")}, func(c *hub.Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	}).REST()
	answer := call(h, "PUT", document, `{"data":{"pin":"4711"}}`)
	for _, want := range []string{"level=ERROR", `msg="request failed"`, "method=PUT", "document=desired", `error="disk full"`,
		"request_id=" + answer.Header.Get("X-Request-Id")} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("got log %q, want %s in it", &log, want)
		}
	}
	for _, secret := range []string{token, "4711"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("got log %q with the secret %s", &log, secret)
		}
	}
	for range 100 {
		call(h, "GET", document, "")
	}
	if lines := strings.Count(log.String(), "\n"); lines > 10 {
		t.Errorf("got %d lines for 101 requests, want few", lines)
	}
	log.Reset()
	call(h, "GET", region+"/twins/"+otherID+"/documents/desired", "")
	if log.Len() > 0 {
		t.Errorf("got log %q for a refused request, want none", &log)
	}
}
