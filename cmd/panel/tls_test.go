package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/credential"
	"github.com/twinpanel/twinpanel/hub/hubtest"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// A secureHub is a hub in this process that devices reach over TLS.
type secureHub struct {
	*hubtest.Hub
	dir string // of the devices' files
}

// startSecure is startSecureIn the working directory.
func startSecure(t *testing.T, change ...func(*hub.Config)) secureHub {
	t.Helper()
	return startSecureIn(t, "", change...)
}

// startSecureIn starts a hub that ends with the test. change may change its configuration.
func startSecureIn(t *testing.T, dir string, change ...func(*hub.Config)) secureHub {
	t.Helper()
	return secureHub{hubtest.Start(t, change...), dir}
}

// file is the path of one of the devices' files.
func (h secureHub) file(name string) string { return filepath.Join(h.dir, name) }

// add adds the device panel with a certificate and a secret, and writes the files ca.pem, cert.pem, key.pem and secret
// as hub device add --out does. change may change the device.
func (h secureHub) add(t *testing.T, change func(*registry.Device)) registry.Device {
	t.Helper()
	d, cert, key := h.AddSecureDevice("panel")
	for name, path := range map[string]string{"ca.pem": h.CAFile(), "cert.pem": cert, "key.pem": key} {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		write(t, h.file(name), string(content))
	}
	secret := registry.NewSecret()
	write(t, h.file("secret"), secret+"\n")
	return h.update(t, d.ID, func(d *registry.Device) {
		d.Secret = registry.HashSecret(secret)
		if change != nil {
			change(d)
		}
	})
}

func (h secureHub) update(t *testing.T, id twin.ID, change func(*registry.Device)) registry.Device {
	t.Helper()
	d, err := h.Registry.UpdateDevice(t.Context(), id, func(d *registry.Device) error { change(d); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// renew gives the device panel another certificate, and returns that and its key.
func (h secureHub) renew(t *testing.T) (cert, key string) {
	t.Helper()
	all, err := h.Registry.Authorities(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d, err := h.Registry.DeviceByName(t.Context(), "panel")
	if err != nil {
		t.Fatal(err)
	}
	der, certPEM, keyPEM, err := credential.Issue(all, d)
	if err != nil {
		t.Fatal(err)
	}
	h.update(t, d.ID, func(d *registry.Device) { d.Certificate = der })
	return string(certPEM), string(keyPEM)
}

// call does what an app with this token does with a document, and returns the answer.
func (h secureHub) call(token, method string, id twin.ID, document, body string) (string, error) {
	r, err := http.NewRequest(method, h.REST()+"/twins/"+string(id)+"/documents/"+document, strings.NewReader(body))
	if err == nil {
		r.Header.Set("X-Auth-Token", token)
	}
	return call(r, err)
}

// desire arms or disarms as a phone does.
func (h secureHub) desire(t *testing.T, id twin.ID, armed string) {
	t.Helper()
	if _, err := h.call(h.Token, "PUT", id, "desired", `{"data":{"alarm_armed":`+armed+`}}`); err != nil {
		t.Fatal(err)
	}
}

// byCertificate and bySecret are the flags of a panel that is started beside the files of add.
func (h secureHub) byCertificate(d registry.Device) flags {
	return simulated(h.MQTTS(), string(d.ID)).with(flags{"ca": "ca.pem", "cert": "cert.pem", "key-file": "key.pem"})
}

func (h secureHub) bySecret(d registry.Device) flags {
	return simulated(h.MQTTS(), string(d.ID)).with(flags{"ca": "ca.pem", "secret-file": "secret"})
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
