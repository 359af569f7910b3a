package importer_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/credential"
	"github.com/twinpanel/twinpanel/hub/hubtest"
	"github.com/twinpanel/twinpanel/hub/importer"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
	"github.com/twinpanel/twinpanel/twinclient"
)

// What was imported from a hub, another hub serves as the first did, to apps and to devices.
func TestImportFromAHub(t *testing.T) {
	source := hubtest.Start(t)
	panel, panelCert, panelKey := source.AddSecureDevice("panel")
	lamp := source.AddDevice("lamp")
	authorityCert, authorityKey := addAuthority(t, source.Registry)
	meter, err := registry.NewDevice("meter") // the authority vouches for it
	if err != nil {
		t.Fatal(err)
	}
	meter.Description, meter.Disabled = "in the cellar", false
	meter.MessageFilters = json.RawMessage(`{"publish":{"policy":"accept","topics":["a/#"]},"subscribe":{"policy":"reject","topics":[]}}`)
	off, err := registry.NewDevice("off")
	if err != nil {
		t.Fatal(err)
	}
	off.Disabled, off.AllowMultipleConnections = true, true
	for _, d := range []registry.Device{meter, off} {
		if err := source.Registry.AddDevice(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := source.Registry.UpdateHub(t.Context(), func(h *registry.Hub) error {
		h.Name, h.Graphite, h.AutoProvisioning, h.Updated = "house", "https://user:hunter2@graphite.example/metrics", true, time.Now()
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		source.MustPut(panel.ID, "desired", `{"alarm_armed":true}`)
	}
	source.MustPut(panel.ID, "current", `{"b":{"a":[1.50,"<é>"]},"a":null}`)
	source.MustPut(lamp.ID, "_config", `{"documents":{"current":{"_tsdb_trigger":"on-change"}}}`)

	target := newTarget()
	from, err := importer.Open(t.Context(), importer.Config{
		Source: hubtest.BaseURL, Token: source.Token, Insecure: true, Transport: source.HTTPClient().Transport,
	})
	if err != nil {
		t.Fatal(err)
	}
	report, err := from.Import(t.Context(), target)
	if err != nil || report.Complete() != nil || !report.Verified || report.Devices.Added != 4 || report.Documents.Added != 3 {
		t.Fatalf("got %+v, %v\n%s", report, err, findings(report))
	}

	moved := hubtest.Start(t, func(c *hub.Config) { c.Documents, c.Registry = target.Documents, target.Registry })
	record, err := source.Registry.Hub(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	paths := []string{"/hubs", "/hubs/" + record.ID, "/hubs/" + record.ID + "/ca", "/devices?page_size=100"}
	for _, d := range []registry.Device{panel, lamp, meter, off} {
		id := string(d.ID)
		paths = append(paths, "/devices/"+id, "/devices/"+id+"/certificate", "/twins/"+id,
			"/twins/"+id+"/documents/desired", "/twins/"+id+"/documents/current", "/twins/"+id+"/documents/_config")
	}
	for _, path := range paths {
		if before, after := ask(t, source, path), ask(t, moved, path); after != before {
			t.Errorf("GET %s:\n got %s\nwant %s", path, after, before)
		}
	}

	connect := func(id twin.ID, cert, key string) (twin.Document, error) {
		conn, err := twinclient.Dial(t.Context(), twinclient.Options{Hub: moved.MQTTS(), DeviceID: id, CAFile: moved.CAFile(), CertFile: cert, KeyFile: key})
		if err != nil {
			return twin.Document{}, err
		}
		defer conn.Close()
		return conn.Get(t.Context(), "desired")
	}
	if doc, err := connect(panel.ID, panelCert, panelKey); err != nil || doc.Version != 3 || string(doc.Data) != `{"alarm_armed":true}` {
		t.Errorf("the panel with its certificate of the old hub: got %+v, %v; want version 3", doc, err)
	}
	if _, err := connect(lamp.ID, panelCert, panelKey); err == nil {
		t.Error("the panel's certificate opens another device")
	}
	meterCert, meterKey := sign(t, "meter", authorityCert, authorityKey)
	if _, err := connect(meter.ID, meterCert, meterKey); !errors.Is(err, twin.ErrDocumentNotFound) {
		t.Errorf("the meter with a certificate of the CA: got %v, want no document", err)
	}
}

// ask is the answer of a hub to a GET.
func ask(t *testing.T, h *hubtest.Hub, path string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, hubtest.BaseURL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Auth-Token", h.Token)
	a, err := h.HTTPClient().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	body, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a.Status + " " + string(body)
}

// addAuthority makes somebody's own authority vouch for devices.
func addAuthority(t *testing.T, r registry.Registry) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "our devices"}, BasicConstraintsValid: true, IsCA: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: future,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	a, err := credential.ParseAuthority(credential.CertificatePEM(der))
	if err == nil {
		err = credential.Add(t.Context(), r, a)
	}
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// sign makes a device's certificate as files.
func sign(t *testing.T, name string, authority *x509.Certificate, signer *ecdsa.PrivateKey) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: future,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, authority, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for path, content := range map[string][]byte{
		certFile: credential.CertificatePEM(der),
		keyFile:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}
