package credential

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"time"

	"github.com/twinpanel/twinpanel/hub/registry"
)

// serverBehind is how far a client's clock may be behind: a small computer without a battery begins where it
// was switched off. With this, [ServerLife] stays under the 825 days that Apple's devices accept.
const serverBehind = 365 * 24 * time.Hour

// longestCommonName is what X.509 allows (RFC 5280, ub-common-name).
const longestCommonName = 64

// issueServer makes a certificate for names with the server authority of all that signs.
func issueServer(all []registry.Authority, names []string, now time.Time) (*tls.Certificate, error) {
	parent, signer, err := open(Signer(all, registry.ServerAuthority))
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial(),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	template.NotBefore, template.NotAfter = serverDates(parent, now)
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	if len(names[0]) <= longestCommonName { // for people: clients read the names above
		template.Subject = pkix.Name{CommonName: names[0]}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("making the hub's certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading the hub's certificate: %w", err)
	}
	return &tls.Certificate{Certificate: append([][]byte{der}, links(all, now)...), PrivateKey: key, Leaf: leaf}, nil
}

// serverDates are when a certificate of the hub begins and ends, which never goes past its authority. While the
// clock isn't set, it is valid as long as that.
func serverDates(authority *x509.Certificate, now time.Time) (begin, end time.Time) {
	if !ClockIsSet(now) {
		return authority.NotBefore, authority.NotAfter
	}
	end = now.Add(ServerLife)
	if end.After(authority.NotAfter) {
		end = authority.NotAfter
	}
	begin = end.Add(-ServerLife - serverBehind)
	if begin.Before(authority.NotBefore) {
		begin = authority.NotBefore
	}
	return begin, end
}

// due tells whether a certificate of the hub's own has to be made anew: in the last third of its life, unless
// its authority lives no longer, or when it has the dates of another clock.
func due(leaf *x509.Certificate, signer *registry.Authority, now time.Time) bool {
	authority, err := x509.ParseCertificate(signer.Certificate)
	if err != nil {
		return true
	}
	_, end := serverDates(authority, now)
	switch longer := end.Sub(leaf.NotAfter); {
	case longer < -24*time.Hour:
		return true
	case ClockIsSet(now):
		return longer > 0 && leaf.NotAfter.Sub(now) < ServerLife/3
	default:
		return longer > 0
	}
}
