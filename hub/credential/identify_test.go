package credential

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub/registry"
)

// A site is a hub's registry with authorities of its own, one of somebody else's, and devices.
type site struct {
	*registry.Memory
	t      testing.TB
	all    []registry.Authority
	plant  *pair // somebody else's authority
	server *pair // the hub's
	device *pair // the hub's
}

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{Memory: registry.NewMemory(), t: t, plant: issue(t, nil, authorityTemplate("plant"))}
	addAuthority(t, s, s.plant)
	s.all = must[[]registry.Authority](t)(Ensure(t.Context(), s))
	for kind, p := range map[registry.AuthorityKind]**pair{registry.ServerAuthority: &s.server, registry.DeviceAuthority: &s.device} {
		cert, key, err := open(Signer(s.all, kind))
		if err != nil {
			t.Fatal(err)
		}
		*p = &pair{cert, key}
	}
	return s
}

// add adds a device, which has a certificate on record unless that is nil.
func (s *site) add(name string, certificate []byte) registry.Device {
	s.t.Helper()
	d := must[registry.Device](s.t)(registry.NewDevice(name))
	d.Certificate = certificate
	if err := s.AddDevice(context.Background(), d); err != nil {
		s.t.Fatal(err)
	}
	return d
}

// change changes a device.
func (s *site) change(d registry.Device, change func(*registry.Device)) {
	s.t.Helper()
	must[registry.Device](s.t)(s.UpdateDevice(context.Background(), d.ID, func(d *registry.Device) error { change(d); return nil }))
}

// by makes a certificate for name, which a signs, and returns the chain that a client shows. change may alter it.
func (s *site) by(a *pair, name string, change ...func(*x509.Certificate)) []*x509.Certificate {
	s.t.Helper()
	c := template(name)
	for _, f := range change {
		f(c)
	}
	return []*x509.Certificate{issue(s.t, a, c).Certificate}
}

// commonNames gives a certificate several of them.
func commonNames(names ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.Subject = pkix.Name{}
		for _, name := range names {
			c.Subject.ExtraNames = append(c.Subject.ExtraNames, pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: name})
		}
	}
}

// forServers makes a certificate one that no client shows.
func forServers(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }

func TestIdentifyRefuses(t *testing.T) {
	expired := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	notYet := func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }
	const notVouched = "no device has this certificate on record, and no device authority signed it"

	tests := []struct {
		name  string
		shows func(s *site) []*x509.Certificate // where a device "panel" has none on record
		want  string                            // of the error
	}{
		{"nothing", func(s *site) []*x509.Certificate { return nil }, "no certificate"},
		{"50 certificates", func(s *site) []*x509.Certificate {
			chain := s.by(s.plant, "panel")
			for len(chain) < 50 {
				chain = append(chain, s.plant.Certificate)
			}
			return chain
		}, "chain of 50 certificates: at most 10"},
		{"its own signature", func(s *site) []*x509.Certificate { return s.by(nil, "panel") }, notVouched},
		{"its own signature, as an authority", func(s *site) []*x509.Certificate {
			return []*x509.Certificate{issue(s.t, nil, authorityTemplate("panel")).Certificate}
		}, notVouched},
		{"an unknown authority", func(s *site) []*x509.Certificate {
			ca := issue(s.t, nil, authorityTemplate("plant")) // of the same name
			return append(s.by(ca, "panel"), ca.Certificate)
		}, notVouched},
		{"an authority that was removed", func(s *site) []*x509.Certificate {
			chain := s.by(s.plant, "panel")
			must[registry.Authority](s.t)(Remove(context.Background(), s, Fingerprint(s.plant.Raw)))
			return append(chain, s.plant.Certificate)
		}, notVouched},
		{"an authority that expired", func(s *site) []*x509.Certificate {
			chain := s.by(s.plant, "panel", func(c *x509.Certificate) { c.NotAfter = c.NotAfter.AddDate(1, 0, 0) })
			time.Sleep(2 * time.Hour)
			return chain
		}, "expired"},
		{"another device's signature", func(s *site) []*x509.Certificate {
			other := issue(s.t, s.plant, template("other"))
			return append(s.by(other, "panel"), other.Certificate)
		}, notVouched},
		{"an authority in between that it doesn't show", func(s *site) []*x509.Certificate {
			return s.by(issue(s.t, s.plant, authorityTemplate("hall 1")), "panel")
		}, notVouched},
		{"an authority in between that may sign for others alone", func(s *site) []*x509.Certificate {
			c := authorityTemplate("hall 1")
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
			hall := issue(s.t, s.plant, c)
			return append(s.by(hall, "panel"), hall.Certificate)
		}, notVouched},
		{"the hub's server authority", func(s *site) []*x509.Certificate { return s.by(s.server, "panel") }, notVouched},
		{"the hub's own certificate", func(s *site) []*x509.Certificate {
			server := must[*Server](s.t)(NewServer(context.Background(), s, []string{"panel"}, Files{}, nil))
			return []*x509.Certificate{server.Leaf()}
		}, notVouched},
		{"the authority itself", func(s *site) []*x509.Certificate { return []*x509.Certificate{s.plant.Certificate} }, "is an authority's"},
		{"for servers", func(s *site) []*x509.Certificate { return s.by(s.plant, "panel", forServers) }, "incompatible key usage"},
		{"expired", func(s *site) []*x509.Certificate { return s.by(s.plant, "panel", expired) }, "certificate expired on 2026-06-30T23:59:00Z: see hub device renew"},
		{"not valid yet", func(s *site) []*x509.Certificate { return s.by(s.plant, "panel", notYet) }, "not valid before 2026-07-01T00:01:00Z, and the hub's clock says 2026-07-01T00:00:00Z"},
		{"no common name", func(s *site) []*x509.Certificate { return s.by(s.plant, "") }, "its one common name"},
		{"two common names", func(s *site) []*x509.Certificate { return s.by(s.plant, "", commonNames("panel", "panel")) }, "its one common name"},
		{"two common names, the last a device's", func(s *site) []*x509.Certificate { return s.by(s.plant, "", commonNames("x", "panel")) }, "its one common name"},
		{"another name", func(s *site) []*x509.Certificate { return s.by(s.plant, "pane1") }, `there is no device "pane1"`},
		{"in capitals", func(s *site) []*x509.Certificate { return s.by(s.plant, "Panel") }, `there is no device "Panel"`},
		{"a space behind", func(s *site) []*x509.Certificate { return s.by(s.plant, "panel ") }, `there is no device "panel "`},
		{"NUL behind", func(s *site) []*x509.Certificate { return s.by(s.plant, "panel\x00") }, `there is no device "panel\x00"`},
		{"200 characters", func(s *site) []*x509.Certificate { return s.by(s.plant, strings.Repeat("p", 200)) }, `there is no device "pppp`},
		{"the id", func(s *site) []*x509.Certificate {
			d := must[registry.Device](s.t)(s.DeviceByName(context.Background(), "panel"))
			return s.by(s.plant, string(d.ID))
		}, `there is no device "`},
		{"another one on record", func(s *site) []*x509.Certificate {
			s.add("pinned", s.by(nil, "pinned")[0].Raw)
			return s.by(s.plant, "pinned")
		}, `device "pinned" has another certificate on record`},
		{"on record, expired", func(s *site) []*x509.Certificate {
			chain := s.by(nil, "pinned", expired)
			s.add("pinned", chain[0].Raw)
			return chain
		}, "certificate expired on"},
		{"on record, not valid yet", func(s *site) []*x509.Certificate {
			chain := s.by(nil, "pinned", notYet)
			s.add("pinned", chain[0].Raw)
			return chain
		}, "not valid before"},
		{"made by the hub, then taken back", func(s *site) []*x509.Certificate { return s.by(s.device, "panel") },
			`certificate for "panel" is not on record any more: it was replaced, or its device was removed`},
		{"made by the hub for a device that was removed", func(s *site) []*x509.Certificate { return s.by(s.device, "gone") },
			`certificate for "gone" is not on record any more`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newSite(t)
				s.add("panel", nil)
				d, err := Identify(t.Context(), s, tt.shows(s), time.Now())
				checkError(t, err, tt.want)
				if unknown, ok := errors.AsType[*UnknownNameError](err); ok != strings.HasPrefix(tt.want, "there is no device") {
					t.Errorf("got %T %v: only a name that an authority vouches for may be provisioned", err, unknown)
				}
				if errors.Is(err, registry.ErrNoDevice) || d.ID != "" || d.Name != "" {
					t.Errorf("got device %+v, %v: want none", d, err)
				}
			})
		})
	}
}

func TestIdentify(t *testing.T) {
	const odd = `Tür "no. 2", Hof/Keller\b; CN=evil+O=x 🚪`
	tests := []struct {
		name  string
		shows func(s *site) []*x509.Certificate // where a device "panel" has none on record
		want  string                            // the device's name
	}{
		{"made by the hub", func(s *site) []*x509.Certificate {
			d := registry.Device{Name: "issued"}
			der, _, _, err := Issue(s.all, d)
			if err != nil {
				s.t.Fatal(err)
			}
			s.add("issued", der)
			return []*x509.Certificate{parse(s.t, der)}
		}, "issued"},
		{"on record, its own signature, for servers, another name", func(s *site) []*x509.Certificate {
			chain := s.by(nil, "panel", forServers)
			s.add("pinned", chain[0].Raw)
			return chain
		}, "pinned"},
		{"on record, of an authority in between and its root", func(s *site) []*x509.Certificate {
			root := issue(s.t, nil, authorityTemplate("elsewhere"))
			chain := append(s.by(root, "panel"), root.Certificate)
			s.add("pinned", chain[0].Raw)
			return chain
		}, "pinned"},
		{"signed for its name", func(s *site) []*x509.Certificate { return s.by(s.plant, "panel") }, "panel"},
		{"signed for its name, with the authority", func(s *site) []*x509.Certificate {
			return append(s.by(s.plant, "panel"), s.plant.Certificate)
		}, "panel"},
		{"signed for its name, by an authority in between", func(s *site) []*x509.Certificate {
			hall := issue(s.t, s.plant, authorityTemplate("hall 1"))
			return append(s.by(hall, "panel"), hall.Certificate)
		}, "panel"},
		{"signed for an odd name", func(s *site) []*x509.Certificate {
			s.add(odd, nil)
			return s.by(s.plant, odd)
		}, odd},
		{"of a device that is disabled", func(s *site) []*x509.Certificate {
			s.change(s.add("off", nil), func(d *registry.Device) { d.Disabled = true })
			return s.by(s.plant, "off")
		}, "off"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newSite(t)
				s.add("panel", nil)
				d, err := Identify(t.Context(), s, tt.shows(s), time.Now())
				if err != nil || d.Name != tt.want || d.ID == "" || d.Disabled != (tt.want == "off") {
					t.Errorf("got device %+v, %v, want %q", d, err, tt.want)
				}
			})
		})
	}
}

// While the hub's clock isn't set, dates are not checked, and all else is. The clock of a bubble begins in 2000.
func TestIdentifyWithoutAClock(t *testing.T) {
	years := func(from, to int) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Date(from, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(to, 1, 1, 0, 0, 0, 0, time.UTC)
		}
	}
	authority := func(t *testing.T, by *pair, name string, from, to int) *pair {
		c := authorityTemplate(name)
		years(from, to)(c)
		return issue(t, by, c)
	}
	tests := []struct {
		name                            string
		authority, between, certificate [2]int // valid from and to
		ok                              bool
	}{
		{"never valid together", [2]int{2030, 2040}, [2]int{}, [2]int{2020, 2025}, false},
		{"never valid together, with one in between", [2]int{2020, 2040}, [2]int{2020, 2025}, [2]int{2030, 2031}, false},
		{"certificate begins first", [2]int{2026, 2046}, [2]int{}, [2]int{2020, 2030}, true},
		{"authority begins first", [2]int{2020, 2046}, [2]int{}, [2]int{2026, 2030}, true},
		{"the one in between begins last", [2]int{2020, 2046}, [2]int{2028, 2040}, [2]int{2026, 2030}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &site{Memory: registry.NewMemory(), t: t}
				s.add("panel", nil)
				plant := authority(t, nil, "plant", tt.authority[0], tt.authority[1])
				addAuthority(t, s, plant)
				signer, tail := plant, []*x509.Certificate(nil)
				if tt.between != [2]int{} {
					signer = authority(t, plant, "hall 1", tt.between[0], tt.between[1])
					tail = append(tail, signer.Certificate)
				}
				chain := append(s.by(signer, "panel", years(tt.certificate[0], tt.certificate[1])), tail...)
				d, err := Identify(t.Context(), s, chain, time.Now())
				if (err == nil && d.Name == "panel") != tt.ok {
					t.Errorf("got device %q, %v, want one: %t", d.Name, err, tt.ok)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		pinned := s.by(nil, "pinned", years(2020, 2025))
		s.add("pinned", pinned[0].Raw)
		d, err := Identify(t.Context(), s, pinned, time.Now())
		if err != nil || d.Name != "pinned" {
			t.Errorf("on record: got device %q, %v, want pinned", d.Name, err)
		}
		s.add("panel", nil)
		_, err = Identify(t.Context(), s, s.by(nil, "panel", years(2020, 2025)), time.Now())
		if !errors.Is(err, ErrNotVouchedFor) {
			t.Errorf("its own signature: got error %v, want %v", err, ErrNotVouchedFor)
		}
	})
}

// What a client showed in its first handshake is what a resumed session has, and it is looked up each time.
func TestIdentifyOfAResumedSession(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newSite(t)
				shown := issue(t, nil, template("panel"))
				d := s.add("panel", shown.Raw)
				server := must[*Server](t)(NewServer(t.Context(), s, []string{"hub.example"}, Files{}, nil)).TLS()
				client := &tls.Config{
					RootCAs:            pool(*Signer(s.all, registry.ServerAuthority)),
					ServerName:         "hub.example",
					Certificates:       []tls.Certificate{{Certificate: [][]byte{shown.Raw}, PrivateKey: shown.key}},
					ClientSessionCache: tls.NewLRUClientSessionCache(1),
					MaxVersion:         version,
				}
				connect := func(resumed bool) (registry.Device, error) {
					t.Helper()
					state, _, err := handshake(server, client)
					if err != nil || state.DidResume != resumed || state.Version != version {
						t.Fatalf("got error %v, resumed %t, %s: want none, %t", err, state.DidResume, tls.VersionName(state.Version), resumed)
					}
					return Identify(t.Context(), s, state.PeerCertificates, time.Now())
				}
				for i, resumed := range []bool{false, true} {
					if got, err := connect(resumed); err != nil || got.ID != d.ID || got.Disabled {
						t.Fatalf("connection %d: got %+v, %v, want panel", i, got, err)
					}
				}
				s.change(d, func(d *registry.Device) { d.Disabled = true })
				if got, err := connect(true); err != nil || !got.Disabled {
					t.Errorf("after it was disabled: got %+v, %v, want that", got, err)
				}
				s.change(d, func(d *registry.Device) { d.Certificate = s.by(nil, "panel")[0].Raw })
				if got, err := connect(true); !errors.Is(err, ErrNotVouchedFor) {
					t.Errorf("after it was given another certificate: got %q, %v, want %v", got.Name, err, ErrNotVouchedFor)
				}
			})
		})
	}
}

// broken is a registry that fails one call.
type broken struct {
	registry.Registry
	call string
}

var errBroken = errors.New("disk is gone")

func (b broken) fail(call string) error {
	if call == b.call {
		return errBroken
	}
	return nil
}

func (b broken) DeviceByFingerprint(ctx context.Context, sum [32]byte) (registry.Device, error) {
	if err := b.fail("fingerprint"); err != nil {
		return registry.Device{}, err
	}
	return b.Registry.DeviceByFingerprint(ctx, sum)
}

func (b broken) Authorities(ctx context.Context) ([]registry.Authority, error) {
	if err := b.fail("authorities"); err != nil {
		return nil, err
	}
	return b.Registry.Authorities(ctx)
}

func (b broken) DeviceByName(ctx context.Context, name string) (registry.Device, error) {
	if err := b.fail("name"); err != nil {
		return registry.Device{}, err
	}
	return b.Registry.DeviceByName(ctx, name)
}

func TestIdentifyWithABrokenRegistry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		s.add("panel", nil)
		for _, call := range []string{"fingerprint", "authorities", "name"} {
			d, err := Identify(t.Context(), broken{s, call}, s.by(s.plant, "panel"), time.Now())
			if !errors.Is(err, ErrUnavailable) || !errors.Is(err, errBroken) || d.ID != "" {
				t.Errorf("%s fails: got %v, %v, want %v and why", call, d, err, ErrUnavailable)
			}
		}
		if _, err := Identify(t.Context(), broken{s, ""}, s.by(s.plant, "panel"), time.Now()); err != nil {
			t.Errorf("nothing fails: got %v", err)
		}
	})
}

func ExampleIdentify() {
	r := registry.NewMemory()
	all, _ := Ensure(context.Background(), r)
	d, _ := registry.NewDevice("front-door")
	d.Certificate, _, _, _ = Issue(all, d)
	_ = r.AddDevice(context.Background(), d)

	cert, _ := x509.ParseCertificate(d.Certificate) // as tls.ConnectionState.PeerCertificates has it
	found, err := Identify(context.Background(), r, []*x509.Certificate{cert}, time.Now())
	fmt.Println(found.Name, err)
	// Output: front-door <nil>
}
