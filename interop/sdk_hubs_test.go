package interop

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	iot "github.com/scaleway/scaleway-sdk-go/api/iot/v1"
	"github.com/scaleway/scaleway-sdk-go/scw"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/credential"
)

// Every call about the hub.
func TestVendorSDKHubs(t *testing.T) {
	overBoth(t, func(t *testing.T, h *secureHub, api *iot.API) {
		id := hubID(t, api)
		want, err := api.WaitForHub(&iot.WaitForHubRequest{HubID: id})
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(want, &iot.Hub{
			ID: id, Name: "hub", Status: iot.HubStatusReady, ProductPlan: iot.HubProductPlanPlanShared, Enabled: true, Endpoint: "localhost",
			EventsTopicPrefix: "$SCW/events", Region: scw.RegionFrPar, CreatedAt: want.CreatedAt, UpdatedAt: want.CreatedAt, ProjectID: id, OrganizationID: id,
		}) || want.CreatedAt == nil {
			t.Errorf("the hub is %+v", want)
		}
		list, err := api.ListHubs(&iot.ListHubsRequest{Name: new("hub"), ProjectID: &id, OrganizationID: &id}, scw.WithAllPages())
		if err != nil || list.TotalCount != 1 || !reflect.DeepEqual(list.Hubs[0], want) {
			t.Errorf("the list is %+v, %v", list, err)
		}
		check := func(what string, got *iot.Hub, err error) {
			t.Helper()
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			want.UpdatedAt = got.UpdatedAt
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: got\n\t%+v\nwant\n\t%+v", what, got, want)
			}
		}
		got, err := api.UpdateHub(&iot.UpdateHubRequest{HubID: id})
		check("update of nothing", got, err)
		want.Name, want.DisableEvents, want.EventsTopicPrefix = "house", true, "events"
		got, err = api.UpdateHub(&iot.UpdateHubRequest{HubID: id, Name: new("house"), DisableEvents: new(true), EventsTopicPrefix: new("events"), EnableDeviceAutoProvisioning: new(false)})
		check("update", got, err)
		createDevice(t, api, "panel")
		want.DeviceCount = 1
		got, err = api.GetHub(&iot.GetHubRequest{HubID: id})
		check("get", got, err)
	})
}

// What the hub refuses about itself comes out as the error that a program written for the vendor's hub looks for.
func TestVendorSDKHubErrors(t *testing.T) {
	h := startSecureHub(t, func(c *hub.Config) { c.Graphite = "tcp://127.0.0.1:9" })
	api := h.sdk(t, h.https, h.token)
	id := hubID(t, api)
	update := func(r iot.UpdateHubRequest) error { _, err := api.UpdateHub(&r); return err }
	_, get := api.GetHub(&iot.GetHubRequest{HubID: unknownID})
	_, create := api.CreateHub(&iot.CreateHubRequest{Name: "second", ProjectID: unknownID})
	_, enable := api.EnableHub(&iot.EnableHubRequest{HubID: id})
	_, disable := api.DisableHub(&iot.DisableHubRequest{HubID: id})
	_, ca := api.SetHubCA(&iot.SetHubCARequest{HubID: id, CaCertPem: string(h.ca), ChallengeCertPem: string(h.ca)})
	_, getCA := api.GetHubCA(&iot.GetHubCARequest{HubID: unknownID})
	invalid := func(argument, reason, help string) error {
		return &scw.InvalidArgumentsError{Details: []scw.InvalidArgumentsErrorDetail{{ArgumentName: argument, Reason: reason, HelpMessage: help}}}
	}
	noHub := &scw.ResourceNotFoundError{Resource: "hub", ResourceID: unknownID}
	for _, tt := range []struct {
		name      string
		got, want error
	}{
		{"get of another hub", get, noHub},
		{"update of another hub", update(iot.UpdateHubRequest{HubID: unknownID}), noHub},
		{"authority of another hub", getCA, noHub},
		{"create", create, denied("write", "hub")},
		{"enable", enable, denied("write", "hub")},
		{"disable", disable, denied("write", "hub")},
		{"delete", api.DeleteHub(&iot.DeleteHubRequest{HubID: id, DeleteDevices: new(true)}), denied("write", "hub")},
		{"another plan", update(iot.UpdateHubRequest{HubID: id, ProductPlan: iot.HubProductPlanPlanHa}), invalid("product_plan", "unknown", "choose one of plan_shared, plan_unknown")},
		{"provisioning without an authority", update(iot.UpdateHubRequest{HubID: id, EnableDeviceAutoProvisioning: new(true)}),
			&scw.PreconditionFailedError{Precondition: "attribute_must_be_set", HelpMessage: "only an authority of your own can vouch for devices that the hub doesn't know: set it first, with POST …/hubs/" + id + "/ca"}},
		{"database beside the flag's", update(iot.UpdateHubRequest{HubID: id, TwinsGraphiteConfig: &iot.HubTwinsGraphiteConfig{PushURI: "tcp://127.0.0.1:10"}}),
			&scw.PreconditionFailedError{Precondition: "unknown_precondition", HelpMessage: "the hub was started with --graphite (HUB_GRAPHITE), which wins over twins_graphite_config: start it without to set this"}},
		{"authority without its key", ca, invalid("challenge_cert_pem", "constraint", "the common name has to be the hub's id, "+id)},
	} {
		t.Run(tt.name, func(t *testing.T) { checkError(t, tt.got, tt.want) })
	}
	if _, err := api.ListHubs(&iot.ListHubsRequest{PageSize: new(uint32(1000))}); err == nil {
		t.Error("a page of 1000 hubs is accepted")
	}
}

// An authority of one's own: devices that it vouches for connect with what it signed, known or not.
func TestVendorSDKHubAuthority(t *testing.T) {
	h := startSecureHub(t)
	api := h.sdk(t, h.https, h.token)
	id := hubID(t, api)
	before, err := api.GetHubCA(&iot.GetHubCARequest{HubID: id})
	if err != nil {
		t.Fatal(err)
	}
	old := createDevice(t, api, "old")

	authority := newSigner(t, "my authority")
	challenge, _ := authority.sign(t, id)
	got, err := api.SetHubCA(&iot.SetHubCARequest{HubID: id, CaCertPem: authority.pem, ChallengeCertPem: challenge})
	if err != nil || !got.HasCustomCa {
		t.Fatalf("set authority: %+v, %v", got, err)
	}
	if after, err := api.GetHubCA(&iot.GetHubCARequest{HubID: id}); err != nil || after.CaCertPem != authority.pem || after.CaCertPem == before.CaCertPem {
		t.Errorf("the authority is %+v, %v", after, err)
	}
	if made := createDevice(t, api, "front door"); made.Certificate != nil {
		t.Errorf("the hub made a certificate for a device that another authority vouches for")
	}
	crt, key := authority.sign(t, "front door")
	if code := newClient(t, h, &iot.Certificate{Crt: crt, Key: key}).connects(); code != 0 {
		t.Errorf("the device with a certificate of the authority: the client ends with %d", code)
	}
	if code := newClient(t, h, old.Certificate).connects(); code != 0 {
		t.Errorf("the device with a certificate of the hub: the client ends with %d", code)
	}

	crt, key = authority.sign(t, "nobody yet")
	unknown := newClient(t, h, &iot.Certificate{Crt: crt, Key: key})
	if code := unknown.connects(); code != refused {
		t.Errorf("an unknown device: the client ends with %d, want %d", code, refused)
	}
	if _, err := api.UpdateHub(&iot.UpdateHubRequest{HubID: id, EnableDeviceAutoProvisioning: new(true)}); err != nil {
		t.Fatal(err)
	}
	if code := unknown.connects(); code != 0 {
		t.Errorf("an unknown device with auto provisioning: the client ends with %d", code)
	}
	list, err := api.ListDevices(&iot.ListDevicesRequest{Name: new("nobody yet")})
	if err != nil || list.TotalCount != 1 || list.Devices[0].AllowInsecure || list.Devices[0].AllowMultipleConnections {
		t.Errorf("the devices of that name are %+v, %v", list, err)
	}
}

// A signer is an authority outside of the hub.
type signer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newSigner(t *testing.T, name string) signer {
	t.Helper()
	s := signer{cert: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	var err error
	if s.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, s.cert, s.cert, s.key.Public(), s.key)
	if err != nil {
		t.Fatal(err)
	}
	s.pem = string(credential.CertificatePEM(der))
	return s
}

// sign makes a certificate for a name, and its key.
func (s signer) sign(t *testing.T, name string) (crt, key string) {
	t.Helper()
	own := newSigner(t, name)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: s.cert.NotBefore, NotAfter: s.cert.NotAfter,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, s.cert, own.key.Public(), s.key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(own.key)
	if err != nil {
		t.Fatal(err)
	}
	return string(credential.CertificatePEM(der)), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

// As the vendor's tutorial sets it up: the database's address by PATCH, without a restart. First a real Graphite, then
// whatever listens elsewhere; each has what was written while it was set.
func TestVendorSDKGraphiteConfig(t *testing.T) {
	t.Parallel()
	c := startCarbon(t)
	elsewhere, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { elsewhere.Close() })
	lines := make(chan string, 100)
	go func() {
		for {
			conn, err := elsewhere.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for r := bufio.NewScanner(conn); r.Scan(); {
					lines <- r.Text()
				}
			}()
		}
	}()

	h := startSecureHub(t)
	api := h.sdk(t, h.https, h.token)
	id := hubID(t, api)
	device := createDevice(t, api, "tutorial").Device.ID
	push := func(uri string) {
		t.Helper()
		got, err := api.UpdateHub(&iot.UpdateHubRequest{HubID: id, TwinsGraphiteConfig: &iot.HubTwinsGraphiteConfig{PushURI: uri}})
		if err != nil {
			t.Fatal(err)
		}
		if (got.TwinsGraphiteConfig == nil) != (uri == "") || uri != "" && got.TwinsGraphiteConfig.PushURI != uri {
			t.Errorf("after setting %q the hub has %+v", uri, got.TwinsGraphiteConfig)
		}
	}
	write := func(data string) {
		t.Helper()
		rest(t, api, device, put("current", nil, data))
	}
	rest(t, api, device, put("_config", nil, `{"documents":{"current":{"_tsdb_trigger":"on-update"}}}`))
	series := func(key string) string { return "twins." + device + ".current;json_path=" + key }

	write(`{"before":1}`)
	push("tcp://" + c.addr)
	write(`{"carbon":2}`)
	c.await(series("carbon"))
	push("tcp://" + elsewhere.Addr().String())
	write(`{"elsewhere":3}`)
	push("")
	write(`{"after":4}`)

	select {
	case line := <-lines:
		if !strings.HasPrefix(line, series("elsewhere")+" 3 ") {
			t.Errorf("got %q", line)
		}
	case <-time.After(patience):
		t.Fatal("nothing came")
	}
	if err := h.Close(); err != nil { // pushes what waits
		t.Fatal(err)
	}
	c.settle()
	if len(lines) > 0 {
		t.Errorf("also got %q", <-lines)
	}
	if points := c.points(); len(points) != 1 || points[0].series != series("carbon") {
		t.Errorf("carbon has %v, want what was written while it was set", points)
	}
}
