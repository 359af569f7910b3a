package credential

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/twinpanel/twinpanel/hub/registry"
)

// RSA keys that certificates are made for, in bits. TLS of Go takes no longer ones.
const (
	minRSA = 2048
	maxRSA = 8192
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
	block, err := findPEM(request, "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")
	if err != nil {
		return nil, err
	}
	csr, err := x509.ParseCertificateRequest(block)
	if err != nil {
		return nil, fmt.Errorf("certificate request can't be read: %w", err)
	}
	if csr.Subject.CommonName != d.Name {
		return nil, fmt.Errorf("certificate request is for %q: its common name must be the device's name, %q", csr.Subject.CommonName, d.Name)
	}
	if err := checkKey(csr.PublicKey); err != nil {
		return nil, fmt.Errorf("certificate request: %w", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("certificate request is not signed with its own key: %w", err)
	}
	return sign(all, d, csr.PublicKey)
}

// checkKey refuses keys that are too weak, and those that a TLS client of Go couldn't use.
func checkKey(public crypto.PublicKey) error {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			return nil
		}
		return fmt.Errorf("its key is on curve %s: take P-256", key.Curve.Params().Name)
	case ed25519.PublicKey:
		return nil
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSA || bits > maxRSA {
			return fmt.Errorf("its RSA key has %d bits: expected %d to %d, or take ECDSA on P-256", bits, minRSA, maxRSA)
		}
		return nil
	}
	return errors.New("its key is of an unknown kind: take ECDSA on P-256")
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
	now := time.Now()
	if ClockIsSet(now) && now.After(parent.NotAfter) {
		return nil, fmt.Errorf("the device authority expired on %s: see hub ca renew", parent.NotAfter.UTC().Format(time.RFC3339))
	}
	end := now.Add(DeviceLife)
	if !ClockIsSet(now) || end.After(parent.NotAfter) {
		end = parent.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: d.Name}, // not its id: TLS 1.2 sends certificates in plain text
		NotBefore:    parent.NotBefore,              // a device whose clock is behind may check its own certificate
		NotAfter:     end,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, parent, public, key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	return der, nil
}
