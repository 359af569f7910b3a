package credential

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub/registry"
)

const panelID = "11111111-1111-4111-8111-111111111111"

// request makes a certificate request in PEM, which also asks for what no device gets.
func request(t testing.TB, key crypto.Signer, subject pkix.Name) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: subject, DNSNames: []string{"hub.example"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

func TestSignRequest(t *testing.T) {
	p256 := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	_, edKey, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	panel := pkix.Name{CommonName: "panel"}
	good := request(t, p256, panel)
	block, _ := pem.Decode(good)
	forged := bytes.Clone(block.Bytes)
	forged[len(forged)-1] ^= 1
	// openssl genrsa 1024: Go makes no such key.
	rsa1024 := `-----BEGIN CERTIFICATE REQUEST-----
MIIBTzCBuQIBADAQMQ4wDAYDVQQDDAVwYW5lbDCBnzANBgkqhkiG9w0BAQEFAAOB
jQAwgYkCgYEA9EV91iLGkhK8CNP4WrY+WWJ5ZwFweBBBhVGCdgQn5zIAh2jhnCTR
x/zeh27zuqXj498Q0rQOTf00TBnAjTJ4giLHcAn7H5gqFQy6s/HJO81Jdi2LJGHP
kYrQVe5GkhGions/QozHFCPb2NYm5VOCD1CYB0cwdjaYNv7/RqJ7hOcCAwEAAaAA
MA0GCSqGSIb3DQEBCwUAA4GBAEKtP1985F3rzP3rFQlTVmZsntAaw4KxZJKfak/b
7Lof6/XfuozRGUZ84/kDq1AM1fnJdE1/Wm2T4ZZxwCW2AMGtNWvO/GCR99c0Hj37
Kbg/Kit9MqO7hknwyb6zmc8JZeHBZv22FzntUBld9S0rzw74TaeiW+KSXDNfacr7
K7iF
-----END CERTIFICATE REQUEST-----
`
	p224 := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))
	tests := []struct {
		name, request, want string
	}{
		{"nothing", "", "no certificate request in PEM"},
		{"DER", string(block.Bytes), "no certificate request in PEM"},
		{"truncated", string(good[:200]), "no certificate request in PEM"},
		{"certificate", issue(t, nil, template("panel")).certPEM(), "expected a certificate request, found CERTIFICATE"},
		{"not ASN.1", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "can't be read"},
		{"signature of another key", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: forged})), "not signed with its own key"},
		{"another name", string(request(t, p256, pkix.Name{CommonName: "Panel"})), `is for "Panel": its common name must be the device's name, "panel"`},
		{"no name", string(request(t, p256, pkix.Name{})), `is for ""`},
		{"name with a space behind", string(request(t, p256, pkix.Name{CommonName: "panel "})), `is for "panel "`},
		{"name with NUL", string(request(t, p256, pkix.Name{CommonName: "panel\x00"})), `is for "panel\x00"`},
		{"RSA with 1024 bits", rsa1024, "RSA key has 1024 bits"},
		{"P-224", string(request(t, p224, panel)), "curve P-224"},
		{"P-256", string(good), ""},
		{"P-384", string(request(t, must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)), panel)), ""},
		{"P-521", string(request(t, must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)), panel)), ""},
		{"Ed25519", string(request(t, edKey, panel)), ""},
		{"RSA with 2048 bits", string(request(t, must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 2048)), panel)), ""},
		{"old kind of PEM", strings.ReplaceAll(string(good), "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"), ""},
		{"text before it", "Certificate Request:\n    Data:\n" + string(good), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				all := must[[]registry.Authority](t)(Ensure(t.Context(), registry.NewMemory()))
				der, err := SignRequest(all, registry.Device{ID: panelID, Name: "panel"}, []byte(tt.request))
				checkError(t, err, tt.want)
				if err == nil {
					checkDeviceCertificate(t, all, parse(t, der))
				}
			})
		})
	}
}

// checkDeviceCertificate checks what every certificate of the device panel has.
func checkDeviceCertificate(t *testing.T, all []registry.Authority, cert *x509.Certificate) {
	t.Helper()
	if cert.Subject.String() != "CN=panel" || cert.IsCA || len(cert.DNSNames)+len(cert.URIs) > 0 || len(cert.ExtKeyUsage) != 1 || cert.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth {
		t.Errorf("certificate for %v, CA %t, names %v %v, usage %v: want a client that is called panel, and no more", cert.Subject, cert.IsCA, cert.DNSNames, cert.URIs, cert.ExtKeyUsage)
	}
	if bytes.Contains(cert.Raw, []byte(panelID)) {
		t.Error("certificate has the device's id, which TLS 1.2 sends in plain text")
	}
	if !cert.NotAfter.Equal(time.Now().Add(DeviceLife)) || cert.NotBefore.After(clockStart) {
		t.Errorf("certificate is valid from %v to %v", cert.NotBefore, cert.NotAfter)
	}
	if err := cert.CheckSignatureFrom(parse(t, Signer(all, registry.DeviceAuthority).Certificate)); err != nil {
		t.Error(err)
	}
}

func TestIssue(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := registry.Device{ID: panelID, Name: "panel"}
		if _, _, _, err := Issue(nil, d); err == nil {
			t.Error("without an authority: got no error")
		}
		r := registry.NewMemory()
		all := must[[]registry.Authority](t)(Ensure(t.Context(), r))
		der, cert, key, err := Issue(all, d)
		if err != nil {
			t.Fatal(err)
		}
		pair := must[tls.Certificate](t)(tls.X509KeyPair(cert, key))
		if !bytes.Equal(pair.Leaf.Raw, der) {
			t.Error("DER and PEM are of two certificates")
		}
		checkDeviceCertificate(t, all, pair.Leaf)
	})
}

// No certificate outlives its authority, and one that ended makes none.
func TestIssueNearTheEndOfTheAuthority(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := registry.Device{ID: panelID, Name: "panel"}
		all := must[[]registry.Authority](t)(Ensure(t.Context(), registry.NewMemory()))
		end := parse(t, Signer(all, registry.DeviceAuthority).Certificate).NotAfter
		time.Sleep(time.Until(end) - time.Hour)
		der, _, _, err := Issue(all, d)
		if err != nil || !parse(t, der).NotAfter.Equal(end) {
			t.Errorf("got error %v and a certificate until %v, want none and %v", err, parse(t, der).NotAfter, end)
		}
		time.Sleep(2 * time.Hour)
		_, _, _, err = Issue(all, d)
		checkError(t, err, "the device authority expired on 2046-06-26T00:00:00Z: see hub ca renew")
	})
}
