package hub_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/twinconfig"
	"github.com/twinpanel/twinpanel/twin"
)

// FuzzRESTBody: whatever the body of a put or a patch, the answer is a document or a refusal of a
// shape that docs/protocol.md has. After a document, that document is stored, to the letter, with the next
// version, and a put's is what a plain reading of the body finds in it. After a refusal
// everything is as before. No other document is touched.
func FuzzRESTBody(f *testing.F) {
	for _, body := range []string{
		"", "{}", "null", `[]`, `alarm_armed=true`, `{"alarm_armed":true}`, `{"data":null,"version":null}`, `{"data":{"alarm_armed":false}}`,
		`{"version":2,"data":{"n":1.10,"big":12345678901234567890,"text":"<&>\u00e9\ud83d\udea8"}}`, `{"version":7,"data":{}}`, `{"version":-1}`,
		`{"version":4294967295,"data":{}}`, `{"data":{"a":{"b":null},"c":[1,null]}}`, `{"data":{"a":1,"a":2}}`, `{"data":{}} {}`, "{\"data\":{\"a\":\"\xff\"}}",
		`{"data":{"documents":{"current":{"_tsdb_trigger":"on-change","_tags":{"site":"home"}}}}}`, `{"data":{"documents":{"current":{"_tsdb_trigger":null}}}}`,
		`{"twin_id":"x","document_name":"y","version":2,"data":{"a":[[],{}]}}`, `{"data":` + strings.Repeat(`{"a":`, 33) + "1" + strings.Repeat("}", 34),
	} {
		for _, patch := range []bool{false, true} {
			for _, config := range []bool{false, true} {
				f.Add([]byte(body), patch, config)
			}
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, patch, config bool) {
		documents := docstore.NewMemory()
		h := newHub(t, documents).REST()
		name, before := twin.Name("desired"), `{"alarm_armed":true,"a":{"b":1,"c":[2]}}`
		if config {
			name, before = twin.ConfigName, `{"documents":{"current":{"_tsdb_trigger":"on-update","a":{"_tags":null}}}}`
		}
		put(t, documents, name, before)
		put(t, documents, name, before)
		put(t, documents, "other", `{}`)

		method := "PUT"
		if patch {
			method = "PATCH"
		}
		path := panel + "/documents/" + string(name)
		status, answered := fetch(t, h, method, path, string(body))
		_, stored := fetch(t, h, "GET", path, "")
		if status == 200 {
			if answered != stored {
				t.Errorf("answered %s\nstored   %s", answered, stored)
			}
			doc := readDocument(t, answered)
			if doc.Version != 3 || doc.Twin != panelID || doc.Document != name {
				t.Errorf("got %s, want version 3 of %s", answered, name)
			}
			if _, err := twinconfig.Parse(doc.Data); config && err != nil {
				t.Errorf("a malformed _config is stored: %v", err)
			}
			if want := plainData(t, body); !patch && !reflect.DeepEqual(plain(t, doc.Data), want) {
				t.Errorf("put of %s stored %s", body, doc.Data)
			}
		} else {
			checkRefusal(t, status, answered)
			if want := restDoc(string(name), 2, before); stored != want {
				t.Errorf("after a refusal: got %s, want %s", stored, want)
			}
		}
		if names, err := documents.List(t.Context(), panelID); err != nil || len(names) != 2 {
			t.Errorf("there are documents %q, error %v, want two", names, err)
		}
		if doc, err := documents.Get(t.Context(), docstore.Key{Twin: panelID, Name: "other"}); err != nil || doc.Version != 1 {
			t.Errorf("another document has version %d, error %v", doc.Version, err)
		}
	})
}

func fetch(t *testing.T, h http.Handler, method, path, body string) (status int, answered string) {
	t.Helper()
	answer := call(h, method, path, body)
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if kind := answer.Header.Get("Content-Type"); kind != "application/json" {
		t.Errorf("the answer is of the type %q", kind)
	}
	return answer.StatusCode, strings.TrimSuffix(string(b), "\n")
}

type documentAnswer struct {
	Twin     twin.ID         `json:"twin_id"`
	Document twin.Name       `json:"document_name"`
	Version  uint32          `json:"version"`
	Data     json.RawMessage `json:"data"`
}

// readDocument reads a document, which has these keys and no more.
func readDocument(t *testing.T, answered string) (doc documentAnswer) {
	t.Helper()
	strict(t, answered, &doc)
	return doc
}

// checkRefusal fails the test unless a refusal is one that a body can cause.
func checkRefusal(t *testing.T, status int, answered string) {
	t.Helper()
	var body struct {
		Details []struct {
			Argument string `json:"argument_name"`
			Help     string `json:"help_message"`
			Reason   string `json:"reason"`
		} `json:"details"`
		Message string `json:"message"`
		Type    string `json:"type"`
	}
	strict(t, answered, &body)
	if status != 400 && status != 413 || len(body.Details) != 1 {
		t.Fatalf("got %d %s, want a refusal of a body", status, answered)
	}
	d := body.Details[0]
	known := map[string]bool{"body": true, "data": true, "version": true, "required": true, "format": true, "constraint": true}
	if !known[d.Argument] || !known[d.Reason] || d.Help == "" || body.Message != "invalid argument(s)" || body.Type != "invalid_arguments" {
		t.Errorf("got %d %s, want a refusal of body, data or version", status, answered)
	}
}

// strict decodes JSON that may have the keys of v only.
func strict(t *testing.T, text string, v any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("the answer is %s: %v", text, err)
	}
}

// plainData is what encoding/json finds under data.
func plainData(t *testing.T, body []byte) any {
	t.Helper()
	keys, _ := plain(t, body).(map[string]any)
	if keys["data"] == nil {
		return map[string]any{}
	}
	return keys["data"]
}

func plain(t *testing.T, text []byte) (v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}
