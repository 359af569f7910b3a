package twinclient

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

// A cert is a certificate with its key.
type cert struct {
	x509 *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue makes a certificate, which by (nil = itself) signs. change may spoil it.
func issue(t *testing.T, by *cert, name string, change func(*x509.Certificate)) *cert {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		Subject:               pkix.Name{CommonName: name},
		DNSNames:              []string{name},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IsCA:                  by == nil,
		BasicConstraintsValid: true,
	}
	if change != nil {
		change(template)
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.x509, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &cert{parsed, key}
}

// save writes certificate and key as PEM files.
func (c *cert) save(t *testing.T, certFile, keyFile string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: c.x509.Raw},
		keyFile:  {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// A secured hub has an authority of its own and wants a certificate of each device.
type secured struct {
	*fakeHub
	ca  *cert
	dir string // holds ca.crt, panel.crt, panel.key
}

func newSecuredHub(t *testing.T) *secured {
	h := &secured{newFakeHub(t), issue(t, nil, "authority", nil), t.TempDir()}
	h.ca.save(t, h.file("ca.crt"), h.file("ca.key"))
	issue(t, h.ca, "panel", nil).save(t, h.file("panel.crt"), h.file("panel.key"))
	h.use(issue(t, h.ca, "localhost", nil))
	return h
}

func (h *secured) file(name string) string { return filepath.Join(h.dir, name) }

// use makes c the hub's certificate.
func (h *secured) use(c *cert) {
	trusted := x509.NewCertPool()
	trusted.AddCert(h.ca.x509)
	h.tls = &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{c.x509.Raw}, PrivateKey: c.key}},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    trusted,
	}
}

func (h *secured) options() Options {
	o := h.fakeHub.options()
	o.Hub = "mqtts://localhost"
	o.CAFile, o.CertFile, o.KeyFile = h.file("ca.crt"), h.file("panel.crt"), h.file("panel.key")
	return o
}

// listen serves the hub on loopback, where clients find it with these options.
func (h *secured) listen(t *testing.T) Options {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	h.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			h.do(func() { h.accept(conn) })
		}
	})
	o := h.options()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	o.Hub, o.Dial = "mqtts://localhost:"+port, nil
	return o
}

var clock = regexp.MustCompile(`clock says \d{4}-\d\d-\d\d \d\d:\d\d UTC`)

func TestTLSRefused(t *testing.T) {
	past, future := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC), time.Date(2999, 1, 2, 3, 4, 0, 0, time.UTC)
	for _, test := range []struct {
		name  string
		spoil func(*testing.T, *secured, *Options)
		want  string
	}{
		{"authority of another hub", func(t *testing.T, h *secured, o *Options) {
			issue(t, nil, "other", nil).save(t, o.CAFile, h.file("other.key"))
		}, "no authority in DIR/ca.crt vouches for the hub's certificate: give the authority that signed the hub's certificate: hub ca export prints the hub's own; with hub --cert it is the one that signed that"},
		{"authority unknown to the system", func(t *testing.T, h *secured, o *Options) { o.CAFile = "" },
			"no authority that this system trusts vouches for the hub's certificate: give the authority that signed the hub's certificate: hub ca export prints the hub's own; with hub --cert it is the one that signed that"},
		{"certificate of another host", func(t *testing.T, h *secured, o *Options) {
			h.use(issue(t, h.ca, "hub.example", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1)} }))
		}, "the hub's certificate is for hub.example, 192.0.2.1, not for localhost: write one of its names as the hub's host, or start the hub with --name localhost"},
		{"certificate of no host", func(t *testing.T, h *secured, o *Options) {
			h.use(issue(t, h.ca, "hub", func(c *x509.Certificate) { c.DNSNames = nil }))
		}, "the hub's certificate is for no host at all, not for localhost: write one of its names as the hub's host, or start the hub with --name localhost"},
		{"certificate of hosts that a terminal would obey", func(t *testing.T, h *secured, o *Options) {
			h.use(issue(t, h.ca, "hub", func(c *x509.Certificate) { c.DNSNames = strings.Split("\x1b[2J,a,b,c,d,e,f,g,h", ",") }))
		}, "the hub's certificate is for ?[2J, a, b, c, d, e, f, g, …, not for localhost: "},
		{"expired", func(t *testing.T, h *secured, o *Options) {
			h.use(issue(t, h.ca, "localhost", func(c *x509.Certificate) { c.NotAfter = past }))
		}, "the hub's certificate expired on 2026-01-02: renew it on the hub; this computer's clock says NOW"},
		{"not yet valid", func(t *testing.T, h *secured, o *Options) {
			h.use(issue(t, h.ca, "localhost", func(c *x509.Certificate) { c.NotBefore = future }))
		}, "the hub's certificate is not valid before 2999-01-02 03:04 UTC: this computer's clock says NOW: look which clock is wrong, this one or that of who made the certificate"},
		{"authority expired", func(t *testing.T, h *secured, o *Options) {
			h.ca = issue(t, nil, "old authority", func(c *x509.Certificate) { c.NotAfter = past })
			h.ca.save(t, o.CAFile, h.file("ca.key"))
			h.use(issue(t, h.ca, "localhost", nil))
		}, `the authority "old authority", which vouches for the hub, expired on 2026-01-02: give the authority that signed the hub's certificate: hub ca export prints the hub's own; with hub --cert it is the one that signed that; this computer's clock says NOW`},
		{"no certificate of the device", func(t *testing.T, h *secured, o *Options) { o.CertFile, o.KeyFile = "", "" },
			"the hub wants a certificate of the device (tls: certificate required): give the device's certificate and key"},
		{"device's certificate from another authority", func(t *testing.T, h *secured, o *Options) {
			h.tls.ClientAuth = tls.RequireAnyClientCert // so that a client that is told no authority sends its own
			h.tls.VerifyConnection = func(tls.ConnectionState) error { return errors.New("never") }
			h.tls.ClientCAs = nil
		}, "the hub refused the device's certificate (tls: bad certificate): see the reason in the hub's log; hub device renew makes a new certificate"},
		{"device's certificate expired", func(t *testing.T, h *secured, o *Options) {
			issue(t, h.ca, "panel", func(c *x509.Certificate) { c.NotAfter = past }).save(t, o.CertFile, o.KeyFile)
		}, "the hub refused the device's certificate (tls: expired certificate): see the reason in the hub's log; hub device renew makes a new certificate"},
		{"no authority file", func(t *testing.T, h *secured, o *Options) { os.Remove(o.CAFile) },
			"reading the hub's authority: open DIR/ca.crt: no such file or directory"},
		{"authority file holds a key", func(t *testing.T, h *secured, o *Options) { o.CAFile = o.KeyFile },
			"reading the hub's authority: DIR/panel.key holds something that is no certificate: PRIVATE KEY"},
		{"truncated authority", func(t *testing.T, h *secured, o *Options) { os.Truncate(o.CAFile, 200) },
			"reading the hub's authority: DIR/ca.crt is cut short or damaged"},
		{"empty authority", func(t *testing.T, h *secured, o *Options) { os.Truncate(o.CAFile, 0) },
			"reading the hub's authority: DIR/ca.crt holds no certificate in PEM"},
		{"no certificate file", func(t *testing.T, h *secured, o *Options) { os.Remove(o.CertFile) },
			"reading the device's certificate: open DIR/panel.crt: no such file or directory"},
		{"truncated certificate", func(t *testing.T, h *secured, o *Options) { os.Truncate(o.CertFile, 200) },
			"reading the device's certificate: DIR/panel.crt with key DIR/panel.key: tls: failed to find any PEM data in certificate input"},
		{"key of another certificate", func(t *testing.T, h *secured, o *Options) { o.KeyFile = h.file("ca.key") },
			"reading the device's certificate: DIR/panel.crt with key DIR/ca.key: tls: private key does not match public key"},
		{"truncated key", func(t *testing.T, h *secured, o *Options) { os.Truncate(o.KeyFile, 40) },
			"reading the device's certificate: DIR/panel.crt with key DIR/panel.key: tls: failed to find any PEM data in key input"},
		{"hub is no hub", func(t *testing.T, h *secured, o *Options) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			h.wg.Go(func() {
				if conn, err := l.Accept(); err == nil {
					io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
					io.Copy(io.Discard, conn)
					conn.Close()
				}
			})
			_, port, _ := net.SplitHostPort(l.Addr().String())
			o.Hub = "mqtts://localhost:" + port
		}, "the hub doesn't speak TLS on this port: give the port of its TLS listener (hub --mqtts), or write mqtt:// for one without"},
		{"hub speaks plaintext", func(t *testing.T, h *secured, o *Options) { h.tls = nil },
			"the hub closed the connection in the TLS handshake: give the port of its TLS listener (hub --mqtts), or write mqtt:// for one without"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newSecuredHub(t)
			o := h.listen(t)
			h.do(func() { test.spoil(t, h, &o) })
			c, err := Dial(t.Context(), o)
			if err == nil {
				c.Close()
				t.Fatal("connected")
			}
			got := strings.ReplaceAll(err.Error(), h.dir, "DIR")
			got = clock.ReplaceAllString(got, "clock says NOW")
			if want := "connecting to " + o.Hub + ": " + test.want; !strings.HasPrefix(got, want) {
				t.Errorf("got error %s\nwant       %s", got, want)
			}
			trust, ok := errors.AsType[*TrustError](err)
			if got, want := ok && trust.Early, test.name == "not yet valid"; got != want {
				t.Errorf("early is %v, want %v", got, want)
			}
		})
	}
}

// Certificates are read for each connection: renewed ones need no new Options.
func TestTLSRenewed(t *testing.T) {
	h := newSecuredHub(t)
	o := h.listen(t)
	get := func() error {
		c, err := Dial(t.Context(), o)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Get(t.Context(), "desired")
		return err
	}
	if err := get(); !errors.Is(err, twin.ErrDocumentNotFound) {
		t.Fatalf("good certificates: %v", err)
	}
	next := issue(t, nil, "next authority", nil)
	h.do(func() {
		h.ca = next
		h.use(issue(t, next, "localhost", nil))
	})
	if err := get(); err == nil || !strings.Contains(err.Error(), "no authority in ") {
		t.Errorf("hub has a new authority: got error %v", err)
	}
	next.save(t, o.CAFile, h.file("ca.key"))
	issue(t, next, "panel", nil).save(t, o.CertFile, o.KeyFile)
	if err := get(); !errors.Is(err, twin.ErrDocumentNotFound) {
		t.Errorf("renewed certificates: %v", err)
	}
}

// A device without a clock battery: its clock is behind until it finds the time.
func TestTLSNotYetValidIsWaitedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newSecuredHub(t)
		h.use(issue(t, h.ca, "localhost", func(c *x509.Certificate) { c.NotBefore = time.Now().Add(20 * time.Minute) }))
		d := start(t, h.fakeHub, `{"n":0}`, func(c *SyncConfig) { c.Connect = h.options() })
		time.Sleep(20*time.Minute + longestRetry)
		synctest.Wait()
		if got, want := published(t, h.fakeHub), `{"n":0}`; got != want {
			t.Errorf("published %s, want %s", got, want)
		}
		if len(d.links) != 2 || !strings.Contains(d.links[0], "the hub's certificate is not valid before 2000-01-01 00:20 UTC: this computer's clock says 2000-01-01 00:00 UTC: set it, or wait for network time; it is not the certificate that is wrong") || !slices.Contains(d.links, "up") {
			t.Errorf("link: got %q, want it down once and then up", d.links)
		}
		d.stop()
	})
}

// A link that freezes below TLS, where a goodbye would block.
func TestTLSFrozen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newSecuredHub(t)
		c, err := Dial(t.Context(), h.options())
		if err != nil {
			t.Fatal(err)
		}
		h.do(func() { h.fault = func(string) fault { return freeze } })
		go c.client.Publish("$SCW/twins/me/desired/get", 0, false, []byte{})
		time.Sleep(time.Second)
		start := time.Now()
		c.Close()
		if took := time.Since(start); took > 2*disconnectWait {
			t.Errorf("Close took %v", took)
		}
		synctest.Wait()
		h.takeOver()
	})
}
