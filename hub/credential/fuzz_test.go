package credential

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub/registry"
)

// FuzzParseCertificate holds that what is read can be written and read again, and that an authority is one.
func FuzzParseCertificate(f *testing.F) {
	ca := issue(f, nil, authorityTemplate("plant"))
	f.Add([]byte(ca.certPEM()))
	f.Add([]byte(ca.keyPEM(f) + ca.certPEM()))
	f.Add([]byte(issue(f, ca, template("panel")).certPEM()))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		cert, err := ParseCertificate(data)
		if err != nil {
			return
		}
		again, err := ParseCertificate(CertificatePEM(cert.Raw))
		if err != nil || !again.Equal(cert) {
			t.Errorf("read again: %v, %v", again, err)
		}
		a, err := ParseAuthority(data)
		if err == nil && (!cert.IsCA || !bytes.Equal(a.Certificate, cert.Raw)) {
			t.Errorf("%v is taken for an authority", cert.Subject)
		}
	})
}

// FuzzSignRequest holds that a certificate is for the device and for the key that asked, and for nothing else.
func FuzzSignRequest(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	all, err := Ensure(f.Context(), registry.NewMemory())
	if err != nil {
		f.Fatal(err)
	}
	f.Add("panel", request(f, key, pkix.Name{CommonName: "panel"}))
	f.Add("Tür", request(f, key, pkix.Name{CommonName: "Tür", Country: []string{"FR"}}))
	f.Add("panel", request(f, key, pkix.Name{CommonName: "other"}))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		der, err := SignRequest(all, registry.Device{ID: panelID, Name: name}, data)
		if err != nil {
			return
		}
		block, err := findPEM(data, "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")
		if err != nil {
			t.Fatal(err)
		}
		csr := must[*x509.CertificateRequest](t)(x509.ParseCertificateRequest(block))
		cert := parse(t, der)
		if cert.Subject.CommonName != name || cert.IsCA || len(cert.DNSNames)+len(cert.IPAddresses) > 0 {
			t.Errorf("certificate is for %v, CA %t, %v", cert.Subject, cert.IsCA, cert.DNSNames)
		}
		if !cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool }).Equal(csr.PublicKey) {
			t.Error("certificate is for another key")
		}
	})
}

// fixed makes the same certificate in every process, as fuzzing needs it, which by signs; nil = itself.
func fixed(f *testing.F, seed byte, by *pair, c *x509.Certificate) *pair {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(int64(seed)), clockStart, clockStart.AddDate(20, 0, 0)
	if by == nil {
		by = &pair{c, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by.Certificate, key.Public(), by.key)
	if err != nil {
		f.Fatal(err)
	}
	return &pair{parse(f, der), key}
}

// FuzzIdentify holds that a device is one that has the certificate on record, or that it has none and a
// trusted authority signed the certificate for its name.
func FuzzIdentify(f *testing.F) {
	s := &site{Memory: registry.NewMemory(), t: f, plant: fixed(f, 1, nil, authorityTemplate("plant"))}
	addAuthority(f, s, s.plant)
	hall, pinned := fixed(f, 2, s.plant, authorityTemplate("hall 1")), fixed(f, 3, nil, template("pinned"))
	s.add("panel", nil)
	s.add("pinned", pinned.Raw)
	for _, chain := range [][]*pair{
		{fixed(f, 4, s.plant, template("panel"))},
		{fixed(f, 5, s.plant, template("pinned"))},
		{fixed(f, 6, nil, template("panel"))},
		{fixed(f, 7, hall, template("panel")), hall},
		{pinned},
		{s.plant},
	} {
		var between []byte
		if len(chain) > 1 {
			between = chain[1].Raw
		}
		f.Add(chain[0].Raw, between, true)
		f.Add(chain[0].Raw, between, false)
	}
	f.Fuzz(func(t *testing.T, shown, between []byte, clock bool) {
		cert, err := x509.ParseCertificate(shown)
		if err != nil {
			return // TLS refuses it
		}
		chain := []*x509.Certificate{cert}
		if link, err := x509.ParseCertificate(between); err == nil {
			chain = append(chain, link)
		}
		now := clockStart.AddDate(1, 0, 0)
		if !clock {
			now = time.Unix(0, 0)
		}
		d, err := Identify(t.Context(), s, chain, now)
		if errors.Is(err, registry.ErrNoDevice) || err != nil && d.ID != "" {
			t.Fatalf("got device %+v with error %v", d, err)
		}
		if err != nil || bytes.Equal(d.Certificate, cert.Raw) {
			return
		}
		signed := false
		for _, signer := range append(chain[1:], s.plant.Certificate) {
			signed = signed || cert.CheckSignatureFrom(signer) == nil && (signer.Equal(s.plant.Certificate) || signer.CheckSignatureFrom(s.plant.Certificate) == nil)
		}
		if d.Name != cert.Subject.CommonName || d.Certificate != nil || !signed {
			t.Errorf("%v is taken for %+v, signed %t", cert.Subject, d, signed)
		}
	})
}
