package importer_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/importer"
	"github.com/twinpanel/twinpanel/twin"
)

// at answers in the vendor's place at a path of the region.
func at(path string, answer http.HandlerFunc) func(w http.ResponseWriter, r *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != region+path {
			return false
		}
		answer(w, r)
		return true
	}
}

// saying answers with a text.
func saying(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { say(w, 200, body) }
}

// typed answers with another content type.
func typed(kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		_, _ = io.WriteString(w, body)
	}
}

// A source that can't be read at all ends the import, with an error that names what it was asked.
func TestImportRefusesASource(t *testing.T) {
	twinPath := "/twins/" + string(deviceID(1))
	type meddle = func(w http.ResponseWriter, r *http.Request) bool
	for _, tt := range []struct {
		name       string
		meddle     meddle
		text, hint string
	}{
		{"page of a portal", at("/hubs", typed("text/html; charset=utf-8", "<html>")),
			`the source answers GET /hubs?page=1&page_size=100 with "text/html; charset=utf-8": expected application/json`, "root of the API"},
		{"no content type", at("/devices", typed("", `{}`)), `/devices?hub_id=`, "root of the API"},
		{"truncated JSON", at("/hubs", saying(`{"total_count":1,"hubs":[{"id":`)), "answer to GET /hubs can't be read: unexpected end of JSON input", "root of the API"},
		{"an array", at("/hubs", saying(`[]`)), "answer to GET /hubs can't be read", "root of the API"},
		{"text for a number", at("/hubs", saying(`{"total_count":"1","hubs":[]}`)), "answer to GET /hubs can't be read", "root of the API"},
		{"negative total", at("/devices", saying(`{"total_count":-1,"devices":[]}`)), "answer to GET /devices can't be read", "root of the API"},
		{"hub without an id", at("/hubs", saying(`{"total_count":1,"hubs":[{"name":"x"}]}`)), `the hub "x" has the id "": expected a UUID`, "root of the API"},
		{"no hubs", at("/hubs", saying(`{"total_count":0,"hubs":null}`)), "the token sees no hub at the source", "project"},
		{"total too high", at("/devices", saying(`{"total_count":2,"devices":[{"id":"a"}]}`)), "the source says that there are 2 devices, and lists 1 on 2 pages", "can't be trusted"},
		{"total too low", at("/devices", saying(`{"total_count":1,"devices":[{"id":"a"},{"id":"b"}]}`)), "the source says that there are 1 devices, and lists 2 on 1 pages", "can't be trusted"},
		{"no total", at("/devices", saying(`{"devices":[{"id":"a"}]}`)), "there are 0 devices, and lists 1", "can't be trusted"},
		{"empty pages", at("/devices", saying(`{"total_count":3000000000,"devices":[]}`)), "there are 3000000000 devices, and lists 0 on 1 pages", "can't be trusted"},
		{"endless pages", at("/devices", saying(`{"total_count":18446744073709551615,"devices":[{}`+strings.Repeat(",{}", 100_000)+`]}`)),
			"the source lists devices without end: 300003 on 3 pages", "can't be trusted"},
		{"endless pages of one", at("/devices", saying(`{"total_count":4000000000,"devices":[{}]}`)), "the source lists devices without end: 4097 on 4097 pages", "can't be trusted"},
		{"redirect elsewhere", at("/hubs", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "https://evil.example/hubs")
			w.WriteHeader(307)
		}), `the source answers GET /hubs?page=1&page_size=100 with a redirect to "https://evil.example/hubs", where the token must not follow`, "--from"},
		{"wrong token", at("/devices", func(w http.ResponseWriter, _ *http.Request) {
			say(w, 401, `{"message":"authentication is denied","method":"api_key","reason":"expired","type":"denied_authentication"}`)
		}), `the source answers 401 Unauthorized to GET /devices?`, "SCW_SECRET_KEY"},
		{"right to devices missing", at("/devices/"+string(deviceID(1))+"/certificate", func(w http.ResponseWriter, _ *http.Request) {
			say(w, 403, `{"details":[{"action":"read","resource":"device"}],"message":"insufficient permissions","type":"permissions_denied"}`)
		}), `answers 403 Forbidden to GET /devices/` + string(deviceID(1)) + `/certificate: "insufficient permissions"`, "the right to read"},
		{"no twins at all", at(twinPath, func(w http.ResponseWriter, _ *http.Request) { say(w, 404, `{"message":"Not Found"}`) }),
			`answers 404 Not Found to GET ` + twinPath + `: "Not Found"`, "root of the API"},
		{"documents are no list", at(twinPath, saying(`{"documents":{"desired":1}}`)), "answer to GET " + twinPath + " can't be read", "root of the API"},
		{"names are no names", at(twinPath, saying(`{"documents":[{"document_name":1}]}`)), "answer to GET " + twinPath + " can't be read", "root of the API"},
		{"null for a twin", at(twinPath, saying(`null`)), "answer to GET " + twinPath + " can't be read: it is no object", "root of the API"},
		{"gigabytes", at(twinPath, func(w http.ResponseWriter, _ *http.Request) { flood(w) }), "answer to GET " + twinPath + " is longer than 8388608 bytes", "can't be trusted"},
		{"gigabytes in a small box", at(twinPath, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			defer z.Close()
			writeFlood(z)
		}), "answer to GET " + twinPath + " is longer than 8388608 bytes", "can't be trusted"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, v *vendor) {
				_, id := v.add(1)
				v.put(id, "current", 3, `{}`)
				target := newTarget()
				v.meddle = tt.meddle
				_, err := v.run(t, target)
				wantError(t, tt.name, err, tt.text, tt.hint)
				if v.strangers > 0 {
					t.Errorf("%d requests without the token", v.strangers)
				}
				v.meddle = nil
				v.mustRun(t, target) // nothing was done that is in the way now
			})
		})
	}
}

// flood answers with an object that doesn't end for a gigabyte.
func flood(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	writeFlood(w)
}

func writeFlood(w io.Writer) {
	_, _ = io.WriteString(w, `{"documents":["`)
	block := []byte(strings.Repeat("x", 64<<10))
	for range 1 << 14 {
		if _, err := w.Write(block); err != nil {
			return // the client has had enough
		}
	}
}

// Whatever is wrong with one device or document is said, and keeps nothing else back.
func TestImportLeavesBehind(t *testing.T) {
	const one = `device "panel-1" (dddddddd-0000-4000-8000-000000000001)`
	entry := func(n int, change func(fields)) func(t *testing.T, v *vendor) {
		return func(t *testing.T, v *vendor) { change(v.devices[n-1]) }
	}
	document := func(name, body string) func(t *testing.T, v *vendor) {
		return func(t *testing.T, v *vendor) { v.twins[deviceID(1)][name] = body }
	}
	data := func(name, version, data string) func(t *testing.T, v *vendor) {
		return document(name, fmt.Sprintf(`{"twin_id":%q,"document_name":%q,"version":%s,"data":%s}`, deviceID(1), name, version, data))
	}
	for _, tt := range []struct {
		name     string
		lie      func(t *testing.T, v *vendor)
		want     string // the finding
		devices  int    // that come over, of two
		document int    // likewise
	}{
		{"id that is no UUID", entry(1, func(d fields) { d["id"] = "../hubs" }), `left behind: device "panel-1" with id "../hubs": twin_id: not a UUID`, 1, 1},
		{"no id", entry(1, func(d fields) { delete(d, "id") }), `left behind: device "panel-1" with id "": twin_id: not a UUID`, 1, 1},
		{"id of another type", entry(1, func(d fields) { d["id"] = 17 }), `left behind: device "panel-1" with id "": json: cannot unmarshal number`, 1, 1},
		{"flag of another type", entry(1, func(d fields) { d["allow_insecure"] = "true" }), `left behind: device "panel-1" with id "dddddddd-0000-4000-8000-000000000001": json: cannot unmarshal string`, 1, 1},
		{"time that is none", entry(1, func(d fields) { d["created_at"] = "yesterday" }), `left behind: device "panel-1" with id "dddd`, 1, 1},
		{"no name", entry(1, func(d fields) { d["name"] = nil }), `left behind: device "" (dddddddd-0000-4000-8000-000000000001): name: give a name`, 1, 1},
		{"name with a control character", entry(1, func(d fields) { d["name"] = "\x1b[2Jpanel" }), `left behind: device "\x1b[2Jpanel" (dddddddd-0000-4000-8000-000000000001): name: remove the unprintable character U+001B`, 1, 1},
		{"long name", entry(1, func(d fields) { d["name"] = strings.Repeat("x", 65) }), `: name: shorten the name to 64 characters`, 1, 1},
		{"name like an id", entry(1, func(d fields) { d["name"] = hubID }), `: name: a name of this form is taken for an id`, 1, 1},
		{"same name", entry(2, func(d fields) { d["name"] = "panel-1" }),
			`left behind: device "panel-1" (dddddddd-0000-4000-8000-000000000002): device dddddddd-0000-4000-8000-000000000001 has the same name`, 1, 1},
		{"another hub's", func(t *testing.T, v *vendor) {
			v.meddle = at("/devices", func(w http.ResponseWriter, _ *http.Request) {
				v.devices[0]["hub_id"] = project
				answer(w, fields{"total_count": 2, "devices": v.devices})
			})
		}, `left behind: ` + one + `: the source lists it, but it is of another hub, "bbbbbbbb-0000-4000-8000-000000000002"`, 1, 1},
		{"unknown policy", entry(1, func(d fields) { d["message_filters"] = fields{"publish": fields{"policy": "maybe"}} }), `left behind: ` + one + `: message_filters: unknown policy "maybe"`, 1, 1},
		{"filters of another type", entry(1, func(d fields) { d["message_filters"] = "all" }), `left behind: ` + one + `: message_filters: json: cannot unmarshal string`, 1, 1},

		{"certificate that is none", func(t *testing.T, v *vendor) { v.certs[deviceID(1)] = "hello" }, `left behind: ` + one + `: what should be its certificate has none in PEM`, 1, 1},
		{"broken certificate", func(t *testing.T, v *vendor) {
			v.certs[deviceID(1)] = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n"
		}, `left behind: ` + one + `: its certificate can't be read: x509: malformed certificate`, 1, 1},
		{"a key in its place", func(t *testing.T, v *vendor) {
			v.certs[deviceID(1)] = "-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----\n"
		}, `left behind: ` + one + `: what should be its certificate has none in PEM`, 1, 1},
		{"same certificate", func(t *testing.T, v *vendor) {
			_, v.certs[deviceID(1)] = newCertificate(t, "panel", false, future)
			v.certs[deviceID(2)] = v.certs[deviceID(1)]
		}, ` has the same certificate`, 1, -1},

		{"name with a slash", document("../desired", `{}`), `left behind: document "../desired" of ` + one + `: document_name: only letters, digits`, 2, 2},
		{"name without end", document(strings.Repeat("x", 129), `{}`), `of ` + one + `: document_name: longer than 128 characters`, 2, 2},
		{"name that no URL carries", document("..", `{}`), `left behind: document ".." of ` + one + `: document_name: a name that no URL can carry`, 2, 2},
		{"empty name", document("", `{}`), `left behind: document "" of ` + one + `: document_name: empty`, 2, 2},
		{"version 0", data("a", "0", `{}`), `left behind: document a of ` + one + `: version: a document's version is 1 or more`, 2, 2},
		{"no version", document("a", `{"data":{}}`), `left behind: document a of ` + one + `: version: a document's version is 1 or more`, 2, 2},
		{"negative version", data("a", "-1", `{}`), `left behind: document a of ` + one + `: version: not a whole number`, 2, 2},
		{"version 2^32", data("a", "4294967296", `{}`), `left behind: document a of ` + one + `: version: not a whole number`, 2, 2},
		{"fraction of a version", data("a", "1.5", `{}`), `left behind: document a of ` + one + `: version: not a whole number`, 2, 2},
		{"truncated document", document("a", `{"version":1,"data":{"b":`), `left behind: document a of ` + one + `: body: not JSON: unexpected end`, 2, 2},
		{"empty answer", document("a", ` `), `left behind: document a of ` + one + `: body: empty`, 2, 2},
		{"data that is no object", data("a", "1", `[1]`), `left behind: document a of ` + one + `: data: not an object`, 2, 2},
		{"same key twice", data("a", "1", `{"b":1,"b":2}`), `left behind: document a of ` + one + `: data.b: duplicate key`, 2, 2},
		{"another document", document("a", fmt.Sprintf(`{"twin_id":%q,"document_name":"b","version":1,"data":{}}`, deviceID(1))),
			`left behind: document a of ` + one + `: the source answers with document "b" of twin "dddddddd-0000-4000-8000-000000000001"`, 2, 2},
		{"another twin", document("a", fmt.Sprintf(`{"twin_id":%q,"document_name":"a","version":1,"data":{}}`, deviceID(2))),
			`left behind: document a of ` + one + `: the source answers with document "a" of twin "dddddddd-0000-4000-8000-000000000002"`, 2, 2},
		{"256 KiB and more", data("a", "1", `{"b":"`+strings.Repeat("x", 256<<10)+`"}`), `left behind: document a of ` + one + `: data: larger than 262144 bytes`, 2, 2},
		{"deeper than 32", data("a", "1", strings.Repeat(`{"b":`, 32)+`{}`+strings.Repeat(`}`, 32)), `: deeper than 32 levels`, 2, 2},
		{"gigabytes", func(t *testing.T, v *vendor) {
			v.twins[deviceID(1)]["a"] = `{}`
			v.meddle = at("/twins/"+string(deviceID(1))+"/documents/a", func(w http.ResponseWriter, _ *http.Request) { flood(w) })
		}, `left behind: document a of ` + one + `: the source's answer to GET /twins/dddddddd-0000-4000-8000-000000000001/documents/a is longer than 8388608 bytes`, 2, 2},
		{"invalid _config", data("_config", "1", `{"documents":{"current":{"_tsdb_trigger":"sometimes"}}}`), `left behind: document _config of ` + one + `: data.documents.current._tsdb_trigger`, 2, 2},
		{"more than 100", func(t *testing.T, v *vendor) {
			for i := range 101 {
				v.put(deviceID(1), fmt.Sprintf("d%03d", i), 1, `{}`)
			}
		}, `left behind: 2 documents of ` + one + `, from "d099" on: a twin has no more than 100 here`, 2, 101},

		{"hub's name", func(t *testing.T, v *vendor) { v.hubs[0]["name"] = strings.Repeat("é", 256) }, `left behind: the hub's name "ééé`, 2, 2},
		{"hub's project", func(t *testing.T, v *vendor) { v.hubs[0]["project_id"] = "x" }, `left behind: the hub's project "x": expected a UUID`, 2, 2},
		{"hub's events", func(t *testing.T, v *vendor) { v.hubs[0]["events_topic_prefix"] = "a/#" }, `left behind: the hub's events_topic_prefix "a/#"`, 2, 2},
		{"hub's time series", func(t *testing.T, v *vendor) {
			v.hubs[0]["twins_graphite_config"] = fields{"push_uri": "ftp://user:hunter2@graphite.example"}
		}, `left behind: the hub's push_uri for time series: `, 2, 2},
		{"hub's CA missing", func(t *testing.T, v *vendor) { v.hubs[0]["has_custom_ca"] = true }, `left behind: the hub's CA: what should be its certificate has none in PEM`, 2, 2},
		{"hub's CA is none", func(t *testing.T, v *vendor) {
			v.hubs[0]["has_custom_ca"] = true
			_, v.ca = newCertificate(t, "no authority", false, future)
		}, `left behind: the hub's CA: certificate of "CN=no authority" is not an authority's`, 2, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, v *vendor) {
				for n := range 2 {
					_, id := v.add(n + 1)
					v.put(id, "current", 3, `{}`)
				}
				tt.lie(t, v)
				target := newTarget()
				report, err := v.run(t, target)
				if err != nil {
					t.Fatal(err)
				}
				wantError(t, "complete", report.Complete(), "not everything came over: see the line above", "go on without it")
				if !strings.Contains(findings(report), tt.want) {
					t.Errorf("findings:\n%swant among them\n%s", findings(report), tt.want)
				}
				if strings.Contains(findings(report), "hunter2") {
					t.Errorf("a finding has a secret in it:\n%s", findings(report))
				}
				devices, err := target.Registry.Devices(t.Context())
				if err != nil || len(devices) != tt.devices {
					t.Errorf("%d devices came over, %v; want %d", len(devices), err, tt.devices)
				}
				got := 0
				for n := range 2 {
					names, err := target.Documents.List(t.Context(), deviceID(n+1))
					if err != nil {
						t.Fatal(err)
					}
					got += len(names)
				}
				if tt.document >= 0 && got != tt.document {
					t.Errorf("%d documents came over, want %d", got, tt.document)
				}
				if c := report.Devices; c.Found != 2 || c.Added+c.LeftBehind != c.Found || report.Documents.Added != got {
					t.Errorf("counts don't add up: %+v", report)
				}
			})
		})
	}
}

// A list that doesn't add up for a moment, since devices come and go, is read again.
func TestImportReadsAListAgain(t *testing.T) {
	bubble(t, func(t *testing.T, v *vendor) {
		for n := range 150 {
			v.add(n)
		}
		removed := false
		v.meddle = func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == region+"/devices" && r.URL.Query().Get("page") == "2" && !removed {
				removed = true
				v.devices = v.devices[1:] // what was first on the second page is on none
			}
			return false
		}
		target := newTarget()
		report := v.mustRun(t, target)
		devices, err := target.Registry.Devices(t.Context())
		if err != nil || len(devices) != 149 || report.Devices.Added != 149 {
			t.Errorf("%d devices, %v, %+v; want 149", len(devices), err, report)
		}
	})
}

// Also where nothing is written, each device needs a certificate of its own.
func TestPlanFindsACertificateTwice(t *testing.T) {
	bubble(t, func(t *testing.T, v *vendor) {
		_, text := newCertificate(t, "panel", false, future)
		for n := range 3 {
			_, id := v.add(n)
			v.certs[id] = text
		}
		source, err := importer.Open(t.Context(), v.config())
		if err != nil {
			t.Fatal(err)
		}
		plan, err := source.Plan(t.Context(), newTarget())
		if err != nil || counts(plan) != "devices added:1 devices left_behind:2" || strings.Count(findings(plan), " has the same certificate\n") != 2 {
			t.Errorf("got %+v, %v\n%s", plan, err, findings(plan))
		}
	})
}

func TestImportNotes(t *testing.T) {
	bubble(t, func(t *testing.T, v *vendor) {
		v.hubs[0]["enabled"] = false
		d, _ := v.add(1)
		d["status"], d["description"] = "error", strings.Repeat("é", 256)
		v.add(2)
		_, v.certs[deviceID(2)] = newCertificate(t, "panel-2", false, time.Now().Add(-time.Hour))
		v.meddle = at("/routes", func(w http.ResponseWriter, _ *http.Request) {
			say(w, 403, `{"message":"insufficient permissions","type":"permissions_denied"}`)
		})
		target := newTarget()
		report := v.mustRun(t, target)
		const want = `note: device "panel-1" (dddddddd-0000-4000-8000-000000000001) has a description of more than 255 characters: its end is cut off here
note: device "panel-1" (dddddddd-0000-4000-8000-000000000001) has the status "error" at the source, and is disabled here: hub device enable changes that
note: device "panel-2" (dddddddd-0000-4000-8000-000000000002) has a certificate that expired on 1999-12-31, which a hub refuses
note: devices without a certificate on record: 1 ("panel-1"); hub device renew gives one, or a secret
note: routes can't be looked at: the source answers 403 Forbidden to GET /routes?hub_id=aaaaaaaa-0000-4000-8000-000000000001&page=1&page_size=100: "insufficient permissions"
note: secrets of devices and the documents that they may not write are shown by no API: hub device renew and hub device set give them; from a hub of this kind, hub backup brings all
note: the hub is disabled at the source; this one serves whenever it runs
note: the private keys of devices stay with them: nothing needs to be done
note: tokens stay behind: make new ones with hub token add
`
		if got := findings(report); got != want {
			t.Errorf("findings:\n got %s\nwant %s", got, want)
		}
		if d, err := target.Registry.Device(t.Context(), deviceID(1)); err != nil || !d.Disabled || d.Description != strings.Repeat("é", 255) {
			t.Errorf("got %+v, %v; want it disabled, and its description cut", d, err)
		}
	})
}

// The leaf counts, wherever it stands in the chain.
func TestImportOfAChain(t *testing.T) {
	bubble(t, func(t *testing.T, v *vendor) {
		leaf, leafPEM := newCertificate(t, "panel-0", false, future)
		last, lastPEM := newCertificate(t, "panel-1", false, future)
		own, ownPEM := newCertificate(t, "panel-2", true, future)
		_, authority := newCertificate(t, "authority", true, future)
		for n, text := range []string{leafPEM + authority, authority + "some words\n" + lastPEM, ownPEM} {
			_, id := v.add(n)
			v.certs[id] = text
		}
		target := newTarget()
		v.mustRun(t, target)
		for n, want := range [][]byte{leaf, last, own} {
			d, err := target.Registry.Device(t.Context(), deviceID(n))
			if err != nil || !bytes.Equal(d.Certificate, want) {
				t.Errorf("device %d has another certificate, or %v", n, err)
			}
		}
	})
}

// A twin that is full here takes nothing more of the source.
func TestImportIntoAFullTwin(t *testing.T) {
	bubble(t, func(t *testing.T, v *vendor) {
		_, id := v.add(1)
		target := newTarget()
		v.mustRun(t, target)
		for i := range 100 {
			key := docstore.Key{Twin: id, Name: twin.Name(fmt.Sprint("d", i))}
			if err := target.Documents.Set(t.Context(), key, docstore.Document{Version: 1, Data: []byte(`{}`)}); err != nil {
				t.Fatal(err)
			}
		}
		v.put(id, "current", 3, `{}`)
		report, err := v.run(t, target)
		if err != nil {
			t.Fatal(err)
		}
		const want = `left behind: 1 documents of device "panel-1" (dddddddd-0000-4000-8000-000000000001), from "current" on: a twin has no more than 100 here`
		if got := findings(report); !strings.Contains(got, want) || counts(report) != "documents left_behind:1" {
			t.Errorf("findings:\n%swant %s", got, want)
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	for _, tt := range []struct{ source, hub, token, text, hint string }{
		{"", "", token, "the source is no address of the web", "https://api.scaleway.com"},
		{"api.scaleway.com", "", token, "the source is no address of the web", "https://api.scaleway.com"},
		{"ftp://vendor.test", "", token, "the source is no address of the web", "https://"},
		{"https://user:hunter2@vendor.test", "", token, "has a user or password in it", "SCW_SECRET_KEY"},
		{"https://:hunter2@%zz", "", token, "the source is no address of the web", "https://"},
		{"https://vendor.test/?x=1", "", token, "more than a path", "root of the API"},
		{"https://vendor.test/#x", "", token, "more than a path", "root of the API"},
		{"https://vendor.test/iot/v1/regions/", "", token, `the source's path is "/iot/v1/regions": expected`, "root of the API"},
		{"https://vendor.test/iot/v1/regions/fr-par/hubs", "", token, "expected …/iot/v1/regions/fr-par", "root of the API"},
		{"http://vendor.test", "", token, "in plain text", "--insecure"},
		{"https://vendor.test", "", "", "token is missing or isn't one", "SCW_SECRET_KEY"},
		{"https://vendor.test", "", "a\nb", "token is missing or isn't one", "SCW_SECRET_KEY"},
		{"https://vendor.test", "house", token, `the hub's id is "house": expected a UUID`, "listed"},
	} {
		_, err := importer.Open(t.Context(), importer.Config{Source: tt.source, Hub: tt.hub, Token: tt.token, Transport: noNetwork{}})
		wantError(t, fmt.Sprintf("%+v", tt), err, tt.text, tt.hint)
	}
}

// noNetwork fails whoever asks.
type noNetwork struct{}

func (noNetwork) RoundTrip(r *http.Request) (*http.Response, error) {
	panic("asked for " + r.URL.String())
}

func TestOpenChoosesAHub(t *testing.T) {
	bubble(t, func(t *testing.T, v *vendor) {
		v.hubs = append(v.hubs, fields{"id": project, "name": "other", "device_count": 12})
		v.add(1)
		config := v.config()
		_, err := importer.Open(t.Context(), config)
		wantError(t, "no choice", err, "the source has several hubs:\n  "+hubID+` "house", 0 devices`+"\n  "+project+` "other", 12 devices`, "--hub ID")
		config.Hub = "cccccccc-0000-4000-8000-000000000003"
		_, err = importer.Open(t.Context(), config)
		wantError(t, "wrong choice", err, "the source has no hub cccccccc-0000-4000-8000-000000000003, but:\n  "+hubID, "--hub ID")
		for id, devices := range map[string]int{strings.ToUpper(hubID): 1, project: 0} {
			config.Hub = id
			source, err := importer.Open(t.Context(), config)
			if err != nil {
				t.Fatal(err)
			}
			if report, err := source.Import(t.Context(), newTarget()); err != nil || report.Devices.Added != devices || !report.Verified {
				t.Errorf("%s: got %+v, %v; want %d devices", id, report, err, devices)
			}
		}
	})
}

func TestOpenCompletesTheAddress(t *testing.T) {
	bubble(t, func(t *testing.T, v *vendor) {
		for _, source := range []string{"http://vendor.test", "http://vendor.test/", "http://vendor.test/iot/v1/regions/fr-par", "http://vendor.test/iot/v1/regions/fr-par/"} {
			config := v.config()
			config.Source = source
			if _, err := importer.Open(t.Context(), config); err != nil {
				t.Errorf("%s: %v", source, err)
			}
		}
	})
}
