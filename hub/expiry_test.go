package hub

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub/credential"
	"github.com/twinpanel/twinpanel/hub/registry"
)

// endingCertificate is a device's own certificate.
func endingCertificate(t *testing.T, end time.Time) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotAfter: end}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// startTLS begins to watch what expires.
func (s *testServer) startTLS() {
	s.t.Helper()
	if _, err := s.TLS(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	synctest.Wait()
}

func TestExpiryIsLoggedOnceADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)))
		s := newTestServer(t, nil)
		end := time.Now().Add(40*24*time.Hour + 30*time.Minute)
		setCertificate := func(der []byte) {
			t.Helper()
			if _, err := s.registry.UpdateDevice(t.Context(), panelID, func(d *registry.Device) error {
				d.Certificate = der
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		setCertificate(endingCertificate(t, end))
		s.startTLS()
		days := func(n int, want map[string]int) {
			t.Helper()
			time.Sleep(time.Duration(n) * 24 * time.Hour)
			synctest.Wait()
			log := s.log.take()
			for text, count := range want {
				if got := strings.Count(log, text); got != count {
					t.Errorf("%d lines have %q, want %d:\n%s", got, text, count, log)
				}
			}
		}
		const soon, over = `level=WARN msg="certificate expires soon" what="device certificate" name=panel at=2026-07-11T12:30:00.000Z hint="see hub device renew"`,
			`level=ERROR msg="certificate expired" what="device certificate" name=panel at=2026-07-11T12:30:00.000Z hint="see hub device renew"`
		days(9, map[string]int{"certificate exp": 0})
		days(3, map[string]int{soon: 2, "certificate exp": 2})
		days(27, map[string]int{soon: 27, "certificate exp": 27})
		days(3, map[string]int{over: 2, soon: 1, "certificate exp": 3})
		setCertificate(endingCertificate(t, end.AddDate(1, 0, 0)))
		days(3, map[string]int{"certificate exp": 0})
	})
}

func TestExpiryOfAFleetIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)))
		s := newTestServer(t, nil)
		const fleet = 3 * expiryLines
		for i := range fleet {
			d, err := registry.NewDevice(fmt.Sprint("panel-", i))
			if err != nil {
				t.Fatal(err)
			}
			d.Certificate = endingCertificate(t, time.Now().Add(time.Hour))
			if err := s.registry.AddDevice(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
		s.startTLS()
		log := s.log.take()
		if n, more := strings.Count(log, "certificate expires soon"), fmt.Sprintf("count=%d", fleet-expiryLines); n != expiryLines || !strings.Contains(log, more) {
			t.Errorf("got %d lines, want %d and then %s:\n%s", n, expiryLines, more, log)
		}
	})
}

// The clock of a synctest bubble begins in 2000.
func TestExpiryWaitsForTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		s.startTLS()
		time.Sleep(48 * time.Hour)
		const unset, set = `level=WARN msg="the clock is not set: the dates of certificates are not checked"`, `level=INFO msg="the clock is set`
		if log := s.log.take(); strings.Count(log, unset) != 1 || strings.Contains(log, set) {
			t.Errorf("want one line with %s:\n%s", unset, log)
		}
		time.Sleep(time.Until(time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)))
		if log := s.log.take(); strings.Count(log, set) != 1 {
			t.Errorf("want one line with %s:\n%s", set, log)
		}
		if all, err := s.expiries(t.Context()); err != nil || len(all) != 3 {
			t.Fatalf("got %v, %v: want the hub's certificate and two authorities", all, err)
		}
	})
}

func TestExpiriesOfAHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)))
		s := newTestServer(t, func(c *Config) { c.Names = []string{"hub.example", "192.0.2.1"} })
		if all, err := s.expiries(t.Context()); err != nil || len(all) != 0 {
			t.Errorf("before it speaks TLS: got %v, %v, want none", all, err)
		}
		s.startTLS()
		all, err := s.registry.Authorities(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		der := endingCertificate(t, time.Now().Add(time.Hour))
		if _, err := s.registry.UpdateDevice(t.Context(), otherID, func(d *registry.Device) error { d.Certificate = der; return nil }); err != nil {
			t.Fatal(err)
		}
		got, err := s.expiries(t.Context())
		want := []credential.Expiry{
			{What: "device certificate", Name: "other", At: time.Now().Add(time.Hour).UTC()},
			{What: "hub certificate", Name: "hub.example 192.0.2.1", At: time.Now().Add(credential.ServerLife).UTC()},
			{What: "server authority", Name: credential.Fingerprint(all[0].Certificate), At: time.Now().Add(credential.AuthorityLife).UTC()},
			{What: "device authority", Name: credential.Fingerprint(all[1].Certificate), At: time.Now().Add(credential.AuthorityLife).UTC()},
		}
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %v, %v\nwant %v", got, err, want)
		}
	})
}

// A hub that is closed before it speaks TLS, or that speaks it after, leaves no goroutine behind: the bubble would wait.
func TestExpiryEndsWithTheHub(t *testing.T) {
	for _, late := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newTestServer(t, nil)
			if late {
				s.Close()
			}
			s.startTLS()
			s.Close()
			if log := s.log.take(); !bytes.Contains([]byte(log), []byte("hub certificate made")) {
				t.Errorf("log is %q", log)
			}
		})
	}
}
