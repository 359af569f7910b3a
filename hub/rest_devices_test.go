package hub_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

const (
	hubID      = "aaaaaaaa-0000-4000-8000-000000000000"
	otherHubID = "bbbbbbbb-0000-4000-8000-000000000000"
	devices    = region + "/devices"
	device     = devices + "/" + string(panelID)
	hubs       = region + "/hubs"
	theHub     = hubs + "/" + hubID
)

// A deviceHub is a hub with a known id, the panel, and what is kept of them.
type deviceHub struct {
	*hub.Hub
	rest     http.Handler
	registry registry.Registry
}

func newDeviceHub(t *testing.T, options ...func(*hub.Config)) deviceHub {
	t.Helper()
	var h deviceHub
	h.Hub = newHub(t, docstore.NewMemory(), append([]func(*hub.Config){func(c *hub.Config) {
		h.registry = c.Registry
		made := time.Date(2026, 1, 2, 3, 4, 5, 678_901_000, time.UTC)
		_, err := c.Registry.UpdateHub(t.Context(), func(r *registry.Hub) error {
			r.ID, r.Name, r.Created = hubID, "house", made
			return nil
		})
		if err == nil {
			err = c.Registry.RemoveDevice(t.Context(), panelID)
		}
		if err == nil {
			err = c.Registry.AddDevice(t.Context(), registry.Device{ID: panelID, Name: "panel", AllowInsecure: true, Created: made})
		}
		if err != nil {
			t.Fatal(err)
		}
	}}, options...)...)
	h.rest = h.REST()
	return h
}

// registryState is all that a registry keeps but for tokens.
type registryState struct {
	devices     []registry.Device
	hub         registry.Hub
	authorities []registry.Authority
}

func (h deviceHub) state(t *testing.T) (s registryState) {
	t.Helper()
	var errs [3]error
	s.devices, errs[0] = h.registry.Devices(t.Context())
	s.hub, errs[1] = h.registry.Hub(t.Context())
	s.authorities, errs[2] = h.registry.Authorities(t.Context())
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	return s
}

// check fails the test if something has changed.
func (s registryState) check(t *testing.T, h deviceHub) {
	t.Helper()
	now := h.state(t)
	if !reflect.DeepEqual(now.devices, s.devices) {
		t.Errorf("the devices have changed from\n\t%+v\nto\n\t%+v", s.devices, now.devices)
	}
	if now.hub != s.hub {
		t.Errorf("the hub's record has changed from\n\t%+v\nto\n\t%+v", s.hub, now.hub)
	}
	if !reflect.DeepEqual(now.authorities, s.authorities) {
		t.Error("the authorities have changed")
	}
}

// ask sends a request that has to succeed, and returns what the answer has under the keys, joined
// with dots, as JSON.
func (h deviceHub) ask(t *testing.T, method, path, body string, keys ...string) []string {
	t.Helper()
	answer := call(h.rest, method, path, body)
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != 200 {
		t.Fatalf("%s %s: got %d %s, %v", method, path, answer.StatusCode, text, err)
	}
	values := make([]string, len(keys))
	for i, key := range keys {
		at := json.RawMessage(text)
		for k := range strings.SplitSeq(key, ".") {
			var object map[string]json.RawMessage
			if err := json.Unmarshal(at, &object); err != nil {
				t.Fatalf("%s %s: got %s, which has no %s: %v", method, path, text, key, err)
			}
			at = object[k]
		}
		values[i] = string(at)
	}
	return values
}

// asToken is the hub as somebody with another token finds it.
func asToken(h deviceHub, secret string) deviceHub {
	rest := h.rest
	h.rest = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("X-Auth-Token", secret)
		rest.ServeHTTP(w, r)
	})
	return h
}

// add creates a device.
func (h deviceHub) add(t *testing.T, name string) (id twin.ID) {
	t.Helper()
	got := h.ask(t, "POST", devices, fmt.Sprintf(`{"name":%q,"hub_id":%q}`, name, hubID), "device.id")
	return twin.ID(strings.Trim(got[0], `"`))
}

const defaultFilters = `{"publish":{"policy":"reject","topics":[]},"subscribe":{"policy":"reject","topics":[]}}`

// The shape of a device, in the vendor's order, at each step of its life.
func TestRESTDeviceShape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newDeviceHub(t)
		time.Sleep(time.Until(time.Date(2026, 11, 22, 12, 0, 0, 5_999_999, time.UTC)))
		shape := func(description, status, activity string, insecure, multiple bool, filters, updated string) string {
			return fmt.Sprintf(`{"id":%q,"name":"panel","description":%q,"status":%q,"hub_id":%q,"last_activity_at":%q,"is_connected":false,`+
				`"allow_insecure":%v,"allow_multiple_connections":%v,"message_filters":%s,"has_custom_certificate":false,`+
				`"created_at":"2026-01-02T03:04:05.678Z","updated_at":%q,"region":"fr-par"}`,
				panelID, description, status, hubID, activity, insecure, multiple, filters, updated)
		}
		const (
			never   = "1970-01-01T00:00:00Z"
			created = "2026-01-02T03:04:05.678Z"
			now     = "2026-11-22T12:00:00.005Z"
		)
		filters := `{"publish":{"policy":"accept","topics":["a/+","$SCW/#"]},"subscribe":{"policy":"reject","topics":[]}}`
		for _, step := range []struct{ name, method, path, body, want string }{
			{"fresh", "GET", device, "", shape("", "enabled", never, true, false, defaultFilters, created)},
			{"head", "HEAD", device, "", shape("", "enabled", never, true, false, defaultFilters, created)},
			{"upper case id", "GET", devices + "/" + strings.ToUpper(string(panelID)), "", shape("", "enabled", never, true, false, defaultFilters, created)},
			{"patch", "PATCH", device, `{"description":"hall <1>","allow_insecure":false,"allow_multiple_connections":true,"message_filters":` + filters + `}`,
				shape("hall <1>", "enabled", never, false, true, filters, now)},
			{"patch of nothing", "PATCH", device, `{}`, shape("hall <1>", "enabled", never, false, true, filters, now)},
			{"nulls are nothing", "PATCH", device, `{"description":null,"allow_insecure":null,"allow_multiple_connections":null,"message_filters":null,"hub_id":null}`,
				shape("hall <1>", "enabled", never, false, true, filters, now)},
			{"nulls in filters are nothing", "PATCH", device, `{"message_filters":{"publish":{"policy":null,"topics":null},"subscribe":null}}`,
				shape("hall <1>", "enabled", never, false, true, filters, now)},
			{"unknown policy is nothing", "PATCH", device, `{"message_filters":{"publish":{"policy":"unknown"}}}`, shape("hall <1>", "enabled", never, false, true, filters, now)},
			{"unknown keys don't matter", "PATCH", device, `{"name":"other","id":7,"region":"x","message_filters":{"x":1}}`,
				shape("hall <1>", "enabled", never, false, true, filters, now)},
			{"this hub", "PATCH", device, `{"hub_id":"` + strings.ToUpper(hubID) + `"}`, shape("hall <1>", "enabled", never, false, true, filters, now)},
			{"one filter", "PATCH", device, `{"description":"","message_filters":{"publish":{"policy":"reject","topics":[]}}}`,
				shape("", "enabled", never, false, true, defaultFilters, now)},
			{"disable", "POST", device + "/disable", `{}`, shape("", "disabled", never, false, true, defaultFilters, now)},
			{"disable again", "POST", device + "/disable", ``, shape("", "disabled", never, false, true, defaultFilters, now)},
			{"enable", "POST", device + "/enable", `{}`, shape("", "enabled", never, false, true, defaultFilters, now)},
			{"list", "GET", devices, "", `{"total_count":1,"devices":[` + shape("", "enabled", never, false, true, defaultFilters, now) + `]}`},
			{"no certificate", "GET", device + "/certificate", "", `{"device":` + shape("", "enabled", never, false, true, defaultFilters, now) + `,"certificate_pem":""}`},
		} {
			if checkAnswer(t, call(h.rest, step.method, step.path, step.body), 200, step.want); t.Failed() {
				t.Fatal(step.name)
			}
		}
		if err := h.registry.Seen(t.Context(), map[twin.ID]time.Time{panelID: time.Date(2026, 11, 21, 1, 2, 3, 0, time.UTC)}, nil); err != nil {
			t.Fatal(err)
		}
		checkAnswer(t, call(h.rest, "GET", device, ""), 200, shape("", "enabled", "2026-11-21T01:02:03.000Z", false, true, defaultFilters, now))
		checkAnswer(t, call(h.rest, "DELETE", device, ""), 204, "")
		checkAnswer(t, call(h.rest, "DELETE", device, ""), 404, noResource("device", string(panelID)))
		checkAnswer(t, call(h.rest, "GET", panel, ""), 404, noResource("twin", string(panelID)))
	})
}

func TestRESTCreateDevice(t *testing.T) {
	h := newDeviceHub(t)
	body := fmt.Sprintf(`{"name":"front door","hub_id":%q,"description":"x","allow_insecure":true,"allow_multiple_connections":true,`+
		`"message_filters":{"subscribe":{"policy":"accept","topics":["a"]}},"unknown":1}`, hubID)
	got := h.ask(t, "POST", devices, body, "device.id", "device.name", "device.description", "device.status", "device.hub_id", "device.last_activity_at",
		"device.allow_insecure", "device.allow_multiple_connections", "device.message_filters", "device.has_custom_certificate", "device.region")
	var id twin.ID
	if err := json.Unmarshal([]byte(got[0]), &id); err != nil {
		t.Fatal(err)
	}
	want := []string{got[0], `"front door"`, `"x"`, `"enabled"`, `"` + hubID + `"`, `"1970-01-01T00:00:00Z"`, "true", "true",
		`{"publish":{"policy":"reject","topics":[]},"subscribe":{"policy":"accept","topics":["a"]}}`, "false", `"fr-par"`}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n\t%q\nwant\n\t%q", got, want)
	}
	d, err := h.registry.Device(t.Context(), id)
	if err != nil || d.Name != "front door" || len(d.Certificate) == 0 || d.CustomCertificate || d.HasSecret() {
		t.Errorf("the registry has %+v, %v; want a device with a certificate and no secret", d, err)
	}
	if got := h.ask(t, "POST", devices, `{"name":"plain","hub_id":"`+hubID+`","description":null,"message_filters":null}`,
		"device.allow_insecure", "device.allow_multiple_connections", "device.message_filters"); !reflect.DeepEqual(got, []string{"false", "false", defaultFilters}) {
		t.Errorf("without settings: got %q", got)
	}
	checkAnswer(t, call(h.rest, "GET", region+"/twins/"+string(id), ""), 200, `{"documents":[]}`)
}

// noResource is the body for what isn't there.
func noResource(resource, id string) string {
	return fmt.Sprintf(`{"message":"resource is not found","resource":%q,"resource_id":%q,"type":"not_found"}`, resource, id)
}
