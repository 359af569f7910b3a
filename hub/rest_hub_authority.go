package hub

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/twinpanel/twinpanel/hub/credential"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

type restAuthority struct {
	CertPEM string `json:"ca_cert_pem"`
}

// customAuthority is the newest of those that vouch for devices with a key that somebody else has; nil = there is none.
func customAuthority(all []registry.Authority) *registry.Authority {
	for _, a := range slices.Backward(all) {
		if a.IsCustom() {
			return &a
		}
	}
	return nil
}

// restGetAuthority shows who vouches for devices: somebody's own authority, or the hub's.
func (h *Hub) restGetAuthority(ctx context.Context, r restRequest) (any, error) {
	if _, err := h.hubRecord(ctx, r.id); err != nil {
		return nil, err
	}
	all, err := credential.Ensure(ctx, h.registry)
	if err != nil {
		return nil, err
	}
	authority := cmp.Or(customAuthority(all), credential.Signer(all, registry.DeviceAuthority))
	return restAuthority{certificatePEM(authority.Certificate)}, nil
}

// restSetAuthority has an authority of somebody's own vouch for devices, in place of the one that he set before.
// The hub's own stays: who has a certificate of it keeps it. Whoever connects by a name that an authority
// vouches for has to connect again.
func (h *Hub) restSetAuthority(ctx context.Context, r restRequest) (any, error) {
	record, err := h.hubRecord(ctx, r.id)
	if err != nil {
		return nil, err
	}
	a := parseArguments(r.body)
	authority := a.authority(record.ID)
	if a.failed() {
		return nil, *a.err
	}
	_, err = h.registry.UpdateAuthorities(ctx, func(all []registry.Authority) ([]registry.Authority, error) {
		all = slices.DeleteFunc(all, registry.Authority.IsCustom)
		return append(all, registry.Authority{Kind: registry.DeviceAuthority, Certificate: authority.Raw, Created: stamp(time.Now())}), nil
	})
	if errors.Is(err, registry.ErrAuthorityTwice) {
		err = &twin.InvalidError{Argument: "ca_cert_pem", Reason: "constraint", Help: "the hub has this authority already, and its key"}
	}
	if err != nil {
		return nil, err
	}
	h.log.info("", "device authority set", "subject", authority.Subject, "expires", authority.NotAfter, "token", r.token.Name)
	devices, err := h.registry.Devices(ctx)
	if err != nil {
		return nil, err
	}
	h.kickAll(ctx, slices.DeleteFunc(devices, func(d registry.Device) bool { return len(d.Certificate) > 0 }), errCertificate)
	return h.restHub(ctx, r.token, record)
}

// authority reads the certificate of an authority, and the one that shows that whoever sends it has its key:
// signed by it, for the name that is the hub's id. It is nil where something is wrong.
func (a restArguments) authority(hubID string) *x509.Certificate {
	authority, challenge := a.certificate("ca_cert_pem"), a.certificate("challenge_cert_pem")
	if a.failed() {
		return nil
	}
	err := challenge.CheckSignatureFrom(authority)
	switch {
	case !authority.BasicConstraintsValid || !authority.IsCA:
		a.refuse("ca_cert_pem", "constraint", "certificate is of no authority: its basic constraints have to say CA:TRUE")
	case !strings.EqualFold(challenge.Subject.CommonName, hubID):
		a.refuse("challenge_cert_pem", "constraint", "the common name has to be the hub's id, "+hubID)
	case err != nil:
		a.refuse("challenge_cert_pem", "constraint", "certificate is not signed by the authority: "+err.Error())
	}
	return authority
}
