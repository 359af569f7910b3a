package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/credential"
	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// A secureHub is a hub in this process that listens on loopback, with TLS alone for devices.
type secureHub struct {
	registry *registry.Memory
	url      string // mqtts://127.0.0.1:PORT
	rest     string // of the REST API, up to the region
	token    string // opens it
}

// startSecure starts a hub that ends with the test. change may change its configuration.
func startSecure(t *testing.T, change ...func(*hub.Config)) *secureHub {
	t.Helper()
	documents, devices := docstore.NewMemory(), registry.NewMemory()
	config := hub.Config{Documents: documents, Registry: devices, Names: []string{"127.0.0.1"}}
	for _, f := range change {
		f(&config)
	}
	running, err := hub.New(config)
	if err != nil {
		t.Fatal(err)
	}
	secured, err := running.TLS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := running.ServeMQTT(tls.NewListener(l, secured)); err != nil {
			t.Errorf("serving MQTT: %v", err)
		}
	})
	rest := httptest.NewServer(running.REST())
	t.Cleanup(func() {
		rest.Close()
		if err := running.Close(); err != nil {
			t.Error(err)
		}
		serving.Wait()
	})
	token, secret, err := registry.NewToken("app")
	if err == nil {
		err = devices.AddToken(t.Context(), token)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &secureHub{devices, "mqtts://" + l.Addr().String(), rest.URL + "/iot/v1/regions/" + hub.DefaultRegion, secret}
}

// add adds a device with a certificate and a secret, and writes the files ca.pem, cert.pem, key.pem and secret into the
// working directory, as hub device add --out does. change may change the device.
func (h *secureHub) add(t *testing.T, change func(*registry.Device)) registry.Device {
	t.Helper()
	d, err := registry.NewDevice("panel")
	if err != nil {
		t.Fatal(err)
	}
	secret := registry.NewSecret()
	d.Secret = registry.HashSecret(secret)
	all := h.authorities(t)
	der, cert, key, err := credential.Issue(all, d)
	if err != nil {
		t.Fatal(err)
	}
	d.Certificate = der
	if change != nil {
		change(&d)
	}
	if err := h.registry.AddDevice(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	write(t, "ca.pem", string(credential.Bundle(all, registry.ServerAuthority)))
	write(t, "cert.pem", string(cert))
	write(t, "key.pem", string(key))
	write(t, "secret", secret+"\n")
	return d
}

func (h *secureHub) authorities(t *testing.T) []registry.Authority {
	t.Helper()
	all, err := h.registry.Authorities(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// renew gives the device panel another certificate, and returns that and its key.
func (h *secureHub) renew(t *testing.T) (cert, key string) {
	t.Helper()
	d, err := h.registry.DeviceByName(t.Context(), "panel")
	if err != nil {
		t.Fatal(err)
	}
	der, certPEM, keyPEM, err := credential.Issue(h.authorities(t), d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.registry.UpdateDevice(t.Context(), d.ID, func(d *registry.Device) error { d.Certificate = der; return nil }); err != nil {
		t.Fatal(err)
	}
	return string(certPEM), string(keyPEM)
}

// call does what an app does with a document, and returns the answer.
func (h *secureHub) call(method string, id twin.ID, document, body string) (string, error) {
	r, err := http.NewRequest(method, h.rest+"/twins/"+string(id)+"/documents/"+document, strings.NewReader(body))
	if err == nil {
		r.Header.Set("X-Auth-Token", h.token)
	}
	return call(r, err)
}

// desire arms or disarms as a phone does.
func (h *secureHub) desire(t *testing.T, id twin.ID, armed string) {
	t.Helper()
	if _, err := h.call("PUT", id, "desired", `{"data":{"alarm_armed":`+armed+`}}`); err != nil {
		t.Fatal(err)
	}
}

// current is what the phone would read.
func (h *secureHub) current(id twin.ID) func() (string, error) {
	return func() (string, error) { return h.call("GET", id, "current", "") }
}

// byCertificate and bySecret are the flags of a panel beside the files of add.
func (h *secureHub) byCertificate(d registry.Device) flags {
	return simulated(h.url, string(d.ID)).with(flags{"ca": "ca.pem", "cert": "cert.pem", "key-file": "key.pem"})
}

func (h *secureHub) bySecret(d registry.Device) flags {
	return simulated(h.url, string(d.ID)).with(flags{"ca": "ca.pem", "secret-file": "secret"})
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// ownCertificate makes hub.pem and hub.key, a certificate for 127.0.0.1 that is valid from begin to end, and
// hub-ca.pem, which vouches for it.
func ownCertificate(t *testing.T, begin, end time.Time) credential.Files {
	t.Helper()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true,
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: begin, NotAfter: end, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	var signer *ecdsa.PrivateKey
	for _, c := range []struct {
		name     string
		template *x509.Certificate
	}{{"hub-ca", authority}, {"hub", leaf}} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if signer == nil {
			signer = key
		}
		der, err := x509.CreateCertificate(rand.Reader, c.template, authority, key.Public(), signer)
		if err != nil {
			t.Fatal(err)
		}
		pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		write(t, c.name+".pem", string(credential.CertificatePEM(der)))
		write(t, c.name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})))
	}
	return credential.Files{Cert: "hub.pem", Key: "hub.key"}
}
