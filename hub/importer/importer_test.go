package importer_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/importer"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// future is when certificates of tests expire: a bubble's clock begins in the year 2000.
var future = time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC)

// furnish gives a vendor a hub with all that there can be.
func furnish(t *testing.T, v *vendor) {
	h := v.hubs[0]
	h["twins_graphite_config"] = fields{"push_uri": "https://user:hunter2@graphite.example/metrics"}
	h["enable_device_auto_provisioning"], h["has_custom_ca"], h["disable_events"] = true, true, true
	_, v.ca = newCertificate(t, "our devices", true, future)
	v.ca += v.ca // nobody looked twice
	v.networks = []fields{{"id": project, "name": "sensors", "type": "sigfox"}}

	d, id := v.add(1)
	d["description"], d["allow_multiple_connections"] = "front <door> & back", true
	d["last_activity_at"], d["updated_at"] = "2026-11-02T08:00:00.123456789Z", "2023-01-01T00:00:00Z"
	d["message_filters"] = fields{"publish": fields{"policy": "accept", "topics": []string{"a/<b>"}}, "subscribe": nil}
	d["has_custom_certificate"] = true
	_, v.certs[id] = newCertificate(t, "panel-1", false, future)
	v.put(id, "desired", 7, `{"alarm_armed":true}`)
	v.put(id, "current", 1<<32-1, "{ \"door_open\" : 1.50 ,\n \"text\":\"<é>\" }")
	v.put(id, "_config", 1, `{"documents":{"current":{"_tsdb_trigger":"on-change"}}}`)

	d, _ = v.add(2) // a twin without documents, a device without anything
	d["status"], d["description"], d["message_filters"], d["region"] = "disabled", nil, nil, nil
	d["last_activity_at"], d["updated_at"], d["surprise"] = nil, nil, fields{"new": true}

	d, id = v.add(3)
	d["id"] = strings.ToUpper(string(id))
	d["allow_insecure"] = true
	delete(v.twins, id) // 404: nobody ever put a document
}

func TestImport(t *testing.T) {
	bubble(t, func(t *testing.T, v *vendor) {
		furnish(t, v)
		target := newTarget()
		report := v.mustRun(t, target)

		line, _ := json.Marshal(report)
		const want = `{"hub":"aaaaaaaa-0000-4000-8000-000000000001","name":"house","dry_run":false,` +
			`"devices":{"found":3,"added":3,"updated":0,"unchanged":0,"kept":0,"conflicts":0,"left_behind":0,"changed":0},` +
			`"documents":{"found":3,"added":3,"updated":0,"unchanged":0,"kept":0,"conflicts":0,"left_behind":0,"changed":0},"verified":true}`
		if string(line) != want {
			t.Errorf("report:\n got %s\nwant %s", line, want)
		}
		const notes = `note: devices that may connect with nothing but their id, as whoever learns it may: 1; give them a certificate or a secret
note: devices without a certificate on record: 1 ("panel-2"); they need one that "CN=our devices" has signed, or hub device renew
note: networks stay behind, since nothing is routed here: 1 of them, such as "sensors" (sigfox)
note: secrets of devices and the documents that they may not write are shown by no API: hub device renew and hub device set give them; from a hub of this kind, hub backup brings all
note: the CA "CN=our devices" vouches for devices: whoever has its key can be any device that has no certificate on record
note: the private keys of devices stay with them: nothing needs to be done
note: time series go to https://graphite.example, as at the source; a token that may only read is shown no password, so that the database may refuse them
note: tokens stay behind: make new ones with hub token add
`
		if got := findings(report); got != notes {
			t.Errorf("findings:\n got %s\nwant %s", got, notes)
		}
		checkHub(t, v, target)
		checkDevices(t, v, target)

		before := content(t, target)
		if again := v.mustRun(t, target); again.Devices.Unchanged != 3 || again.Documents.Unchanged != 3 || again.Devices.Added+again.Documents.Added != 0 {
			t.Errorf("the second import reports %+v", again)
		}
		if after := content(t, target); after != before {
			t.Errorf("the second import changed something:\n%s\nbefore:\n%s", after, before)
		}
	})
}

// checkHub wants the hub that furnish made.
func checkHub(t *testing.T, v *vendor, target importer.Target) {
	t.Helper()
	created := time.Date(2022, 11, 16, 14, 45, 12, 488e6, time.UTC)
	h, err := target.Registry.Hub(t.Context())
	if want := (registry.Hub{
		ID: hubID, Name: "house", Graphite: "https://user:hunter2@graphite.example/metrics", AutoProvisioning: true,
		ProjectID: project, OrganizationID: project, DisableEvents: true, EventsTopicPrefix: "$SCW/events", Created: created, Updated: created,
	}); err != nil || h != want {
		t.Errorf("the hub is %+v, %v\nwant %+v", h, err, want)
	}
	all, err := target.Registry.Authorities(t.Context())
	if err != nil || len(all) != 1 || all[0].Kind != registry.DeviceAuthority || all[0].Key != nil || !strings.Contains(v.ca, pemBody(all[0].Certificate)) {
		t.Errorf("authorities are %+v, %v; want the source's CA", all, err)
	}
}

// checkDevices wants the devices that furnish made.
func checkDevices(t *testing.T, v *vendor, target importer.Target) {
	t.Helper()
	devices, err := target.Registry.Devices(t.Context())
	if err != nil || len(devices) != 3 {
		t.Fatalf("%d devices, %v; want 3", len(devices), err)
	}
	d := devices[0]
	if !strings.Contains(v.certs[d.ID], pemBody(d.Certificate)) {
		t.Errorf("the certificate of %s is another one", d.Name)
	}
	d.Certificate = nil
	if got, want := fmt.Sprintf("%+v", d), fmt.Sprintf("%+v", registry.Device{
		ID: deviceID(1), Name: "panel-1", Description: "front <door> & back", AllowMultipleConnections: true, CustomCertificate: true,
		MessageFilters: json.RawMessage(`{"publish":{"policy":"accept","topics":["a/\u003cb\u003e"]},"subscribe":{"policy":"reject","topics":[]}}`),
		Created:        time.Date(2022, 11, 16, 14, 45, 12, 488e6, time.UTC),
		Updated:        time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC),
		LastActivity:   time.Date(2026, 11, 2, 8, 0, 0, 123456000, time.UTC),
	}); got != want {
		t.Errorf("got device %s\nwant %s", got, want)
	}
	if d := devices[1]; d.ID != deviceID(2) || !d.Disabled || d.MessageFilters != nil || !d.Updated.IsZero() || !d.LastActivity.IsZero() || len(d.Certificate) > 0 {
		t.Errorf("got device %+v, want one that is disabled and has nothing", d)
	}
	if d := devices[2]; d.ID != deviceID(3) || d.Disabled || !d.AllowInsecure {
		t.Errorf("got device %+v, want one that may connect without a credential", d)
	}
	for name, want := range map[twin.Name]docstore.Document{
		"desired": {Version: 7, Data: []byte(`{"alarm_armed":true}`)},
		"current": {Version: 1<<32 - 1, Data: []byte(`{"door_open":1.50,"text":"<é>"}`)},
		"_config": {Version: 1, Data: []byte(`{"documents":{"current":{"_tsdb_trigger":"on-change"}}}`)},
	} {
		got, err := target.Documents.Get(t.Context(), docstore.Key{Twin: deviceID(1), Name: name})
		if err != nil || got.Version != want.Version || !bytes.Equal(got.Data, want.Data) {
			t.Errorf("%s: got version %d with %s, %v; want %d with %s", name, got.Version, got.Data, err, want.Version, want.Data)
		}
	}
}

// pemBody is the beginning of a certificate as PEM has it.
func pemBody(der []byte) string {
	text, _ := json.Marshal(der[:min(45, len(der))]) // base64 of 45 bytes is shorter than PEM's line
	return strings.Trim(string(text), `"`)
}

func TestImportReadsAllPages(t *testing.T) {
	bubble(t, func(t *testing.T, v *vendor) {
		const n = 201
		for i := range n {
			_, id := v.add(i)
			v.put(id, "current", uint32(i+1), fmt.Sprintf(`{"n":%d}`, i))
		}
		var lines []string
		config := v.config()
		config.Progress = func(line string) { lines = append(lines, line) }
		source, err := importer.Open(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		target := newTarget()
		report, err := source.Import(t.Context(), target)
		if err != nil || report.Complete() != nil || report.Devices.Added != n || report.Documents.Added != n {
			t.Fatalf("got %+v, %v\n%s", report, err, findings(report))
		}
		if got, want := strings.Join(lines, "\n"), `reading the list of devices
imported 100 of 201 devices
imported 200 of 201 devices
imported 201 of 201 devices
reading the list of devices
verified 100 of 201 devices
verified 200 of 201 devices
verified 201 of 201 devices`; got != want {
			t.Errorf("progress:\n got %s\nwant %s", got, want)
		}
		for i := range n {
			doc, err := target.Documents.Get(t.Context(), docstore.Key{Twin: deviceID(i), Name: "current"})
			if err != nil || doc.Version != uint32(i+1) || string(doc.Data) != fmt.Sprintf(`{"n":%d}`, i) {
				t.Errorf("device %d: got %+v, %v", i, doc, err)
			}
		}
	})
}

// An import that the source ended at any request goes on, and ends the same.
func TestImportGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T, v *vendor) {
		furnish(t, v)
		whole := newTarget()
		v.mustRun(t, whole)
		want := content(t, whole)
		cuts := 0
		for n := 0; ; n++ {
			target := newTarget()
			served := 0
			v.meddle = func(w http.ResponseWriter, r *http.Request) bool {
				if served++; served <= n {
					return false
				}
				panic(http.ErrAbortHandler) // the connection ends
			}
			_, err := v.run(t, target)
			v.meddle = nil
			if err == nil {
				break
			}
			cuts++
			wantError(t, fmt.Sprintf("cut after %d requests", n), err, "gave up after 6 attempts", "run the same command again")
			v.mustRun(t, target)
			if got := content(t, target); got != want {
				t.Fatalf("cut after %d requests: got\n%s\nwant\n%s", n, got, want)
			}
		}
		if cuts < 20 {
			t.Errorf("%d cuts: the import asks less than it should", cuts)
		}
	})
}

// wantError wants an error with a part of its text, and one of its hint.
func wantError(t *testing.T, what string, err error, text, hint string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error, want one with %q", what, text)
		return
	}
	h, ok := errors.AsType[interface {
		error
		Hint() string
	}](err)
	if !strings.Contains(err.Error(), text) || !ok || !strings.Contains(h.Hint(), hint) {
		t.Errorf("%s:\n got %v\nwant …%s…", what, err, text)
		if ok {
			t.Errorf("hint:\n got %s\nwant …%s…", h.Hint(), hint)
		}
	}
	for _, secret := range []string{token, "hunter2"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error has a secret in it: %v", what, err)
		}
	}
}
