package hub_test

import (
	"encoding/json"
	"io"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/credential"
	"github.com/twinpanel/twinpanel/hub/registry"
)

// FuzzRESTDevices: whatever the body, or the query of a list, the answer is JSON, with a status from
// docs/protocol.md and a typed error if it is one. After a refusal the registry is as before. After a success it
// has nothing beyond the limits, and what it has can be shown.
func FuzzRESTDevices(f *testing.F) {
	calls := []struct {
		method, path string
		statuses     []int
	}{
		{"POST", devices, []int{200, 400, 404, 413}},
		{"PATCH", device, []int{200, 400, 404, 413}},
		{"PUT", device + "/certificate", []int{200, 400, 413}},
		{"PATCH", theHub, []int{200, 400, 412, 413}},
		{"POST", theHub + "/ca", []int{200, 400, 413}},
		{"GET", devices, []int{200, 400}},
		{"GET", hubs, []int{200, 400}},
	}
	for _, body := range []string{
		"", "{}", "null", "[]", "name=x", `{"name":"new","hub_id":"` + hubID + `"}`, `{"Name":"new","hub_id":"` + otherHubID + `"}`,
		`{"name":"\u0000","hub_id":"` + hubID + `","description":null,"allow_insecure":true}`, `{"name":"a","name":"b","hub_id":"` + hubID + `"}`,
		`{"description":"\ud800","allow_multiple_connections":true,"hub_id":"x"}`, `{"message_filters":{"publish":{"policy":"accept","topics":["a/+","#"]},"subscribe":null}}`,
		`{"message_filters":{"publish":{"topics":[null,1]}}}`, `{"certificate_pem":"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"}`,
		`{"ca_cert_pem":"x","challenge_cert_pem":"y"}`, `{"name":"x","product_plan":"plan_unknown","events_topic_prefix":"a","enable_device_auto_provisioning":true}`,
		`{"twins_graphite_config":{"push_uri":"tcp://u:p@carbon"}}`, `{"twins_graphite_config":{"push_uri":""}}`, "{\"name\":\"\xff\"}",
		"page=1&page_size=100&order_by=name_desc", "page=-1", "status=unknown&hub_id=" + hubID, "name=%zz;a=b", "allow_insecure=maybe",
	} {
		for i := range calls {
			f.Add(uint8(i), []byte(body))
		}
	}
	// They take longer to make than all the rest.
	authorities, err := credential.Ensure(f.Context(), registry.NewMemory())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		// With the flag set, nothing is pushed to where a body says.
		h := newDeviceHub(t, func(c *hub.Config) { c.Graphite = "tcp://127.0.0.1:9" })
		_, err := h.registry.UpdateAuthorities(t.Context(), func([]registry.Authority) ([]registry.Authority, error) { return authorities, nil })
		if err != nil {
			t.Fatal(err)
		}
		before := h.state(t)
		c := calls[int(which)%len(calls)]
		r := httptest.NewRequestWithContext(t.Context(), c.method, c.path, strings.NewReader(string(body)))
		if c.method == "GET" {
			r.URL.RawQuery = string(body)
		}
		r.Header.Set("X-Auth-Token", token)
		w := httptest.NewRecorder()
		h.rest.ServeHTTP(w, r)
		answer, err := io.ReadAll(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(answer) || !utf8.Valid(answer) || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: the answer is no JSON: %s", c.method, c.path, answer)
		}
		if !slices.Contains(c.statuses, w.Code) {
			t.Errorf("%s %s: got %d %s", c.method, c.path, w.Code, answer)
		}
		if w.Code != 200 {
			var e struct {
				Type string `json:"type"`
			}
			want := map[int]string{400: "invalid_arguments", 404: "not_found", 412: "precondition_failed", 413: "invalid_arguments"}
			if err := json.Unmarshal(answer, &e); err != nil || e.Type != want[w.Code] {
				t.Errorf("%s %s: got %d %s, want a %s", c.method, c.path, w.Code, answer, want[w.Code])
			}
			before.check(t, h)
		}
		now := h.state(t)
		if c.method == "GET" {
			before.check(t, h)
		}
		for _, d := range now.devices {
			if registry.CheckName(d.Name) != nil || utf8.RuneCountInString(d.Description) > 255 || !utf8.ValidString(d.Description) {
				t.Errorf("the registry has the device %+v", d)
			}
			h.ask(t, "GET", devices+"/"+string(d.ID)+"/certificate", "", "device.message_filters.publish.topics")
		}
		if n := utf8.RuneCountInString(now.hub.Name); n < 1 || n > 255 || now.hub.Graphite != "" || now.hub.ID != hubID {
			t.Errorf("the hub's record is %+v", now.hub)
		}
		h.ask(t, "GET", theHub, "")
	})
}
