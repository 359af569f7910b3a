package importer_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// FuzzAnswer has the source answer anything to one of the requests. Whatever it is, what comes over could have
// been put here as well, and an honest answer later mends what is missing.
func FuzzAnswer(f *testing.F) {
	kinds := []string{"/hubs", "/devices", "/certificate", "/twins/" + string(deviceID(1)), "/documents/current", "/documents/_config", "/ca", "/routes"}
	f.Add(uint8(0), []byte(`{"total_count":1,"hubs":[{"id":"aaaaaaaa-0000-4000-8000-000000000001","name":"x"}]}`))
	f.Add(uint8(1), []byte(`{"total_count":1,"devices":[{"id":"dddddddd-0000-4000-8000-000000000001","name":"x","hub_id":"aaaaaaaa-0000-4000-8000-000000000001"}]}`))
	f.Add(uint8(2), []byte(`{"device":null,"certificate_pem":"-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n"}`))
	f.Add(uint8(3), []byte(`{"documents":[{"document_name":"current"},{"document_name":"../a"}]}`))
	f.Add(uint8(4), []byte(`{"twin_id":"dddddddd-0000-4000-8000-000000000001","document_name":"current","version":3,"data":{"a":[1.0]}}`))
	f.Add(uint8(5), []byte(`{"twin_id":"dddddddd-0000-4000-8000-000000000001","document_name":"_config","version":3,"data":{"documents":{}}}`))
	f.Add(uint8(6), []byte(`{"ca_cert_pem":""}`))
	f.Add(uint8(7), []byte(`{"total_count":0,"routes":[]}`))
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		bubble(t, func(t *testing.T, v *vendor) {
			furnish(t, v)
			path := kinds[int(kind)%len(kinds)]
			v.meddle = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, path) {
					return false
				}
				say(w, 200, string(body))
				return true
			}
			target := newTarget()
			report, err := v.run(t, target)
			if err != nil && report.Verified {
				t.Errorf("verified, and failed with %v", err)
			}
			checkTarget(t, target.Registry, target.Documents)

			v.meddle = nil
			if h, err := target.Registry.Hub(t.Context()); err != nil || h.ID != hubID {
				return // it showed another hub, or none
			}
			if _, err := v.run(t, target); err != nil {
				t.Errorf("the honest import after that: %v", err)
			}
			checkTarget(t, target.Registry, target.Documents)
			for n := 1; n <= 3; n++ {
				_, missing := target.Registry.Device(t.Context(), deviceID(n))
				_, free := target.Registry.DeviceByName(t.Context(), fmt.Sprintf("panel-%d", n))
				if missing != nil && free != nil { // nobody took its name
					t.Errorf("device %d is missing: %v", n, missing)
				}
			}
		})
	})
}

// checkTarget wants everything to be as the hub itself would have it.
func checkTarget(t *testing.T, r registry.Registry, documents docstore.Store) {
	t.Helper()
	devices, err := r.Devices(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range devices {
		if id, err := twin.ParseID(string(d.ID)); err != nil || id != d.ID || registry.CheckName(d.Name) != nil {
			t.Errorf("device %q with the name %q came over", d.ID, d.Name)
		}
		names, err := documents.List(t.Context(), d.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			doc, err := documents.Get(t.Context(), docstore.Key{Twin: d.ID, Name: name})
			if err != nil {
				t.Fatal(err)
			}
			update, err := twin.ParsePut(twin.Document{Version: doc.Version, Data: doc.Data}.Encode())
			if _, bad := twin.ParseName(string(name)); bad != nil || err != nil || doc.Version == 0 || string(update.Data) != string(doc.Data) {
				t.Errorf("document %q with version %d and %q came over: %v", name, doc.Version, doc.Data, err)
			}
		}
	}
}
