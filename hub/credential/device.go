package credential

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// Issue makes a key and a certificate for a device, signed by the device authority of all that
// signs. der is what [registry.Device.Certificate] holds; the others are PEM.
func Issue(all []registry.Authority, d registry.Device) (der, cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("making a key: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("encoding a key: %w", err)
	}
	if der, err = sign(all, d, private.Public()); err != nil {
		return nil, nil, nil, err
	}
	return der, CertificatePEM(der), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), nil
}

// SignRequest makes a certificate for a device of a request in PEM, whose common name must be the
// device's name. The rest of what it asks for is ignored. der is what [registry.Device.Certificate] holds.
func SignRequest(all []registry.Authority, d registry.Device, request []byte) (der []byte, err error) {
	block, _ := pem.Decode(request)
	if block == nil || block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST" {
		return nil, errors.New("no certificate request in PEM: make one with openssl req -new")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("certificate request: %w", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("certificate request is not signed with its own key: %w", err)
	}
	if csr.Subject.CommonName != d.Name {
		return nil, fmt.Errorf("certificate request is for %q: its common name must be the device's name, %q", csr.Subject.CommonName, d.Name)
	}
	return sign(all, d, csr.PublicKey)
}

func sign(all []registry.Authority, d registry.Device, public crypto.PublicKey) ([]byte, error) {
	authority := Signer(all, registry.DeviceAuthority)
	if authority == nil {
		return nil, errors.New("the hub has no device authority that signs")
	}
	parent, key, err := open(authority)
	if err != nil {
		return nil, err
	}
	end := time.Now().Add(DeviceLife)
	if !ClockIsSet(time.Now()) || end.After(parent.NotAfter) {
		end = parent.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: d.Name},
		URIs:         []*url.URL{deviceURI(d.ID)},
		NotBefore:    parent.NotBefore, // devices whose clock is behind must find it valid
		NotAfter:     end,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, parent, public, key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	return der, nil
}

// ParseCertificate reads the first certificate of a PEM file, which others may follow.
func ParseCertificate(data []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(data)
	switch {
	case block == nil:
		return nil, errors.New("no certificate in PEM: expected a line -----BEGIN CERTIFICATE----- and what belongs to it")
	case block.Type != "CERTIFICATE":
		return nil, fmt.Errorf("expected a certificate, found %s", block.Type)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("certificate can't be read: %w", err)
	}
	return cert, nil
}

// Identify finds the device that a client's certificate chain belongs to, its own certificate first; TLS has
// shown that the client has the key. The errors say what to do about it; [registry.ErrNoDevice] is never one.
func Identify(ctx context.Context, r registry.Registry, chain []*x509.Certificate, now time.Time) (registry.Device, error) {
	cert := chain[0]
	if err := checkTime(cert, now); err != nil {
		return registry.Device{}, err
	}
	d, err := r.DeviceByFingerprint(ctx, sha256.Sum256(cert.Raw))
	if !errors.Is(err, registry.ErrNoDevice) {
		return d, err
	}
	all, err := r.Authorities(ctx)
	if err != nil {
		return registry.Device{}, err
	}
	if err := verify(all, chain, now); err != nil {
		return registry.Device{}, err
	}
	if ParseID(cert) != "" { // it was on record when the hub made it
		return registry.Device{}, fmt.Errorf("certificate for %q is not on record any more: it was replaced, or its device was removed", cert.Subject.CommonName)
	}
	d, err = r.DeviceByName(ctx, cert.Subject.CommonName)
	switch {
	case errors.Is(err, registry.ErrNoDevice):
		return d, &UnknownNameError{cert.Subject.CommonName}
	case err != nil:
		return d, err
	case len(d.Certificate) > 0:
		return registry.Device{}, fmt.Errorf("device %q has another certificate on record", d.Name)
	}
	return d, nil
}

// An UnknownNameError says that a device authority vouches for a name that no device has.
type UnknownNameError struct{ Name string }

func (e *UnknownNameError) Error() string {
	return fmt.Sprintf("certificate is valid, but there is no device %q", e.Name)
}

// verify tells whether a device authority vouches for a chain.
func verify(all []registry.Authority, chain []*x509.Certificate, now time.Time) error {
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	for _, a := range all {
		if a.Kind != registry.DeviceAuthority {
			continue
		}
		if cert, err := x509.ParseCertificate(a.Certificate); err == nil {
			roots.AddCert(cert)
		}
	}
	for _, cert := range chain[1:] {
		intermediates.AddCert(cert)
	}
	if !ClockIsSet(now) {
		now = chain[0].NotBefore
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots:         roots,
		Intermediates: intermediates,
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotVouchedFor, err)
	}
	return nil
}

// checkTime refuses what is expired or not yet valid. While the clock isn't set it can't tell.
func checkTime(cert *x509.Certificate, now time.Time) error {
	switch {
	case !ClockIsSet(now):
		return nil
	case now.Before(cert.NotBefore):
		return fmt.Errorf("certificate is not valid before %s, and the hub's clock says %s", cert.NotBefore.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	case now.After(cert.NotAfter):
		return fmt.Errorf("certificate expired on %s", cert.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// ParseID is the device that a certificate of a hub names; "" = it names none.
func ParseID(cert *x509.Certificate) twin.ID {
	for _, uri := range cert.URIs {
		if id, err := twin.ParseID(uri.Opaque[max(0, len(uri.Opaque)-36):]); err == nil && uri.String() == deviceURI(id).String() {
			return id
		}
	}
	return ""
}
