package hub

import (
	"cmp"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// Help texts that stand in several refusals.
const (
	noVersion   = "not a whole number from 0 to 4294967295: send the document's version, or 0 for any"
	beside      = `unknown key: the document's content goes under "data", as in {"data":{…}}`
	noObject    = `not an object: write {"key":value}`
	twice       = "duplicate key: name each key once"
	nullInArray = "null inside an array: replace the whole array without nulls"
)

// refusedBodies are what a put or a patch can't accept. Documents named _config are in the
// table of package twinconfig, but for a few that show that they get here.
var refusedBodies = []struct {
	name     string
	document twin.Name // default desired
	only     twin.Method
	body     string
	argument string
	reason   string
	place    string // empty = the argument
	help     string
}{
	{name: "empty", body: "", argument: "body", reason: "required", help: `empty: send {"data":{…}}`},
	{name: "white space", body: " \t\r\n", argument: "body", reason: "required", help: `empty: send {"data":{…}}`},
	{name: "no JSON", body: "alarm_armed=true", argument: "body", reason: "format", help: "not JSON: invalid character 'a' looking for beginning of value (byte 1)"},
	{name: "cut short", body: `{"data":{"alarm_armed":`, argument: "body", reason: "format", help: "not JSON: unexpected end of JSON input (byte 23)"},
	{name: "more behind the end", body: `{"data":{}} {}`, argument: "body", reason: "format", help: "not JSON: invalid character '{' after top-level value (byte 13)"},
	{name: "comma too many", body: `{"data":{"a":1,}}`, argument: "body", reason: "format", help: "not JSON: invalid character '}' looking for beginning of object key string (byte 16)"},
	{name: "number with a leading zero", body: `{"data":{"a":01}}`, argument: "body", reason: "format", help: "not JSON: invalid character '1' after object key:value pair (byte 15)"},
	{name: "NaN", body: `{"data":{"a":NaN}}`, argument: "body", reason: "format", help: "not JSON: invalid character 'N' looking for beginning of value (byte 14)"},
	{name: "byte order mark", body: "\ufeff{}", argument: "body", reason: "format", help: "not JSON: invalid character 'ï' looking for beginning of value (byte 1)"},
	{name: "no UTF-8", body: "{\"data\":{\"a\":\"\xff\"}}", argument: "body", reason: "format", help: "not UTF-8: send JSON text encoded as UTF-8"},
	{name: "an array", body: `[]`, argument: "body", reason: "format", help: `not an object: send {"data":{…}}`},
	{name: "null", body: `null`, argument: "body", reason: "format", help: `not an object: send {"data":{…}}`},
	{name: "a text", body: `"data"`, argument: "body", reason: "format", help: `not an object: send {"data":{…}}`},
	{name: "a number", body: `1`, argument: "body", reason: "format", help: `not an object: send {"data":{…}}`},
	{name: "content in place of data", body: `{"alarm_armed":true}`, argument: "body", reason: "format", place: "alarm_armed", help: beside},
	{name: "content beside data", body: `{"data":{},"alarm_armed":true}`, argument: "body", reason: "format", place: "alarm_armed", help: beside},
	{name: "data in capitals", body: `{"Data":{}}`, argument: "body", reason: "format", place: "Data", help: beside},
	{name: "data twice", body: `{"data":{},"data":{}}`, argument: "data", reason: "format", help: twice},
	{name: "version twice", body: `{"version":1,"version":1}`, argument: "version", reason: "format", help: twice},

	{name: "negative version", body: `{"version":-1}`, argument: "version", reason: "format", help: noVersion},
	{name: "fractional version", body: `{"version":1.5}`, argument: "version", reason: "format", help: noVersion},
	{name: "version as a power", body: `{"version":1e0}`, argument: "version", reason: "format", help: noVersion},
	{name: "version as a text", body: `{"version":"1"}`, argument: "version", reason: "format", help: noVersion},
	{name: "version as a boolean", body: `{"version":true}`, argument: "version", reason: "format", help: noVersion},
	{name: "version above uint32", body: `{"version":4294967296}`, argument: "version", reason: "format", help: noVersion},

	{name: "data is an array", body: `{"data":[1]}`, argument: "data", reason: "format", help: noObject},
	{name: "data is a text", body: `{"data":"armed"}`, argument: "data", reason: "format", help: noObject},
	{name: "data is a number", body: `{"data":1}`, argument: "data", reason: "format", help: noObject},
	{name: "data is a boolean", body: `{"data":false}`, argument: "data", reason: "format", help: noObject},
	{name: "duplicate key", body: `{"data":{"a":{"b":1,"b":2}}}`, argument: "data", reason: "format", place: "data.a.b", help: twice},
	{name: "duplicate key, spelled otherwise", body: `{"data":{"a b":1,"a\u0020b":2}}`, argument: "data", reason: "format", place: `data["a b"]`, help: twice},
	{name: "half a character", body: `{"data":{"a":["\ud800"]}}`, argument: "data", reason: "format", place: "data.a[0]",
		help: `half of a surrogate pair: write characters beyond \uffff as two \u escapes or as themselves`},
	{name: "too deep", body: `{"data":` + strings.Repeat(`{"a":`, 33) + "1" + strings.Repeat("}", 33) + "}", argument: "data", reason: "constraint",
		place: "data" + strings.Repeat(".a", 32), help: "deeper than 32 levels: store it in flatter form"},
	{name: "too large", body: `{"data":{"a":"` + strings.Repeat("x", twin.MaxDataSize) + `"}}`, argument: "data", reason: "constraint",
		help: "larger than 262144 bytes: split it into several documents"},
	{name: "null in an array", only: twin.Patch, body: `{"data":{"doors":[1,null]}}`, argument: "data", reason: "constraint", place: "data.doors[1]", help: nullInArray},
	{name: "null further in an array", only: twin.Patch, body: `{"data":{"doors":[[{"open":null}]]}}`, argument: "data", reason: "constraint",
		place: "data.doors[0][0].open", help: nullInArray},

	{name: "config with other keys", document: twin.ConfigName, body: `{"data":{"current":{}}}`, argument: "data", reason: "format", place: "data.current",
		help: `unknown key: documents are configured under "documents", as in {"documents":{"current":{"_tsdb_trigger":"on-change"}}}`},
	{name: "config with a trigger that is none", document: twin.ConfigName, body: `{"data":{"documents":{"current":{"front door":{"_tsdb_trigger":"always"}}}}}`,
		argument: "data", reason: "format", place: `data.documents.current["front door"]._tsdb_trigger`,
		help: `unknown trigger: write "on-update", "on-change", or null to push nothing`},
	{name: "config about itself", document: twin.ConfigName, body: `{"data":{"documents":{"_config":{}}}}`, argument: "data", reason: "constraint",
		place: "data.documents._config", help: "nothing of _config itself is pushed: name another document"},
	{name: "config that is no document at all", document: twin.ConfigName, body: `[]`, argument: "body", reason: "format", help: `not an object: send {"data":{…}}`},
}

// TestRefusedBodies sends each body through both doors. The answers are the same refusal, and
// nothing is written.
func TestRefusedBodies(t *testing.T) {
	const token = "0a1b2c3d-0000-4000-8000-00000000000f"
	for _, tt := range refusedBodies {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTestServer(t, nil)
				if err := s.registry.AddToken(t.Context(), registry.Token{Name: "app", Hash: registry.HashSecret(token)}); err != nil {
					t.Fatal(err)
				}
				name := cmp.Or(tt.document, "desired")
				s.put(panelID, name, `{"data":{"documents":{}}}`)
				c := s.connect(panelID)
				methods := []twin.Method{twin.Put, twin.Patch}
				if tt.only != "" {
					methods = []twin.Method{tt.only}
				}
				for _, m := range methods {
					help := tt.help
					if tt.place != "" {
						help = tt.place + ": " + help
					}
					r := httptest.NewRequestWithContext(t.Context(), strings.ToUpper(string(m)), "/iot/v1/regions/fr-par/twins/"+string(panelID)+"/documents/"+string(name),
						strings.NewReader(tt.body))
					r.Header.Set("X-Auth-Token", token)
					w := httptest.NewRecorder()
					s.REST().ServeHTTP(w, r)
					want := `{"details":[{"argument_name":"` + tt.argument + `","help_message":` + quoted(help) + `,"reason":"` + tt.reason +
						`"}],"message":"invalid argument(s)","type":"invalid_arguments"}`
					if got := strings.TrimSpace(w.Body.String()); w.Code != 400 || got != want {
						t.Errorf("REST, %s:\ngot  %d %s\nwant 400 %s", m, w.Code, got, want)
					}

					topic := "$SCW/twins/me/" + string(name) + "/" + string(m)
					text := cmp.Or(tt.place, tt.argument) + ": " + tt.help
					c.send(publishPacket(topic, 0x0102, tt.body))
					c.want("40020102" + answer(topic+"/response/error", `{"error":`+quoted(text)+`}`))
				}
				doc, err := s.documents.Get(t.Context(), docstore.Key{Twin: panelID, Name: name})
				if err != nil || doc.Version != 1 || string(doc.Data) != `{"documents":{}}` {
					t.Errorf("after the refusals the document is %s, version %d, error %v", doc.Data, doc.Version, err)
				}
			})
		})
	}
}

// quoted is a text as JSON has it, without HTML's escapes.
func quoted(s string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic(err)
	}
	return strings.TrimSpace(b.String())
}
