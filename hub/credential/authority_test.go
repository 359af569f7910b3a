package credential

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub/registry"
)

func TestEnsureMakesOneOfEachKindOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := registry.NewMemory()
		first := must[[]registry.Authority](t)(Ensure(t.Context(), r))
		again := must[[]registry.Authority](t)(Ensure(t.Context(), r))
		if len(first) != 2 || len(again) != 2 {
			t.Fatalf("got %d authorities, then %d, want 2 of them", len(first), len(again))
		}
		for i, kind := range []registry.AuthorityKind{registry.ServerAuthority, registry.DeviceAuthority} {
			a, cert := first[i], parse(t, first[i].Certificate)
			if a.Kind != kind || Signer(again, kind) == nil || !bytes.Equal(Signer(again, kind).Certificate, a.Certificate) {
				t.Errorf("authority %d is of kind %s or doesn't sign, want the %s authority that signs", i, a.Kind, kind)
			}
			if !cert.IsCA || !cert.NotAfter.Equal(time.Now().Add(AuthorityLife)) || cert.NotBefore.After(clockStart) || a.Cross != nil {
				t.Errorf("%s authority: CA %t, valid from %v to %v, cross-signed %t", kind, cert.IsCA, cert.NotBefore, cert.NotAfter, a.Cross != nil)
			}
		}
	})
}

func TestEnsureBesideAnAuthorityOfOnesOwn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := registry.NewMemory()
		addAuthority(t, r, issue(t, nil, authorityTemplate("plant")))
		all := must[[]registry.Authority](t)(Ensure(t.Context(), r))
		if len(all) != 3 || Signer(all, registry.DeviceAuthority) == nil {
			t.Errorf("got %d authorities, want one of one's own and two that sign", len(all))
		}
	})
}

// TestRenewedAuthoritiesAreReachedByWhoeverTrustsAny follows a hub through three renewals with a client for each.
func TestRenewedAuthoritiesAreReachedByWhoeverTrustsAny(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := registry.NewMemory()
		s := must[*Server](t)(NewServer(t.Context(), r, []string{"hub.example"}, Files{}, nil))
		trusts := func(a registry.Authority) error {
			_, _, err := handshake(s.TLS(), &tls.Config{RootCAs: pool(a), ServerName: "hub.example"})
			return err
		}
		pinned := []registry.Authority{*Signer(must[[]registry.Authority](t)(r.Authorities(t.Context())), registry.ServerAuthority)}
		for range 3 {
			time.Sleep(5 * 365 * 24 * time.Hour)
			pinned = append(pinned, must[registry.Authority](t)(Renew(t.Context(), r, registry.ServerAuthority)))
			time.Sleep(lookAgain)
			for i, a := range pinned {
				checkError(t, trusts(a), "")
				if i == len(pinned)-1 && len(s.certificate().Certificate) != len(pinned) {
					t.Errorf("after %d renewals the chain has %d certificates, want one for each and the hub's", i, len(s.certificate().Certificate))
				}
			}
		}

		// The first one ends, and takes along who trusts it alone.
		time.Sleep(5*365*24*time.Hour + time.Second)
		checkError(t, trusts(pinned[0]), "unknown authority")
		checkError(t, trusts(pinned[1]), "")
		if n := len(s.certificate().Certificate); n != 3 {
			t.Errorf("chain has %d certificates, want 3: a link to an authority that ended is of no use", n)
		}

		// One that is removed is a bridge no more.
		removed := parse(t, pinned[2].Certificate)
		must[registry.Authority](t)(Remove(t.Context(), r, Fingerprint(removed.Raw)))
		time.Sleep(lookAgain)
		checkError(t, trusts(pinned[1]), "unknown authority")
		checkError(t, trusts(pinned[2]), "unknown authority")
		checkError(t, trusts(pinned[3]), "")
	})
}

func TestRenewedDeviceAuthorityStandsAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := registry.NewMemory()
		must[[]registry.Authority](t)(Ensure(t.Context(), r))
		a := must[registry.Authority](t)(Renew(t.Context(), r, registry.DeviceAuthority))
		all := must[[]registry.Authority](t)(r.Authorities(t.Context()))
		if a.Cross != nil || len(all) != 3 || !bytes.Equal(Signer(all, registry.DeviceAuthority).Certificate, a.Certificate) {
			t.Errorf("cross-signed %t, %d authorities: want a third one that signs", a.Cross != nil, len(all))
		}
		if n := strings.Count(string(Bundle(all, registry.DeviceAuthority)), "BEGIN CERTIFICATE"); n != 2 {
			t.Errorf("bundle has %d device authorities, want 2", n)
		}
		newest := must[*x509.Certificate](t)(ParseCertificate(Bundle(all, registry.DeviceAuthority)))
		if !bytes.Equal(newest.Raw, a.Certificate) {
			t.Errorf("bundle begins with %v, want the newest", newest.Subject)
		}
	})
}

func TestParseAuthority(t *testing.T) {
	own := func(t *testing.T) *pair { return issue(t, nil, authorityTemplate("plant")) }
	changed := func(change func(*x509.Certificate)) func(*testing.T) string {
		return func(t *testing.T) string {
			c := authorityTemplate("plant")
			change(c)
			return issue(t, nil, c).certPEM()
		}
	}
	text := func(s string) func(*testing.T) string { return func(*testing.T) string { return s } }
	tests := []struct {
		name string
		file func(*testing.T) string
		want string
	}{
		{"nothing", text(""), "no certificate in PEM"},
		{"DER", func(t *testing.T) string { return string(own(t).Raw) }, "no certificate in PEM"},
		{"key", func(t *testing.T) string { return own(t).keyPEM(t) }, "expected a certificate, found PRIVATE KEY"},
		{"truncated", func(t *testing.T) string { return own(t).certPEM()[:300] }, "no certificate in PEM"},
		{"not ASN.1", text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "can't be read"},
		{"a device's", func(t *testing.T) string { return issue(t, own(t), template("front-door")).certPEM() }, "not an authority's"},
		{"without the CA bit", changed(func(c *x509.Certificate) { c.IsCA = false }), "not an authority's"},
		{"may not sign", changed(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }), "may not sign certificates"},
		{"expired", changed(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), "expired on"},
		{"good", func(t *testing.T) string { return own(t).certPEM() }, ""},
		{"may sign", changed(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign }), ""},
		{"not valid yet", changed(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }), ""},
		{"after its key", func(t *testing.T) string { p := own(t); return p.keyPEM(t) + p.certPEM() }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				a, err := ParseAuthority([]byte(tt.file(t)))
				checkError(t, err, tt.want)
				if err == nil && (a.Kind != registry.DeviceAuthority || a.Certificate == nil || a.Key != nil || !a.Created.Equal(time.Now())) {
					t.Errorf("got %+v, want a device authority without a key", a)
				}
			})
		})
	}
}

func TestAddTrustsAndLeavesSigningAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := registry.NewMemory()
		before := must[[]registry.Authority](t)(Ensure(t.Context(), r))
		a := must[registry.Authority](t)(ParseAuthority([]byte(issue(t, nil, authorityTemplate("plant")).certPEM())))
		checkError(t, Add(t.Context(), r, a), "")
		if err := Add(t.Context(), r, a); !errors.Is(err, registry.ErrAuthorityTwice) {
			t.Errorf("again: got error %v, want %v", err, registry.ErrAuthorityTwice)
		}
		if err := Add(t.Context(), r, before[0]); !errors.Is(err, registry.ErrAuthorityTwice) {
			t.Errorf("the hub's own: got error %v, want %v", err, registry.ErrAuthorityTwice)
		}
		after := must[[]registry.Authority](t)(r.Authorities(t.Context()))
		if len(after) != 3 || !sameAuthority(after[2], a) || !sameAuthority(*Signer(after, registry.DeviceAuthority), before[1]) {
			t.Errorf("got %d authorities, want one more, and the same one signs", len(after))
		}
	})
}

func TestRemoveRefusesWhatSigns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := registry.NewMemory()
		all := must[[]registry.Authority](t)(Ensure(t.Context(), r))
		for _, a := range all {
			if _, err := Remove(t.Context(), r, Fingerprint(a.Certificate)); !errors.Is(err, ErrSigns) {
				t.Errorf("%s authority: got error %v, want %v", a.Kind, err, ErrSigns)
			}
		}
		if _, err := Remove(t.Context(), r, strings.Repeat("0", 64)); !errors.Is(err, ErrNoAuthority) {
			t.Errorf("unknown: got error %v, want %v", err, ErrNoAuthority)
		}
		for _, a := range all {
			must[registry.Authority](t)(Renew(t.Context(), r, a.Kind))
			removed := must[registry.Authority](t)(Remove(t.Context(), r, Fingerprint(a.Certificate)))
			if !bytes.Equal(removed.Certificate, a.Certificate) {
				t.Errorf("%s authority: another one was removed", a.Kind)
			}
		}
		left := must[[]registry.Authority](t)(r.Authorities(t.Context()))
		if len(left) != 2 || bytes.Equal(left[0].Certificate, all[0].Certificate) {
			t.Errorf("%d authorities are left, want the two new ones", len(left))
		}
	})
}

func TestParseFingerprint(t *testing.T) {
	const plain = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	for _, s := range []string{"", "00", "0011223", "00:11:22:3", "::::::::", plain + "0", plain + "00", "x" + plain[1:], "../" + plain, "0011223x", "0011%233"} {
		if got, err := ParseFingerprint(s); err == nil {
			t.Errorf("%q: got %s, want an error", s, got)
		}
	}
	colons := regexp.MustCompile("..").ReplaceAllString(strings.ToUpper(plain), ":$0")[1:] // as OpenSSL prints it
	for s, want := range map[string]string{plain: plain, colons: plain, "00112233": plain[:8], "00:11:22:33:4": plain[:9], "AABBCCDDE": "aabbccdde"} {
		if got, err := ParseFingerprint(s); got != want || err != nil {
			t.Errorf("%q: got %q, %v, want %q", s, got, err, want)
		}
	}
}

func TestRemoveByTheBeginningOfAFingerprint(t *testing.T) {
	r := registry.NewMemory()
	// Of seventeen, two at least begin with the same digit.
	_, err := r.UpdateAuthorities(t.Context(), func(all []registry.Authority) ([]registry.Authority, error) {
		for i := range byte(17) {
			all = append(all, registry.Authority{Kind: registry.DeviceAuthority, Certificate: []byte{i}})
		}
		return all, nil
	})
	checkError(t, err, "")
	var digits [16][]string
	for i := range byte(17) {
		f := Fingerprint([]byte{i})
		d := strings.Index("0123456789abcdef", f[:1])
		digits[d] = append(digits[d], f)
	}
	for d, prints := range digits {
		removed, err := Remove(t.Context(), r, "0123456789abcdef"[d:d+1])
		switch len(prints) {
		case 0:
			if !errors.Is(err, ErrNoAuthority) {
				t.Errorf("%x: got error %v, want %v", d, err, ErrNoAuthority)
			}
		case 1:
			if err != nil || Fingerprint(removed.Certificate) != prints[0] {
				t.Errorf("%x: got error %v, or another authority was removed", d, err)
			}
		default:
			if !errors.Is(err, ErrAmbiguous) {
				t.Errorf("%x: got error %v, want %v", d, err, ErrAmbiguous)
			}
		}
	}
}
