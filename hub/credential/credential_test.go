package credential

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub/registry"
)

// bubble runs a test in a synctest bubble whose clock is set.
func bubble(t *testing.T, test func(*testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(clockStart.AddDate(0, 6, 0)))
		test(t)
	})
}

// A pair is a certificate with its key.
type pair struct {
	*x509.Certificate
	key crypto.Signer
}

// template is the certificate of a device, valid for an hour around now.
func template(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
}

// authorityTemplate is the certificate of an authority, likewise.
func authorityTemplate(name string) *x509.Certificate {
	c := template(name)
	c.ExtKeyUsage, c.IsCA, c.BasicConstraintsValid = nil, true, true
	return c
}

// issue makes a certificate, which by signs; nil = itself.
func issue(t testing.TB, by *pair, c *x509.Certificate) *pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if by == nil {
		by = &pair{c, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by.Certificate, key.Public(), by.key)
	if err != nil {
		t.Fatal(err)
	}
	return &pair{parse(t, der), key}
}

func parse(t testing.TB, der []byte) *x509.Certificate {
	t.Helper()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func (p *pair) certPEM() string { return string(CertificatePEM(p.Raw)) }

func (p *pair) keyPEM(t testing.TB) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(p.key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// must is for calls that work.
func must[T any](t testing.TB) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// checkError wants an error with all words of want, or none.
func checkError(t testing.TB, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("got error %q, want none", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("got error %v, want %q", err, want)
	}
}

// pool trusts authorities.
func pool(authorities ...registry.Authority) *x509.CertPool {
	p := x509.NewCertPool()
	for _, a := range authorities {
		cert, err := x509.ParseCertificate(a.Certificate)
		if err != nil {
			panic(err)
		}
		p.AddCert(cert)
	}
	return p
}

// handshake connects a client to a server over a pipe and returns what each saw.
func handshake(server, client *tls.Config) (atServer, atClient tls.ConnectionState, err error) {
	near, far := net.Pipe()
	defer near.Close()
	s, c := tls.Server(far, server), tls.Client(near, client)
	failed := make(chan error, 1)
	go func() {
		defer far.Close()
		err := s.Handshake()
		if err == nil { // with the byte comes the session's ticket
			_, err = s.Write([]byte{1})
		}
		failed <- err
	}()
	_, err = c.Read(make([]byte, 1))
	near.Close()
	if e := <-failed; e != nil && err != nil {
		err = fmt.Errorf("%w (server: %w)", err, e)
	}
	return s.ConnectionState(), c.ConnectionState(), err
}

// addAuthority makes a registry trust a device authority.
func addAuthority(t testing.TB, r registry.Registry, p *pair) registry.Authority {
	t.Helper()
	a, err := ParseAuthority([]byte(p.certPEM()))
	if err != nil {
		t.Fatal(err)
	}
	if err := Add(t.Context(), r, a); err != nil {
		t.Fatal(err)
	}
	return a
}
