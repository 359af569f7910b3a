package hub

import (
	"context"
	"crypto/x509"
	"errors"
	"time"

	"github.com/twinpanel/twinpanel/hub/credential"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// A restCertificate is a certificate that the hub has just made, in PEM. Nobody sees its key again.
type restCertificate struct {
	Cert string `json:"crt"`
	Key  string `json:"key"`
}

type restDeviceCertificate struct {
	Device         any    `json:"device"`
	CertificatePEM string `json:"certificate_pem"` // empty = the device has none on record
}

// restRenewCertificate gives a device a new key and certificate. The one before opens nothing any more.
func (h *Hub) restRenewCertificate(ctx context.Context, r restRequest) (any, error) {
	d, err := h.registry.Device(ctx, r.id)
	if err != nil {
		return nil, err
	}
	all, err := credential.Ensure(ctx, h.registry)
	if err != nil {
		return nil, err
	}
	der, cert, key, err := credential.Issue(all, d)
	if err != nil {
		return nil, err
	}
	answer, err := h.changeCertificate(ctx, r, der, false)
	if err != nil {
		return nil, err
	}
	return restCertifiedDevice{answer, &restCertificate{string(cert), string(key)}}, nil
}

func (h *Hub) restGetCertificate(ctx context.Context, r restRequest) (any, error) {
	d, err := h.registry.Device(ctx, r.id)
	answer, err := h.restDevice(ctx, d, err)
	if err != nil {
		return nil, err
	}
	return restDeviceCertificate{answer, certificatePEM(d.Certificate)}, nil
}

// restSetCertificate gives a device a certificate that somebody made himself, whoever signed it.
func (h *Hub) restSetCertificate(ctx context.Context, r restRequest) (any, error) {
	a := parseArguments(r.body)
	cert := a.certificate("certificate_pem")
	if a.failed() {
		return nil, *a.err
	}
	answer, err := h.changeCertificate(ctx, r, cert.Raw, true)
	switch {
	case errors.Is(err, registry.ErrCertificateTaken):
		return nil, &twin.InvalidError{Argument: "certificate_pem", Reason: "constraint", Help: "another device has this certificate: each needs its own"}
	case err != nil:
		return nil, err
	}
	return restDeviceCertificate{answer, certificatePEM(cert.Raw)}, nil
}

// changeCertificate gives a device the one certificate that it can connect with from now on.
func (h *Hub) changeCertificate(ctx context.Context, r restRequest, der []byte, custom bool) (answer any, err error) {
	d, err := h.registry.UpdateDevice(ctx, r.id, func(d *registry.Device) error {
		d.Certificate, d.CustomCertificate, d.Updated = der, custom, stamp(time.Now())
		return nil
	})
	if err != nil {
		return nil, err
	}
	h.kick(ctx, d.ID, errCertificate)
	h.noteChange(r, "device certificate changed", d)
	return h.restDevice(ctx, d, nil)
}

func certificatePEM(der []byte) string {
	if len(der) == 0 {
		return ""
	}
	return string(credential.CertificatePEM(der))
}

// certificate reads a certificate in PEM that is, or will be, valid. It is nil where something is wrong.
func (a restArguments) certificate(name string) *x509.Certificate {
	text := a.required(name, "missing: send a certificate in PEM")
	if a.failed() {
		return nil
	}
	cert, err := credential.ParseCertificate([]byte(text))
	now := time.Now()
	switch {
	case err != nil:
		a.refuse(name, "format", err.Error())
	case credential.ClockIsSet(now) && now.After(cert.NotAfter):
		a.refuse(name, "constraint", "certificate expired on "+cert.NotAfter.UTC().Format(time.RFC3339))
	}
	return cert
}
