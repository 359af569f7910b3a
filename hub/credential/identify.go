package credential

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"time"

	"github.com/twinpanel/twinpanel/hub/registry"
)

// maxChain is how many certificates a client may show. TLS lets 256 KiB of them through.
const maxChain = 10

// ErrNotVouchedFor says why a certificate is of no device. Other refusals say what is wrong with the certificate.
var ErrNotVouchedFor = errors.New("no device has this certificate on record, and no device authority signed it")

// ErrUnavailable says that the registry can't be read: the certificate may be good or not.
var ErrUnavailable = errors.New("devices cannot be read now")

// An UnknownNameError says that a device authority, whose key somebody else has, vouches for a name that no
// device has. A hub with [registry.Hub.AutoProvisioning] may add it. No certificate that a hub made leads here.
type UnknownNameError struct{ Name string }

func (e *UnknownNameError) Error() string {
	return fmt.Sprintf("there is no device %q, the common name of the certificate", e.Name)
}

// Identify finds the device that a client's certificate chain belongs to, its own certificate first; TLS has
// shown that the client has the key. A disabled device is found as well. The errors say what to do about
// it; [registry.ErrNoDevice] is never one.
func Identify(ctx context.Context, r registry.Registry, chain []*x509.Certificate, now time.Time) (registry.Device, error) {
	switch {
	case len(chain) == 0:
		return registry.Device{}, errors.New("no certificate")
	case len(chain) > maxChain:
		return registry.Device{}, fmt.Errorf("chain of %d certificates: at most %d are looked at", len(chain), maxChain)
	}
	cert := chain[0]
	if err := checkTime(cert, now); err != nil {
		return registry.Device{}, err
	}
	switch d, err := r.DeviceByFingerprint(ctx, sha256.Sum256(cert.Raw)); {
	case err == nil:
		return d, nil
	case !errors.Is(err, registry.ErrNoDevice):
		return registry.Device{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	all, err := r.Authorities(ctx)
	if err != nil {
		return registry.Device{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if err := verify(all, chain, now); err != nil {
		return registry.Device{}, err
	}
	d, err := r.DeviceByName(ctx, cert.Subject.CommonName)
	switch {
	case errors.Is(err, registry.ErrNoDevice):
		return registry.Device{}, &UnknownNameError{cert.Subject.CommonName}
	case err != nil:
		return registry.Device{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	case len(d.Certificate) > 0:
		return registry.Device{}, fmt.Errorf("device %q has another certificate on record", d.Name)
	}
	return d, nil
}

// verify refuses a chain that doesn't give a device its name: that needs a device authority whose key somebody
// else has. What the hub itself signs is put on record, and counts only there.
func verify(all []registry.Authority, chain []*x509.Certificate, now time.Time) error {
	cert, roots, intermediates := chain[0], x509.NewCertPool(), x509.NewCertPool()
	begins := []time.Time{cert.NotBefore} // of whatever may vouch for it
	for _, link := range chain[1:] {
		intermediates.AddCert(link)
		begins = append(begins, link.NotBefore)
	}
	for _, a := range all {
		authority, err := x509.ParseCertificate(a.Certificate)
		switch {
		case a.Kind != registry.DeviceAuthority:
		case err != nil: // by a later Go, which is stricter: the other authorities count all the same
		case a.Key == nil:
			roots.AddCert(authority)
			begins = append(begins, authority.NotBefore)
		case cert.CheckSignatureFrom(authority) == nil:
			return fmt.Errorf("certificate for %q is not on record any more: it was replaced, or its device was removed", cert.Subject.CommonName)
		}
	}
	times := []time.Time{now}
	if !ClockIsSet(now) { // any time will do at which the whole chain is valid: one of it begins then
		times = begins
	}
	err := ErrNotVouchedFor
	for _, at := range times {
		_, e := cert.Verify(x509.VerifyOptions{
			Roots:         roots,
			Intermediates: intermediates,
			CurrentTime:   at,
			KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		})
		switch {
		case e != nil:
			err = fmt.Errorf("%w: %w", ErrNotVouchedFor, e)
		case cert.IsCA:
			return errors.New("certificate is an authority's: a device needs one of its own")
		case countCommonNames(cert.Subject) != 1:
			return fmt.Errorf("certificate is for %q: its one common name must be the device's name", cert.Subject)
		default:
			return nil
		}
	}
	return err
}

// checkTime refuses what is expired or not yet valid. While the clock isn't set it can't tell.
func checkTime(cert *x509.Certificate, now time.Time) error {
	switch {
	case !ClockIsSet(now):
		return nil
	case now.Before(cert.NotBefore):
		return fmt.Errorf("certificate is not valid before %s, and the hub's clock says %s",
			cert.NotBefore.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	case now.After(cert.NotAfter):
		return fmt.Errorf("certificate expired on %s: see hub device renew", cert.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// countCommonNames counts them: [pkix.Name.CommonName] is the last one, and others read the first.
func countCommonNames(name pkix.Name) (n int) {
	for _, attribute := range name.Names {
		if attribute.Type.Equal([]int{2, 5, 4, 3}) {
			n++
		}
	}
	return n
}
