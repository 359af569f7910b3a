// Package credential makes and checks what a hub and its devices show of themselves: the
// authorities that vouch for them, their certificates, and requests for such.
//
// A hub has authorities of two kinds ([registry.Authority]), each with one that signs and any number
// that are valid. Keys are ECDSA on P-256. An authority is valid for twenty years, a device's certificate
// for ten, and the hub's own, which is in memory alone, for ninety days.
//
// Which device a certificate is: the one on record under its fingerprint, or else the one whose name is its
// common name, if a device authority signed it and the device has no certificate of its own on record. A certificate that a
// hub made names the device's id as well, and counts only while it is on record: once it is taken back it opens
// nothing, not even where nothing took its place, nor another device that later has the same name.
package credential

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"time"

	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// How long certificates are valid.
const (
	AuthorityLife = 20 * 365 * 24 * time.Hour
	DeviceLife    = 10 * 365 * 24 * time.Hour
	ServerLife    = 90 * 24 * time.Hour
)

// clockStart is before this program was written: a clock that shows less is wrong.
var clockStart = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// ClockIsSet tells whether a computer's clock can be right. A small computer without a battery begins in 1970.
func ClockIsSet(now time.Time) bool { return !now.Before(clockStart) }

// Ensure returns a registry's authorities, after making the first one of each kind where there is none.
func Ensure(ctx context.Context, r registry.Registry) ([]registry.Authority, error) {
	all, err := r.Authorities(ctx)
	if err != nil || Signer(all, registry.ServerAuthority) != nil && Signer(all, registry.DeviceAuthority) != nil {
		return all, err
	}
	h, err := r.Hub(ctx)
	if err != nil {
		return nil, err
	}
	return r.UpdateAuthorities(ctx, func(all []registry.Authority) ([]registry.Authority, error) {
		for _, kind := range []registry.AuthorityKind{registry.ServerAuthority, registry.DeviceAuthority} {
			if Signer(all, kind) != nil {
				continue
			}
			a, err := newAuthority(kind, h, all, time.Now())
			if err != nil {
				return nil, err
			}
			all = append(all, a)
		}
		return all, nil
	})
}

// Renew makes a new authority of a kind, which signs from now on. Those before it stay valid.
func Renew(ctx context.Context, r registry.Registry, kind registry.AuthorityKind) (registry.Authority, error) {
	h, err := r.Hub(ctx)
	if err != nil {
		return registry.Authority{}, err
	}
	var made registry.Authority
	_, err = r.UpdateAuthorities(ctx, func(all []registry.Authority) ([]registry.Authority, error) {
		made, err = newAuthority(kind, h, all, time.Now())
		return append(all, made), err
	})
	return made, err
}

// Signer is the authority of a kind that signs; nil = there is none.
func Signer(all []registry.Authority, kind registry.AuthorityKind) *registry.Authority {
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Kind == kind && all[i].Key != nil {
			return &all[i]
		}
	}
	return nil
}

// Bundle is all authorities of a kind in PEM, newest first: what is trusted. Devices and apps are given
// that of the server authorities.
func Bundle(all []registry.Authority, kind registry.AuthorityKind) []byte {
	var b bytes.Buffer
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Kind == kind {
			b.Write(CertificatePEM(all[i].Certificate))
		}
	}
	return b.Bytes()
}

// CertificatePEM is a certificate in PEM.
func CertificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// newAuthority makes an authority. Where the clock isn't set, it begins when it must have been made.
func newAuthority(kind registry.AuthorityKind, h registry.Hub, all []registry.Authority, now time.Time) (a registry.Authority, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return a, fmt.Errorf("making a key: %w", err)
	}
	begin := now
	if !ClockIsSet(begin) {
		begin = clockStart
	}
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{Organization: []string{"Twinpanel"}, CommonName: fmt.Sprintf("%s authority of hub %s", kind, h.ID)},
		NotBefore:             begin.Add(-24 * time.Hour), // for clocks that are a little behind
		NotAfter:              begin.Add(AuthorityLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	// Verifiers look for an issuer by its name: two authorities must not have the same.
	template.Subject.SerialNumber = template.SerialNumber.Text(16)[:16]
	a = registry.Authority{Kind: kind, Created: now.UTC().Truncate(time.Microsecond)}
	if a.Key, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		return a, fmt.Errorf("encoding a key: %w", err)
	}
	if a.Certificate, err = x509.CreateCertificate(rand.Reader, template, template, key.Public(), key); err != nil {
		return a, fmt.Errorf("making an authority: %w", err)
	}
	before := Signer(all, kind)
	if kind != registry.ServerAuthority || before == nil {
		return a, nil
	}
	parent, signer, err := open(before)
	if err != nil {
		return a, err
	}
	cross := *template
	cross.SerialNumber = serial()
	if cross.NotAfter.After(parent.NotAfter) {
		cross.NotAfter = parent.NotAfter
	}
	if a.Cross, err = x509.CreateCertificate(rand.Reader, &cross, parent, key.Public(), signer); err != nil {
		return a, fmt.Errorf("cross-signing an authority: %w", err)
	}
	return a, nil
}

// open parses an authority that signs.
func open(a *registry.Authority) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	cert, err := x509.ParseCertificate(a.Certificate)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the %s authority: %w", a.Kind, err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(a.Key)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the key of the %s authority: %w", a.Kind, err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, nil, fmt.Errorf("the key of the %s authority is %T: expected ECDSA", a.Kind, parsed)
	}
	return cert, key, nil
}

// serial is a random number of 127 bits.
func serial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b)
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b)
}

// deviceURI is how a certificate names its device's id.
func deviceURI(id twin.ID) *url.URL { return &url.URL{Scheme: "urn", Opaque: "uuid:" + string(id)} }

// ErrNotVouchedFor says why a certificate is of no device. Other refusals say what is wrong with the certificate.
var ErrNotVouchedFor = errors.New("no device has this certificate on record, and no device authority signed it")
