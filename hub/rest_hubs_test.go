package hub_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// The shape of the hub, in the vendor's order, and what each PATCH makes of it.
func TestRESTHubShape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newDeviceHub(t, func(c *hub.Config) { c.Names = []string{"hub.example", "192.0.2.7"} })
		time.Sleep(time.Until(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)))
		const (
			created = "2026-01-02T03:04:05.678Z"
			now     = "2026-11-22T12:00:00.000Z"
		)
		shape := func(name string, noEvents bool, prefix, updated, more string) string {
			return fmt.Sprintf(`{"id":%q,"name":%q,"status":"ready","product_plan":"plan_shared","enabled":true,"device_count":1,"connected_device_count":0,`+
				`"endpoint":"hub.example","disable_events":%v,"events_topic_prefix":%q,"region":"fr-par","created_at":%q,"updated_at":%q,`+
				`"project_id":%q,"organization_id":%q,"enable_device_auto_provisioning":false,"has_custom_ca":false%s}`,
				hubID, name, noEvents, prefix, created, updated, hubID, hubID, more)
		}
		const carbon = `,"twins_graphite_config":{"push_uri":"tcp://127.0.0.1:9"}`
		for _, step := range []struct{ name, method, path, body, want string }{
			{"fresh", "GET", theHub, "", shape("house", false, "$SCW/events", created, "")},
			{"list", "GET", hubs, "", `{"total_count":1,"hubs":[` + shape("house", false, "$SCW/events", created, "") + `]}`},
			{"list as the vendor's Go SDK asks", "GET", hubs + "?order_by=created_at_asc&name=house&page=1&page_size=100&project_id=" + hubID + "&organization_id=" + strings.ToUpper(hubID), "",
				`{"total_count":1,"hubs":[` + shape("house", false, "$SCW/events", created, "") + `]}`},
			{"page 2", "GET", hubs + "?page=2", "", `{"total_count":1,"hubs":[]}`},
			{"another name", "GET", hubs + "?name=barn", "", `{"total_count":0,"hubs":[]}`},
			{"another project", "GET", hubs + "?project_id=" + otherHubID, "", `{"total_count":0,"hubs":[]}`},
			{"patch", "PATCH", theHub, `{"name":"barn","product_plan":"plan_unknown","disable_events":true,"events_topic_prefix":"events","enable_device_auto_provisioning":false}`,
				shape("barn", true, "events", now, "")},
			{"nulls are nothing", "PATCH", theHub, `{"name":null,"product_plan":null,"disable_events":null,"events_topic_prefix":null,` +
				`"enable_device_auto_provisioning":null,"twins_graphite_config":null}`, shape("barn", true, "events", now, "")},
			{"its own plan", "PATCH", theHub, `{"product_plan":"plan_shared","unknown":1}`, shape("barn", true, "events", now, "")},
			{"graphite", "PATCH", theHub, `{"twins_graphite_config":{"push_uri":"tcp://127.0.0.1:9"}}`, shape("barn", true, "events", now, carbon)},
			{"graphite stays", "PATCH", theHub, `{"disable_events":false}`, shape("barn", false, "events", now, carbon)},
			{"graphite goes", "PATCH", theHub, `{"twins_graphite_config":{"push_uri":""}}`, shape("barn", false, "events", now, "")},
		} {
			if checkAnswer(t, call(h.rest, step.method, step.path, step.body), 200, step.want); t.Failed() {
				t.Fatal(step.name)
			}
		}
	})
}

func TestRESTHubWithoutNamesIsLocalhost(t *testing.T) {
	h := newDeviceHub(t)
	if got := h.ask(t, "GET", theHub, "", "endpoint"); got[0] != `"localhost"` {
		t.Errorf("got %s", got[0])
	}
}

// Credentials of the push URI are for tokens that could change it, and never for the log.
func TestRESTPushURIIsASecret(t *testing.T) {
	var log bytes.Buffer
	h := newDeviceHub(t, func(c *hub.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	secrets := addScopes(t, h.registry)
	const uri = "http://user:s3cret@127.0.0.1:9/private"
	h.ask(t, "PATCH", theHub, `{"twins_graphite_config":{"push_uri":"`+uri+`"}}`)
	for _, path := range []string{theHub, hubs} {
		if body := bodyOf(t, h, "GET", path, token); !strings.Contains(body, uri) {
			t.Errorf("%s with a token that writes: got %s", path, body)
		}
		if body := bodyOf(t, h, "GET", path, secrets["reader"]); strings.Contains(body, "s3cret") || strings.Contains(body, "private") ||
			!strings.Contains(body, `"push_uri":"http://127.0.0.1:9"`) {
			t.Errorf("%s with a token that only reads: got %s", path, body)
		}
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(log.String(), "s3cret") || strings.Contains(log.String(), "private") {
		t.Errorf("the log has the secret:\n%s", &log)
	}
}

func bodyOf(t *testing.T, h deviceHub, method, path, secret string) string {
	t.Helper()
	answer := call(h.rest, method, path, "", "X-Auth-Token: "+secret)
	defer answer.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(answer.Body); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Who changes a device or the hub stands in the log, with the token's name and without the device's id.
func TestRESTChangesAreLogged(t *testing.T) {
	var log bytes.Buffer
	h := newDeviceHub(t, func(c *hub.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	h.add(t, "shed")
	h.ask(t, "PATCH", device, `{"description":"x"}`)
	h.ask(t, "POST", device+"/disable", "")
	h.ask(t, "POST", device+"/enable", "")
	h.ask(t, "POST", device+"/renew-certificate", "")
	call(h.rest, "DELETE", device, "")
	h.ask(t, "PATCH", theHub, `{"name":"x"}`)
	for _, want := range []string{
		`msg="device added" device=shed id=`,
		`msg="device changed" device=panel id=11111111… token=app`,
		`msg="device disabled" device=panel id=11111111… token=app`,
		`msg="device enabled" device=panel id=11111111… token=app`,
		`msg="device certificate changed" device=panel id=11111111… token=app`,
		`msg="device removed" device=panel id=11111111… token=app`,
		`msg="hub changed" token=app`,
	} {
		if !strings.Contains(log.String(), "level=INFO "+want) {
			t.Errorf("the log lacks %s:\n%s", want, &log)
		}
	}
	if strings.Contains(log.String(), string(panelID)) || strings.Contains(log.String(), token) || strings.Contains(log.String(), "PRIVATE") {
		t.Errorf("the log has a secret:\n%s", &log)
	}
}

// A troubledRegistry fails with err whatever is asked about devices, hub and authorities, or only what writes.
type troubledRegistry struct {
	registry.Registry
	err   error
	reads bool // reads fail too
	ready bool // the hub has started
}

func (r *troubledRegistry) read() error {
	if r.ready && r.reads {
		return r.err
	}
	return nil
}

func (r *troubledRegistry) Device(ctx context.Context, id twin.ID) (registry.Device, error) {
	d, err := r.Registry.Device(ctx, id)
	return d, errors.Join(r.read(), err)
}

func (r *troubledRegistry) Devices(ctx context.Context) ([]registry.Device, error) {
	d, err := r.Registry.Devices(ctx)
	return d, errors.Join(r.read(), err)
}

func (r *troubledRegistry) Hub(ctx context.Context) (registry.Hub, error) {
	h, err := r.Registry.Hub(ctx)
	return h, errors.Join(r.read(), err)
}

func (r *troubledRegistry) AddDevice(context.Context, registry.Device) error { return r.err }
func (r *troubledRegistry) RemoveDevice(context.Context, twin.ID) error      { return r.err }
func (r *troubledRegistry) UpdateDevice(context.Context, twin.ID, func(*registry.Device) error) (registry.Device, error) {
	return registry.Device{}, r.err
}
func (r *troubledRegistry) UpdateHub(context.Context, func(*registry.Hub) error) (registry.Hub, error) {
	return registry.Hub{}, r.err
}
func (r *troubledRegistry) UpdateAuthorities(context.Context, func([]registry.Authority) ([]registry.Authority, error)) ([]registry.Authority, error) {
	return nil, r.err
}

// In the hub's own trouble a request says that nothing was written, or that it can't know, and nothing more.
func TestRESTDevicesAndHubsWhenTheRegistryFails(t *testing.T) {
	disk := errors.New("/var/lib/hub/twins.db: disk full")
	for _, tt := range []struct {
		err    error
		reads  bool
		status int
		want   string
	}{
		{disk, false, 500, `{"message":"internal error: nothing was written"}`},
		{disk, true, 500, `{"message":"internal error: nothing was written"}`},
		{&docstore.OutcomeError{Err: disk}, false, 503, `{"message":"outcome unknown: the write may have happened or not, read it again to see"}`},
	} {
		var troubled *troubledRegistry
		h := newDeviceHub(t, func(c *hub.Config) {
			troubled = &troubledRegistry{Registry: c.Registry, err: tt.err, reads: tt.reads}
			c.Registry = troubled
		})
		troubled.ready = true
		ca, challenge := newAuthority(t, hubID)
		for _, r := range deviceRoutes {
			body := r.body
			switch {
			case strings.HasSuffix(r.path, "/certificate") && r.method == "PUT":
				body = jsonText(t, map[string]string{"certificate_pem": ca})
			case strings.HasSuffix(r.path, "/ca"):
				body = jsonText(t, map[string]string{"ca_cert_pem": ca, "challenge_cert_pem": challenge})
			}
			answer := call(h.rest, r.method, r.path, body)
			only := slices.Contains([]string{"POST " + hubs, "DELETE " + theHub, "POST " + theHub + "/enable", "POST " + theHub + "/disable"}, r.method+" "+r.path)
			switch {
			case only && !tt.reads:
				checkAnswer(t, answer, 403, onlyHub)
			case r.method == "GET" && !tt.reads && r.path != theHub+"/ca":
				if answer.StatusCode != 200 {
					t.Errorf("GET %s: got %d, want 200", r.path, answer.StatusCode)
				}
			case only && r.path == hubs:
				checkAnswer(t, answer, 403, onlyHub)
			default:
				if checkAnswer(t, answer, tt.status, tt.want); t.Failed() {
					t.Fatalf("%s %s", r.method, r.path)
				}
			}
		}
	}
}

func jsonText(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
