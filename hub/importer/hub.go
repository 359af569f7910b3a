package importer

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/twinpanel/twinpanel/hub/credential"
	"github.com/twinpanel/twinpanel/hub/graphite"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// maxText is how long names may be that a hub has of itself, in characters.
const maxText = 255

// hub brings the hub's own record.
func (p *pass) hub(ctx context.Context, h vendorHub) error {
	have, err := p.target.Registry.Hub(ctx)
	if err != nil {
		return err
	}
	want := p.wantHub(h, have)
	switch {
	case sameHub(want, have):
	case have.ID == want.ID && have.Updated.After(want.Updated):
		p.find(Kept, "settings of the hub: they were changed here later than at the source")
	case p.mode.write:
		_, err = p.target.Registry.UpdateHub(ctx, func(to *registry.Hub) error { *to = want; return nil })
	default:
		p.changed("settings of the hub")
	}
	return err
}

// sameHub compares what an import changes.
func sameHub(a, b registry.Hub) bool {
	a.Updated, a.Created = b.Updated, b.Created
	return a == b
}

// wantHub is the record that a hub of the source has here.
func (p *pass) wantHub(h vendorHub, have registry.Hub) registry.Hub {
	want := have
	want.ID = h.ID
	want.AutoProvisioning = h.EnableDeviceAutoProvisioning
	want.DisableEvents = h.DisableEvents
	want.ProjectID = p.uuid("project", h.ProjectID)
	want.OrganizationID = p.uuid("organization", h.OrganizationID)
	want.Created = cmp.Or(vendorTime(h.CreatedAt), have.Created)
	want.Updated = vendorTime(h.UpdatedAt)
	if h.Name == "" || utf8.RuneCountInString(h.Name) > maxText {
		p.find(LeftBehind, "the hub's name %q: expected 1 to %d characters", excerpt(h.Name), maxText)
	} else {
		want.Name = h.Name
	}
	if prefix := h.EventsTopicPrefix; utf8.RuneCountInString(prefix) > maxText || strings.ContainsAny(prefix, "+#\x00") {
		p.find(LeftBehind, "the hub's events_topic_prefix %q: expected a topic of up to %d characters", excerpt(prefix), maxText)
	} else {
		want.EventsTopicPrefix = cmp.Or(prefix, have.EventsTopicPrefix)
	}
	want.Graphite = p.graphite(h)
	return want
}

// uuid is an id of the source's that is kept for those who ask for it.
func (p *pass) uuid(what, text string) string {
	id, err := twin.ParseID(text)
	if err != nil && text != "" {
		p.find(LeftBehind, "the hub's %s %q: expected a UUID", what, excerpt(text))
	}
	return string(id)
}

// graphite is where the source pushes time series to. It may hold a password, which no finding repeats.
func (p *pass) graphite(h vendorHub) string {
	if h.TwinsGraphiteConfig == nil || h.TwinsGraphiteConfig.PushURI == "" {
		return ""
	}
	config := graphite.Config{URI: h.TwinsGraphiteConfig.PushURI}
	if err := config.Validate(); err != nil {
		p.find(LeftBehind, "the hub's push_uri for time series: %v", err)
		return ""
	}
	p.find(Note, "time series go to %s, as at the source; a token that may only read is shown no password, so that the database may refuse them", config.Server())
	return config.URI
}

// vendorTime is a time as it is stored. The vendor writes 1970 for never.
func vendorTime(t *time.Time) time.Time {
	if t == nil || t.IsZero() || t.Unix() == 0 {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}

// authorities brings the hub's CA, which vouches for devices without a certificate on record.
func (p *pass) authorities(ctx context.Context, h vendorHub) error {
	var certs []*x509.Certificate
	if h.HasCustomCA {
		text, err := p.source.client.hubCA(ctx, h.ID)
		if err == nil {
			certs, err = parseCertificates(text)
		}
		if err != nil && !isNotFound(err) && !isUnfit(err) {
			return err
		}
		if err != nil {
			p.find(LeftBehind, "the hub's CA: %v", err)
		}
	}
	have, err := p.target.Registry.Authorities(ctx)
	if err != nil {
		return err
	}
	for _, cert := range certs {
		if err := p.authority(ctx, have, cert); err != nil {
			return err
		}
	}
	for _, a := range have {
		there := slices.ContainsFunc(certs, func(c *x509.Certificate) bool { return bytes.Equal(c.Raw, a.Certificate) })
		if a.IsCustom() && !there {
			p.find(Kept, "the CA with the fingerprint %s: it vouches for devices here, and not at the source; hub ca remove ends that", credential.Fingerprint(a.Certificate))
		}
	}
	return nil
}

// authority brings one of the hub's authorities.
func (p *pass) authority(ctx context.Context, have []registry.Authority, cert *x509.Certificate) error {
	name := excerpt(cert.Subject.String())
	a, err := credential.ParseAuthority(credential.CertificatePEM(cert.Raw))
	if err != nil {
		p.find(LeftBehind, "the hub's CA: %v", err)
		return nil
	}
	p.vouchers = append(p.vouchers, fmt.Sprintf("%q", name))
	p.find(Note, "the CA %q vouches for devices: whoever has its key can be any device that has no certificate on record", name)
	switch {
	case slices.ContainsFunc(have, func(other registry.Authority) bool { return bytes.Equal(other.Certificate, a.Certificate) }):
		return nil
	case !p.mode.write:
		p.changed("the hub's CA %q: it is new", name)
		return nil
	}
	return credential.Add(ctx, p.target.Registry, a)
}

// parseCertificates reads all certificates of a text in PEM, each once; what else is in it is passed over.
func parseCertificates(text string) (all []*x509.Certificate, err error) {
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, &unfitError{fmt.Errorf("its certificate can't be read: %w", err)}
		}
		if !slices.ContainsFunc(all, cert.Equal) {
			all = append(all, cert)
		}
	}
	if len(all) == 0 {
		return nil, &unfitError{errors.New("what should be its certificate has none in PEM")}
	}
	return all, nil
}
