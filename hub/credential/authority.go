package credential

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twinpanel/twinpanel/hub/registry"
)

// Errors about authorities.
var (
	ErrNoAuthority = errors.New("no authority has this fingerprint")
	ErrAmbiguous   = errors.New("several authorities have fingerprints that begin so")
	ErrSigns       = errors.New("this authority signs")
)

// Ensure returns a registry's authorities, after making the first one of each kind where there is none
// that signs.
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

// Renew makes a new authority of a kind, which signs from now on. Those before it stay valid, and
// whoever trusts one of the server authorities before it trusts the new one through it, until that one ends.
func Renew(ctx context.Context, r registry.Registry, kind registry.AuthorityKind) (registry.Authority, error) {
	h, err := r.Hub(ctx)
	if err != nil {
		return registry.Authority{}, err
	}
	var made registry.Authority
	_, err = r.UpdateAuthorities(ctx, func(all []registry.Authority) (_ []registry.Authority, err error) {
		made, err = newAuthority(kind, h, all, time.Now())
		return append(all, made), err
	})
	return made, err
}

// ParseAuthority reads the first certificate of a PEM file as that of a device authority, whose key somebody
// else has. The errors say what is wrong with the certificate.
func ParseAuthority(data []byte) (registry.Authority, error) {
	cert, err := ParseCertificate(data)
	now := time.Now()
	switch {
	case err != nil:
		return registry.Authority{}, err
	case !cert.BasicConstraintsValid || !cert.IsCA:
		return registry.Authority{}, fmt.Errorf("certificate of %q is not an authority's (CA:TRUE is missing)", cert.Subject)
	case cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageCertSign == 0:
		return registry.Authority{}, fmt.Errorf("certificate of %q may not sign certificates (its key usage lacks keyCertSign)", cert.Subject)
	case ClockIsSet(now) && now.After(cert.NotAfter):
		return registry.Authority{}, fmt.Errorf("certificate of %q expired on %s", cert.Subject, cert.NotAfter.UTC().Format(time.RFC3339))
	}
	return registry.Authority{
		Kind:        registry.DeviceAuthority,
		Certificate: cert.Raw,
		Created:     now.UTC().Truncate(time.Microsecond),
	}, nil
}

// Add makes a hub trust an authority that [ParseAuthority] read. The error may be [registry.ErrAuthorityTwice].
func Add(ctx context.Context, r registry.Registry, a registry.Authority) error {
	_, err := r.UpdateAuthorities(ctx, func(all []registry.Authority) ([]registry.Authority, error) {
		return append(all, a), nil
	})
	return err
}

// sameAuthority tells whether two are one.
func sameAuthority(a, b registry.Authority) bool { return bytes.Equal(a.Certificate, b.Certificate) }

// Remove removes the authority with a fingerprint, as [ParseFingerprint] has it, and what is trusted because
// of it alone. The error is [ErrNoAuthority], [ErrAmbiguous], or [ErrSigns] for the one of its kind that signs.
func Remove(ctx context.Context, r registry.Registry, fingerprint string) (registry.Authority, error) {
	var removed registry.Authority
	_, err := r.UpdateAuthorities(ctx, func(all []registry.Authority) ([]registry.Authority, error) {
		meant := func(a registry.Authority) bool { return strings.HasPrefix(Fingerprint(a.Certificate), fingerprint) }
		i := slices.IndexFunc(all, meant)
		switch {
		case i < 0:
			return nil, ErrNoAuthority
		case slices.ContainsFunc(all[i+1:], meant):
			return nil, ErrAmbiguous
		}
		removed = all[i]
		if Signer(all, removed.Kind) == &all[i] {
			return nil, ErrSigns
		}
		return slices.Delete(all, i, i+1), nil
	})
	return removed, err
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
	for _, a := range slices.Backward(all) {
		if a.Kind == kind {
			b.Write(CertificatePEM(a.Certificate))
		}
	}
	return b.Bytes()
}

// newAuthority makes an authority, which a server authority before it certifies as well.
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
		NotBefore:             clockStart,
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
	template.SerialNumber = serial()
	if template.NotAfter.After(parent.NotAfter) {
		template.NotAfter = parent.NotAfter
	}
	if a.Cross, err = x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer); err != nil {
		return a, fmt.Errorf("cross-signing an authority: %w", err)
	}
	return a, nil
}

// links lead from the server authority that signs to those before it: that authority as the one before
// certified it, that one as the one before it did, and so on. Who trusts any of them finds the way,
// whatever the number of renewals. A link ends with the older authority, and goes when that is removed.
func links(all []registry.Authority, now time.Time) [][]byte {
	var found [][]byte
	a := Signer(all, registry.ServerAuthority)
	for range all { // there are no more links than authorities, whatever the records say
		if a == nil || a.Cross == nil {
			break
		}
		link, err := x509.ParseCertificate(a.Cross)
		if err != nil || ClockIsSet(now) && now.After(link.NotAfter) {
			break
		}
		if a = issuer(all, link); a != nil {
			found = append(found, link.Raw)
		}
	}
	return found
}

// issuer is the server authority that made a link; nil = it is there no more.
func issuer(all []registry.Authority, link *x509.Certificate) *registry.Authority {
	for i, a := range all {
		if a.Kind != registry.ServerAuthority {
			continue
		}
		if cert, err := x509.ParseCertificate(a.Certificate); err == nil && link.CheckSignatureFrom(cert) == nil {
			return &all[i]
		}
	}
	return nil
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
