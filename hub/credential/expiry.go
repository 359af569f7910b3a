package credential

import (
	"context"
	"crypto/x509"
	"slices"
	"strings"
	"time"

	"github.com/twinpanel/twinpanel/hub/registry"
)

// An Expiry is the end of something that is shown or trusted.
type Expiry struct {
	What string    // "hub certificate", "server authority", "device authority" or "device certificate"
	Name string    // the names that the hub's is for, an authority's fingerprint, or a device's name
	At   time.Time // it is valid until then
}

// Expiries lists everything with an end, the soonest first: what server shows (nil = nothing), all authorities
// and the certificates of devices.
func Expiries(ctx context.Context, r registry.Registry, server *Server) ([]Expiry, error) {
	all, err := r.Authorities(ctx)
	if err != nil {
		return nil, err
	}
	devices, err := r.Devices(ctx)
	if err != nil {
		return nil, err
	}
	var found []Expiry
	add := func(what, name string, der []byte) {
		if cert, err := x509.ParseCertificate(der); err == nil { // what can't be read serves nobody
			found = append(found, Expiry{what, name, cert.NotAfter})
		}
	}
	if server != nil {
		leaf := server.Leaf()
		names := slices.Clone(leaf.DNSNames)
		for _, ip := range leaf.IPAddresses {
			names = append(names, ip.String())
		}
		found = append(found, Expiry{"hub certificate", strings.Join(names, " "), leaf.NotAfter})
	}
	for _, a := range all {
		add(string(a.Kind)+" authority", Fingerprint(a.Certificate), a.Certificate)
	}
	for _, d := range devices {
		if d.Certificate != nil {
			add("device certificate", d.Name, d.Certificate)
		}
	}
	slices.SortStableFunc(found, func(a, b Expiry) int { return a.At.Compare(b.At) })
	return found, nil
}
