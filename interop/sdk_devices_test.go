package interop

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	iot "github.com/scaleway/scaleway-sdk-go/api/iot/v1"
	"github.com/scaleway/scaleway-sdk-go/scw"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/credential"
	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// A secureHub is a hub as one would run it: with an authority of its own, MQTT and REST over TLS, and REST in
// plain text beside it for the same tests.
type secureHub struct {
	*hub.Hub
	registry registry.Registry
	token    string
	ca       []byte // server authority in PEM
	mqtts    string // HOST:PORT
	http     string // base URLs of the vendor's SDKs
	https    string
}

func startSecureHub(t *testing.T, options ...func(*hub.Config)) *secureHub {
	t.Helper()
	documents, devices := docstore.NewMemory(), registry.NewMemory()
	devices.DeleteAll = documents.DeleteAll
	config := hub.Config{Documents: documents, Registry: devices, Names: []string{"localhost", "127.0.0.1"}}
	for _, option := range options {
		option(&config)
	}
	h := &secureHub{registry: devices}
	var err error
	if h.Hub, err = hub.New(config); err != nil {
		t.Fatal(err)
	}
	secure, err := h.TLS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all, err := devices.Authorities(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.ca = credential.Bundle(all, registry.ServerAuthority)
	token, secret, err := registry.NewToken("app")
	if err == nil {
		err = devices.AddToken(t.Context(), token)
	}
	if err != nil {
		t.Fatal(err)
	}
	h.token = secret

	ended := make(chan error, 3)
	serve := func(serve func(net.Listener) error, config *tls.Config) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := l.Addr().String()
		if config != nil {
			l = tls.NewListener(l, config)
		}
		go func() { ended <- serve(l) }()
		return address
	}
	h.mqtts = serve(h.ServeMQTT, secure)
	h.http = "http://" + serve(h.ServeREST, nil)
	h.https = "https://" + serve(h.ServeREST, secure)
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		for range cap(ended) {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
	return h
}

// sdk is the vendor's Go SDK, which trusts this hub and nobody else.
func (h *secureHub) sdk(t *testing.T, apiURL, secret string) *iot.API {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(h.ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(transport.CloseIdleConnections)
	client, err := scw.NewClient(
		scw.WithAPIURL(apiURL),
		scw.WithAuth(anyAccessKey, secret),
		scw.WithDefaultRegion(scw.RegionFrPar),
		scw.WithHTTPClient(&http.Client{Transport: transport}),
	)
	if err != nil {
		t.Fatal(err)
	}
	return iot.NewAPI(client)
}

// overBoth runs a test over HTTP and over HTTPS, each with a hub of its own.
func overBoth(t *testing.T, test func(t *testing.T, h *secureHub, api *iot.API)) {
	t.Helper()
	for _, secure := range []bool{false, true} {
		t.Run(map[bool]string{false: "http", true: "https"}[secure], func(t *testing.T) {
			h := startSecureHub(t)
			url := h.http
			if secure {
				url = h.https
			}
			test(t, h, h.sdk(t, url, h.token))
		})
	}
}

// hubID asks for the only hub's id, as a program of the vendor's does first.
func hubID(t *testing.T, api *iot.API) string {
	t.Helper()
	list, err := api.ListHubs(&iot.ListHubsRequest{})
	if err != nil || list.TotalCount != 1 || len(list.Hubs) != 1 {
		t.Fatalf("the list of hubs is %+v, %v; want one", list, err)
	}
	return list.Hubs[0].ID
}

func createDevice(t *testing.T, api *iot.API, name string) *iot.CreateDeviceResponse {
	t.Helper()
	made, err := api.CreateDevice(&iot.CreateDeviceRequest{Name: name, HubID: hubID(t, api)})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// rule is a filter as the SDK has it.
func rule(policy iot.DeviceMessageFiltersRulePolicy, topics ...string) *iot.DeviceMessageFiltersRule {
	if topics == nil {
		topics = []string{}
	}
	return &iot.DeviceMessageFiltersRule{Policy: policy, Topics: &topics}
}

// Every call about a device, in the life of one.
func TestVendorSDKDevices(t *testing.T) {
	overBoth(t, func(t *testing.T, h *secureHub, api *iot.API) {
		began := time.Now().Add(-time.Second)
		hub := hubID(t, api)
		made, err := api.CreateDevice(&iot.CreateDeviceRequest{
			Name: "front door", HubID: hub, AllowMultipleConnections: true, Description: new("hall"),
			MessageFilters: &iot.DeviceMessageFilters{Publish: rule(iot.DeviceMessageFiltersRulePolicyAccept, "a/+")},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tls.X509KeyPair([]byte(made.Certificate.Crt), []byte(made.Certificate.Key)); err != nil {
			t.Errorf("the certificate and its key: %v", err)
		}
		d := made.Device
		if d.CreatedAt == nil || d.CreatedAt.Before(began) || d.UpdatedAt == nil || d.LastActivityAt == nil || !d.LastActivityAt.Equal(time.Unix(0, 0)) {
			t.Errorf("the times are %v, %v, %v; want now, now, 1970", d.CreatedAt, d.UpdatedAt, d.LastActivityAt)
		}
		want := &iot.Device{
			ID: d.ID, Name: "front door", Description: "hall", Status: iot.DeviceStatusEnabled, HubID: hub, AllowMultipleConnections: true,
			MessageFilters: &iot.DeviceMessageFilters{Publish: rule(iot.DeviceMessageFiltersRulePolicyAccept, "a/+"), Subscribe: rule(iot.DeviceMessageFiltersRulePolicyReject)},
			Region:         scw.RegionFrPar, CreatedAt: d.CreatedAt, UpdatedAt: d.UpdatedAt, LastActivityAt: d.LastActivityAt,
		}
		check := func(what string, got *iot.Device, err error) {
			t.Helper()
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if got.UpdatedAt == nil || got.UpdatedAt.Before(*want.UpdatedAt) {
				t.Errorf("%s: updated at %v, before that at %v", what, got.UpdatedAt, want.UpdatedAt)
			}
			want.UpdatedAt = got.UpdatedAt
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: got\n\t%+v\nwant\n\t%+v", what, got, want)
			}
		}
		check("create", made.Device, nil)
		got, err := api.GetDevice(&iot.GetDeviceRequest{DeviceID: d.ID})
		check("get", got, err)
		got, err = api.UpdateDevice(&iot.UpdateDeviceRequest{DeviceID: d.ID})
		check("update of nothing", got, err)

		want.Description, want.AllowInsecure, want.AllowMultipleConnections = "", true, false
		want.MessageFilters.Publish = rule(iot.DeviceMessageFiltersRulePolicyReject, "b")
		got, err = api.UpdateDevice(&iot.UpdateDeviceRequest{
			DeviceID: d.ID, Description: new(""), AllowInsecure: new(true), AllowMultipleConnections: new(false), HubID: &hub,
			MessageFilters: &iot.DeviceMessageFilters{Publish: rule(iot.DeviceMessageFiltersRulePolicyReject, "b")},
		})
		check("update", got, err)
		want.Status = iot.DeviceStatusDisabled
		got, err = api.DisableDevice(&iot.DisableDeviceRequest{DeviceID: d.ID})
		check("disable", got, err)
		want.Status = iot.DeviceStatusEnabled
		got, err = api.EnableDevice(&iot.EnableDeviceRequest{DeviceID: d.ID})
		check("enable", got, err)

		certificate, err := api.GetDeviceCertificate(&iot.GetDeviceCertificateRequest{DeviceID: d.ID})
		if err != nil {
			t.Fatal(err)
		}
		check("get certificate", certificate.Device, nil)
		if certificate.CertificatePem != made.Certificate.Crt {
			t.Error("get certificate: not the one that it was created with")
		}
		renewed, err := api.RenewDeviceCertificate(&iot.RenewDeviceCertificateRequest{DeviceID: d.ID})
		if err != nil {
			t.Fatal(err)
		}
		check("renew", renewed.Device, nil)
		if _, err := tls.X509KeyPair([]byte(renewed.Certificate.Crt), []byte(renewed.Certificate.Key)); err != nil || renewed.Certificate.Crt == made.Certificate.Crt {
			t.Errorf("renew: %v, or the certificate before", err)
		}
		own := createDevice(t, api, "lends its certificate")
		if err := api.DeleteDevice(&iot.DeleteDeviceRequest{DeviceID: own.Device.ID}); err != nil {
			t.Fatal(err)
		}
		want.HasCustomCertificate = true
		set, err := api.SetDeviceCertificate(&iot.SetDeviceCertificateRequest{DeviceID: d.ID, CertificatePem: own.Certificate.Crt})
		if err != nil {
			t.Fatal(err)
		}
		check("set certificate", set.Device, nil)
		if set.CertificatePem != own.Certificate.Crt {
			t.Error("set certificate: answered another one")
		}

		if err := api.DeleteDevice(&iot.DeleteDeviceRequest{DeviceID: d.ID}); err != nil {
			t.Fatal(err)
		}
		_, err = api.GetDevice(&iot.GetDeviceRequest{DeviceID: d.ID})
		checkError(t, err, &scw.ResourceNotFoundError{Resource: "device", ResourceID: d.ID})
		_, err = api.ListTwinDocuments(&iot.ListTwinDocumentsRequest{TwinID: d.ID})
		checkError(t, err, &scw.ResourceNotFoundError{Resource: "twin", ResourceID: d.ID})
	})
}

// What devices refuse comes out as the error that a program written for the vendor's hub looks for.
func TestVendorSDKDeviceErrors(t *testing.T) {
	overBoth(t, func(t *testing.T, h *secureHub, api *iot.API) {
		hub := hubID(t, api)
		made := createDevice(t, api, "panel")
		other := createDevice(t, api, "other")
		panel := made.Device.ID
		const noID = "not a UUID: write an id as in 01234567-89ab-cdef-0123-456789abcdef"
		invalid := func(argument, reason, help string) error {
			return &scw.InvalidArgumentsError{Details: []scw.InvalidArgumentsErrorDetail{{ArgumentName: argument, Reason: reason, HelpMessage: help}}}
		}
		noDevice := &scw.ResourceNotFoundError{Resource: "device", ResourceID: unknownID}
		noHub := &scw.ResourceNotFoundError{Resource: "hub", ResourceID: unknownID}
		create := func(r iot.CreateDeviceRequest) error { _, err := api.CreateDevice(&r); return err }
		update := func(r iot.UpdateDeviceRequest) error { _, err := api.UpdateDevice(&r); return err }
		list := func(r iot.ListDevicesRequest) error { _, err := api.ListDevices(&r); return err }
		get := func(id string) error { _, err := api.GetDevice(&iot.GetDeviceRequest{DeviceID: id}); return err }
		set := func(id, pem string) error {
			_, err := api.SetDeviceCertificate(&iot.SetDeviceCertificateRequest{DeviceID: id, CertificatePem: pem})
			return err
		}
		_, enable := api.EnableDevice(&iot.EnableDeviceRequest{DeviceID: unknownID})
		_, disable := api.DisableDevice(&iot.DisableDeviceRequest{DeviceID: unknownID})
		_, renew := api.RenewDeviceCertificate(&iot.RenewDeviceCertificateRequest{DeviceID: unknownID})
		_, certificate := api.GetDeviceCertificate(&iot.GetDeviceCertificateRequest{DeviceID: unknownID})
		for _, tt := range []struct {
			name      string
			got, want error
		}{
			{"get of an unknown device", get(unknownID), noDevice},
			{"get of no id", get("panel"), invalid("device_id", "format", noID)},
			{"update of an unknown device", update(iot.UpdateDeviceRequest{DeviceID: unknownID}), noDevice},
			{"delete of an unknown device", api.DeleteDevice(&iot.DeleteDeviceRequest{DeviceID: unknownID}), noDevice},
			{"enable of an unknown device", enable, noDevice},
			{"disable of an unknown device", disable, noDevice},
			{"renewal for an unknown device", renew, noDevice},
			{"certificate of an unknown device", certificate, noDevice},
			{"certificate for an unknown device", set(unknownID, made.Certificate.Crt), noDevice},
			{"certificate that another has", set(panel, other.Certificate.Crt),
				invalid("certificate_pem", "constraint", "another device has this certificate: each needs its own")},
			{"certificate that is none", set(panel, ""), invalid("certificate_pem", "required", "missing: send a certificate in PEM")},
			{"name that is taken", create(iot.CreateDeviceRequest{Name: "panel", HubID: hub}), invalid("name", "constraint", "another device has this name: choose another one")},
			{"name that is too long", create(iot.CreateDeviceRequest{Name: strings.Repeat("n", 65), HubID: hub}), invalid("name", "constraint", "shorten the name to 64 characters")},
			{"no hub", create(iot.CreateDeviceRequest{Name: "new"}), invalid("hub_id", "required", "missing: name the hub, see GET …/hubs")},
			{"another hub", create(iot.CreateDeviceRequest{Name: "new", HubID: unknownID}), noHub},
			{"move to another hub", update(iot.UpdateDeviceRequest{DeviceID: panel, HubID: new(unknownID)}), noHub},
			{"long description", update(iot.UpdateDeviceRequest{DeviceID: panel, Description: new(strings.Repeat("d", 256))}),
				invalid("description", "constraint", "longer than 255 characters")},
			{"bad topic", update(iot.UpdateDeviceRequest{DeviceID: panel, MessageFilters: &iot.DeviceMessageFilters{Publish: rule("accept", "#/a")}}), invalid("message_filters", "format",
				"message_filters.publish.topics[0]: no topic filter: write 1 to 1024 bytes, + alone in its level and # alone in the last")},
			{"page 0", list(iot.ListDevicesRequest{Page: new(int32(0))}), invalid("page", "constraint", "not a whole number from 1 to 2147483647")},
			{"pages too long", list(iot.ListDevicesRequest{PageSize: new(uint32(101))}), invalid("page_size", "constraint", "not a whole number from 1 to 100")},
			{"another region", list(iot.ListDevicesRequest{Region: scw.RegionNlAms}), invalid("region", "unknown", "this hub serves region fr-par")},
		} {
			t.Run(tt.name, func(t *testing.T) { checkError(t, tt.got, tt.want) })
		}
		if got, err := api.ListDevices(&iot.ListDevicesRequest{}); err != nil || got.TotalCount != 2 {
			t.Errorf("after all refusals there are %+v, %v; want 2", got, err)
		}
	})
}

// A token for one device sees that device, and a token that only reads sees all; neither changes any, nor
// does the first see the hub.
func TestVendorSDKDevicesWithNarrowTokens(t *testing.T) {
	overBoth(t, func(t *testing.T, h *secureHub, all *iot.API) {
		hub := hubID(t, all)
		panel, other := createDevice(t, all, "panel").Device.ID, createDevice(t, all, "other").Device.ID
		with := func(name string, scope registry.Token) *iot.API {
			token, secret, err := registry.NewToken(name)
			if err != nil {
				t.Fatal(err)
			}
			token.ReadOnly, token.Device = scope.ReadOnly, scope.Device
			if err := h.registry.AddToken(t.Context(), token); err != nil {
				t.Fatal(err)
			}
			return h.sdk(t, h.https, secret)
		}
		reader, panelOnly := with("reader", registry.Token{ReadOnly: true}), with("panel only", registry.Token{Device: twin.ID(panel)})
		calls := []struct {
			name         string
			call         func(api *iot.API) error
			denied       error
			reads, panel bool // allowed to the reader, and to the token of the panel
		}{
			{"get", func(api *iot.API) error { _, err := api.GetDevice(&iot.GetDeviceRequest{DeviceID: panel}); return err }, nil, true, true},
			{"certificate", func(api *iot.API) error {
				_, err := api.GetDeviceCertificate(&iot.GetDeviceCertificateRequest{DeviceID: panel})
				return err
			}, nil, true, true},
			{"twin", func(api *iot.API) error { _, err := list()(api, panel); return err }, nil, true, true},
			{"get of another", func(api *iot.API) error { _, err := api.GetDevice(&iot.GetDeviceRequest{DeviceID: other}); return err }, denied("read", "device"), true, false},
			{"create", func(api *iot.API) error {
				_, err := api.CreateDevice(&iot.CreateDeviceRequest{Name: "new", HubID: hub})
				return err
			}, denied("write", "device"), false, false},
			{"update", func(api *iot.API) error {
				_, err := api.UpdateDevice(&iot.UpdateDeviceRequest{DeviceID: panel, AllowInsecure: new(true)})
				return err
			}, denied("write", "device"), false, false},
			{"disable", func(api *iot.API) error {
				_, err := api.DisableDevice(&iot.DisableDeviceRequest{DeviceID: panel})
				return err
			}, denied("write", "device"), false, false},
			{"renew", func(api *iot.API) error {
				_, err := api.RenewDeviceCertificate(&iot.RenewDeviceCertificateRequest{DeviceID: panel})
				return err
			}, denied("write", "device"), false, false},
			{"delete", func(api *iot.API) error { return api.DeleteDevice(&iot.DeleteDeviceRequest{DeviceID: panel}) }, denied("write", "device"), false, false},
			{"hub", func(api *iot.API) error { _, err := api.GetHub(&iot.GetHubRequest{HubID: hub}); return err }, denied("read", "hub"), true, false},
			{"update of the hub", func(api *iot.API) error {
				_, err := api.UpdateHub(&iot.UpdateHubRequest{HubID: hub, TwinsGraphiteConfig: &iot.HubTwinsGraphiteConfig{PushURI: "tcp://127.0.0.1:9"}})
				return err
			}, denied("write", "hub"), false, false},
		}
		for _, c := range calls {
			for _, who := range []struct {
				name    string
				api     *iot.API
				allowed bool
			}{{"reader", reader, c.reads}, {"panel only", panelOnly, c.panel}} {
				err := c.call(who.api)
				if who.allowed && err != nil {
					t.Errorf("%s: %s: %v", who.name, c.name, err)
				} else if !who.allowed {
					checkError(t, err, c.denied)
				}
			}
		}
		for api, want := range map[*iot.API]int{reader: 2, panelOnly: 1} {
			if got, err := api.ListDevices(&iot.ListDevicesRequest{}, scw.WithAllPages()); err != nil || len(got.Devices) != want {
				t.Errorf("the list has %+v, %v; want %d", got, err, want)
			}
		}
	})
}

// Nobody's devices get lost between pages, however they are sorted.
func TestVendorSDKListsAllPages(t *testing.T) {
	overBoth(t, func(t *testing.T, h *secureHub, api *iot.API) {
		want := make([]string, 250)
		for i := range want {
			want[i] = fmt.Sprintf("device %03d", i)
			createDevice(t, api, want[i])
		}
		for _, order := range iot.ListDevicesRequestOrderBy("").Values() {
			for _, size := range []*uint32{nil, new(uint32(100))} {
				got, err := api.ListDevices(&iot.ListDevicesRequest{OrderBy: order, PageSize: size}, scw.WithAllPages())
				if err != nil {
					t.Fatalf("%s: %v", order, err)
				}
				names := make([]string, len(got.Devices))
				for i, d := range got.Devices {
					names[i] = d.Name
				}
				if slices.Sort(names); !slices.Equal(names, want) || got.TotalCount != 250 {
					t.Errorf("%s: got %d devices of %d, want each of 250 once", order, len(names), got.TotalCount)
				}
			}
		}
		first, err := api.ListDevices(&iot.ListDevicesRequest{Page: new(int32(3)), PageSize: new(uint32(100)), OrderBy: iot.ListDevicesRequestOrderByNameDesc})
		if err != nil || first.TotalCount != 250 || len(first.Devices) != 50 || first.Devices[49].Name != want[0] {
			t.Errorf("the last page has %d devices of %d, %v; want 50 of 250 down to the first", len(first.Devices), first.TotalCount, err)
		}
		one, err := api.ListDevices(&iot.ListDevicesRequest{Name: new("device 123"), HubID: new(hubID(t, api)), AllowInsecure: new(false), Status: iot.DeviceStatusEnabled})
		if err != nil || one.TotalCount != 1 || one.Devices[0].Name != "device 123" {
			t.Errorf("with filters: got %+v, %v", one, err)
		}
		none, err := api.ListDevices(&iot.ListDevicesRequest{HubID: new(unknownID)}, scw.WithAllPages())
		if err != nil || none.TotalCount != 0 || len(none.Devices) != 0 {
			t.Errorf("of another hub: got %+v, %v", none, err)
		}
	})
}
