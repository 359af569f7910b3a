package credential

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub/registry"
)

// A logText keeps what was logged.
type logText struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// take returns what was logged since the last call.
func (l *logText) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.b.Reset()
	return l.b.String()
}

func (l *logText) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func TestNewServerRefusesNames(t *testing.T) {
	_, err := NewServer(t.Context(), registry.NewMemory(), []string{"hub.example", "https://hub.example"}, Files{}, nil)
	checkError(t, err, `host "https://hub.example": write the host alone: hub.example`)
}

func TestServerIsFoundByItsNames(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := registry.NewMemory()
		long := strings.Repeat("a-long-name.", 10) + "example"
		s := must[*Server](t)(NewServer(t.Context(), r, []string{long, "*.site.example", "192.0.2.1", "2001:db8::1"}, Files{}, nil))
		all := must[[]registry.Authority](t)(r.Authorities(t.Context()))
		for name, want := range map[string]string{
			"hub.example":      "not hub.example",
			"site.example":     "not site.example",
			"a.b.site.example": "not a.b.site.example",
			"192.0.2.2":        "not 192.0.2.2",
			long:               "",
			"hub.site.example": "",
			"192.0.2.1":        "",
			"2001:db8::1":      "",
		} {
			_, _, err := handshake(s.TLS(), &tls.Config{RootCAs: pool(all[0]), ServerName: name})
			checkError(t, err, want)
		}
		if cn := s.Leaf().Subject.CommonName; len(cn) > longestCommonName {
			t.Errorf("common name has %d characters", len(cn))
		}
		if life := s.Leaf().NotAfter.Sub(s.Leaf().NotBefore); life > 825*24*time.Hour {
			t.Errorf("certificate is valid for %v, which Apple's devices don't accept", life)
		}
	})
}

func TestServerTLS(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := registry.NewMemory()
		s := must[*Server](t)(NewServer(t.Context(), r, []string{"hub.example"}, Files{}, nil))
		all := must[[]registry.Authority](t)(r.Authorities(t.Context()))
		own := issue(t, nil, template("panel"))
		tests := []struct {
			name   string
			change func(*tls.Config)
			want   string
		}{
			{"TLS 1.0", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10 }, "protocol version not supported"},
			{"TLS 1.1", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, "protocol version not supported"},
			{"TLS 1.2", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, ""},
			{"TLS 1.3", func(c *tls.Config) {}, ""},
			{"protocol of MQTT", func(c *tls.Config) { c.NextProtos = []string{"mqtt"} }, ""},
			{"protocol of a cloud's", func(c *tls.Config) { c.NextProtos = []string{"x-amzn-mqtt-ca"} }, ""},
			{"HTTP/2 alone", func(c *tls.Config) { c.NextProtos = []string{"h2"} }, ""},
			{"a certificate of nobody's", func(c *tls.Config) {
				c.Certificates = []tls.Certificate{{Certificate: [][]byte{own.Raw}, PrivateKey: own.key}}
			}, ""},
		}
		for _, tt := range tests {
			c := &tls.Config{RootCAs: pool(all[0]), ServerName: "hub.example"}
			tt.change(c)
			atServer, atClient, err := handshake(s.TLS(), c)
			if err != nil || tt.want != "" {
				checkError(t, err, tt.want)
				continue
			}
			if shown := len(atServer.PeerCertificates); shown != len(c.Certificates) || atClient.NegotiatedProtocol != "" {
				t.Errorf("%s: hub got %d certificates and protocol %q, want %d and none", tt.name, shown, atClient.NegotiatedProtocol, len(c.Certificates))
			}
		}
	})
}

func TestServerRenewsItsCertificate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := registry.NewMemory()
		var log logText
		s := must[*Server](t)(NewServer(t.Context(), r, []string{"hub.example"}, Files{}, log.logger()))
		first := s.Leaf()
		time.Sleep(ServerLife - ServerLife/3)
		if s.Leaf() != first {
			t.Error("certificate was renewed before the last third of its life")
		}
		time.Sleep(lookAgain)
		if left := time.Until(s.Leaf().NotAfter); left < ServerLife-time.Second {
			t.Errorf("certificate has %v left, want a new one", left)
		}
		if n := strings.Count(log.take(), "hub certificate made"); n != 2 {
			t.Errorf("log has %d certificates, want 2", n)
		}

		// Towards the end of its authority it gets as long as that, once.
		end := parse(t, must[[]registry.Authority](t)(r.Authorities(t.Context()))[0].Certificate).NotAfter
		time.Sleep(time.Until(end) - 20*24*time.Hour)
		last := s.Leaf()
		if !last.NotAfter.Equal(end) {
			t.Errorf("certificate ends at %v, want %v like its authority", last.NotAfter, end)
		}
		time.Sleep(30 * 24 * time.Hour)
		if s.Leaf() != last {
			t.Error("certificate was made anew, which lasts no longer")
		}
	})
}

// Each change of the server authorities makes one certificate, and looking at them makes none.
func TestServerFollowsItsAuthoritiesOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := registry.NewMemory()
		var log logText
		server := func() *Server {
			t.Helper()
			return must[*Server](t)(NewServer(t.Context(), r, []string{"hub.example"}, Files{}, log.logger()))
		}
		s := server()
		day := func(after string, want int) {
			t.Helper()
			for range 24 {
				time.Sleep(time.Hour)
				s.Leaf()
			}
			if n := strings.Count(log.take(), "hub certificate made"); n != want {
				t.Errorf("%s: %d certificates made in a day, want %d", after, n, want)
			}
		}
		renew := func(kind registry.AuthorityKind) registry.Authority {
			t.Helper()
			return must[registry.Authority](t)(Renew(t.Context(), r, kind))
		}
		remove := func(a registry.Authority) {
			t.Helper()
			must[registry.Authority](t)(Remove(t.Context(), r, Fingerprint(a.Certificate)))
		}
		first := must[[]registry.Authority](t)(r.Authorities(t.Context()))
		day("start", 1)
		second := renew(registry.ServerAuthority)
		day("renewal", 1)
		if err := s.Leaf().CheckSignatureFrom(parse(t, second.Certificate)); err != nil {
			t.Errorf("certificate is not the new authority's: %v", err)
		}
		renew(registry.DeviceAuthority)
		day("renewal of the other kind", 0)
		renew(registry.ServerAuthority)
		day("second renewal", 1)
		s = server()
		day("another start", 1)
		for _, a := range first {
			remove(a)
		}
		day("removal of both kinds", 1)
		remove(second)
		s = server()
		day("removal and another start", 1)
	})
}

// A hub starts with an authority that expired: some devices don't check that.
func TestServerOfAnExpiredAuthority(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := registry.NewMemory()
		all := must[[]registry.Authority](t)(Ensure(t.Context(), r))
		time.Sleep(AuthorityLife + time.Hour)
		s := must[*Server](t)(NewServer(t.Context(), r, []string{"hub.example"}, Files{}, nil))
		_, _, err := handshake(s.TLS(), &tls.Config{RootCAs: pool(all[0]), ServerName: "hub.example"})
		checkError(t, err, "expired")
		_, _, err = handshake(s.TLS(), &tls.Config{RootCAs: pool(all[0]), ServerName: "hub.example", Time: func() time.Time { return clockStart.AddDate(19, 0, 0) }})
		checkError(t, err, "expired") // it is from later
		_, _, err = handshake(s.TLS(), &tls.Config{InsecureSkipVerify: true})
		checkError(t, err, "")
	})
}

// The clock of a bubble begins in 2000, which counts as not set.
func TestServerWithoutAClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := registry.NewMemory()
		s := must[*Server](t)(NewServer(t.Context(), r, []string{"hub.example"}, Files{}, nil))
		all := must[[]registry.Authority](t)(r.Authorities(t.Context()))
		connect := func(year int) error { // for a client that knows the time
			_, _, err := handshake(s.TLS(), &tls.Config{
				RootCAs: pool(all[0]), ServerName: "hub.example",
				Time: func() time.Time { return time.Date(year, 2, 1, 0, 0, 0, 0, time.UTC) },
			})
			return err
		}
		first := s.Leaf()
		checkError(t, connect(2026), "")
		checkError(t, connect(2040), "")
		time.Sleep(ServerLife)
		if s.Leaf() != first {
			t.Error("certificate was made anew, though nothing is known of the time")
		}

		time.Sleep(time.Until(clockStart.AddDate(1, 0, 0)))
		if left := time.Until(s.Leaf().NotAfter); left > ServerLife {
			t.Errorf("after the clock was set the certificate has %v left, want at most %v", left, ServerLife)
		}
		checkError(t, connect(2027), "")
	})
}

// Due also when the clock is set back, to 1970 or by some years.
func TestServerDatesFollowTheClock(t *testing.T) {
	a := must[registry.Authority](t)(newAuthority(registry.ServerAuthority, registry.NewHub(), nil, time.Unix(0, 0)))
	authority := parse(t, a.Certificate)
	if !authority.NotBefore.Equal(clockStart) || !authority.NotAfter.Equal(clockStart.Add(AuthorityLife)) {
		t.Fatalf("authority made in 1970 is valid from %v to %v", authority.NotBefore, authority.NotAfter)
	}
	in := func(year int) time.Time { return time.Date(year, 7, 1, 0, 0, 0, 0, time.UTC) }
	tests := []struct {
		name      string
		made, now time.Time
		due       bool
	}{
		{"the first year", in(2026), in(2026), false},
		{"the same time", in(2030), in(2030), false},
		{"60 days later", in(2030), in(2030).Add(60 * 24 * time.Hour), false},
		{"61 days later", in(2030), in(2030).Add(61 * 24 * time.Hour), true},
		{"years later", in(2030), in(2040), true},
		{"a minute back", in(2030), in(2030).Add(-time.Minute), false},
		{"years back", in(2030), in(2028), true},
		{"back to 1970", in(2030), in(1970), true},
		{"1970", in(1970), in(1970), false},
		{"1970 to 2030", in(1970), in(2030), true},
		{"after the authority's end", in(2050), in(2051), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cert := must[*tls.Certificate](t)(issueServer([]registry.Authority{a}, []string{"hub.example"}, tt.made))
			begin, end := cert.Leaf.NotBefore, cert.Leaf.NotAfter
			if !begin.Before(end) || begin.Before(authority.NotBefore) || end.After(authority.NotAfter) {
				t.Errorf("valid from %v to %v, want that within its authority's", begin, end)
			}
			if got := due(cert.Leaf, &a, tt.now); got != tt.due {
				t.Errorf("made %v, now %v: due %t, want %t", tt.made, tt.now, got, tt.due)
			}
		})
	}
}

// slow is a registry that takes its time, or fails.
type slow struct {
	registry.Registry
	wait chan struct{} // nil = no time
	err  atomic.Pointer[error]
}

func (s *slow) Authorities(ctx context.Context) ([]registry.Authority, error) {
	if s.wait != nil {
		select {
		case <-s.wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err := s.err.Load(); err != nil {
		return nil, *err
	}
	return s.Registry.Authorities(ctx)
}

func TestServerWithASlowRegistry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := &slow{Registry: registry.NewMemory()}
		s := must[*Server](t)(NewServer(t.Context(), r, []string{"hub.example"}, Files{}, nil))
		first := s.Leaf()
		must[registry.Authority](t)(Renew(t.Context(), r, registry.ServerAuthority))
		r.wait = make(chan struct{})
		time.Sleep(lookAgain)
		looked := make(chan *x509.Certificate, 1)
		go func() { looked <- s.Leaf() }()
		synctest.Wait()
		for range 100 { // while one looks, nobody waits
			if s.Leaf() != first {
				t.Fatal("another certificate is shown already")
			}
		}
		close(r.wait)
		if next := <-looked; next == first || s.Leaf() != next {
			t.Error("who looked doesn't show what was found")
		}

		r.wait = make(chan struct{}) // for ever
		time.Sleep(lookAgain)
		start := time.Now()
		s.Leaf()
		if took := time.Since(start); took != registryTime {
			t.Errorf("a registry that never answers took %v, want %v", took, registryTime)
		}
	})
}

// One failure is none: files are half written, a disk is busy. The second in a row is logged, and the end of it.
func TestServerLogsTroubleOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := &slow{Registry: registry.NewMemory()}
		var log logText
		s := must[*Server](t)(NewServer(t.Context(), r, []string{"hub.example"}, Files{}, log.logger()))
		log.take()
		look := func(want string) {
			t.Helper()
			time.Sleep(lookAgain)
			s.Leaf()
			if got := log.take(); want == "" && got != "" || !strings.Contains(got, want) {
				t.Errorf("log is %q, want %q", got, want)
			}
		}
		bad, other := errors.New("disk is gone"), errors.New("disk is slow")
		r.err.Store(&bad)
		look("")
		r.err.Store(nil)
		look("")
		r.err.Store(&bad)
		look("")
		look(`level=ERROR msg="hub certificate can't be renewed: the one before is still shown" error="disk is gone" expires=2026-09-29`)
		look("")
		r.err.Store(&other)
		look(`error="disk is slow"`)
		r.err.Store(nil)
		look(`level=INFO msg="hub certificate can be renewed again"`)
		look("")
	})
}

func TestServerIsSafeForConcurrentUse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := registry.NewMemory()
		s := must[*Server](t)(NewServer(t.Context(), r, []string{"hub.example"}, Files{}, nil))
		trusted := []registry.Authority{must[[]registry.Authority](t)(r.Authorities(t.Context()))[0]}
		config := s.TLS()
		for range 5 {
			trusted = append(trusted, must[registry.Authority](t)(Renew(t.Context(), r, registry.ServerAuthority)))
			time.Sleep(lookAgain)
			var clients sync.WaitGroup
			for _, a := range slices.Repeat(trusted, 4) {
				clients.Go(func() {
					time.Sleep(time.Millisecond)
					_, _, err := handshake(config, &tls.Config{RootCAs: pool(a, trusted[0]), ServerName: "hub.example"})
					checkError(t, err, "")
				})
			}
			clients.Wait()
		}
	})
}
