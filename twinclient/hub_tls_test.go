package twinclient_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/credential"
	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twinclient"
)

// A tlsHub is the real hub over TLS, with a device, in a bubble.
type tlsHub struct {
	registry *registry.Memory
	device   registry.Device
	ca       string // file with the authorities that the device trusts
	secret   string // file
	tls      *tls.Config
	hub      *hub.Hub

	serving sync.WaitGroup
	mu      sync.Mutex
	last    net.Conn
}

func startTLSHub(t *testing.T) *tlsHub {
	t.Helper()
	// A bubble's clock begins in 2000, where no hub is.
	time.Sleep(time.Until(time.Date(2027, time.June, 1, 0, 0, 0, 0, time.UTC)))
	h := &tlsHub{registry: registry.NewMemory(), ca: filepath.Join(t.TempDir(), "ca.pem"), secret: filepath.Join(t.TempDir(), "secret")}
	var err error
	if h.hub, err = hub.New(hub.Config{Documents: docstore.NewMemory(), Registry: h.registry, Names: []string{"hub.example"}}); err != nil {
		t.Fatal(err)
	}
	if h.tls, err = h.hub.TLS(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h.device, err = registry.NewDevice("gauge"); err != nil {
		t.Fatal(err)
	}
	secret := registry.NewSecret()
	h.device.Secret = registry.HashSecret(secret)
	if err := h.registry.AddDevice(t.Context(), h.device); err != nil {
		t.Fatal(err)
	}
	h.pin(t)
	if err := os.WriteFile(h.secret, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.hub.Close()
		h.serving.Wait()
	})
	return h
}

// pin gives the device the authorities that the hub has now.
func (h *tlsHub) pin(t *testing.T) {
	t.Helper()
	all, err := h.registry.Authorities(t.Context())
	if err == nil {
		err = os.WriteFile(h.ca, credential.Bundle(all, registry.ServerAuthority), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (h *tlsHub) options() twinclient.Options {
	return twinclient.Options{Hub: "mqtts://hub.example", DeviceID: h.device.ID, CAFile: h.ca, SecretFile: h.secret, Dial: h.dial}
}

// dial opens a connection that takes a few bytes which nobody has read yet: at the end of a handshake both sides write.
func (h *tlsHub) dial(context.Context) (net.Conn, error) {
	client, near := net.Pipe()
	far, server := net.Pipe()
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		h.serving.Go(func() {
			io.Copy(way[0], way[1])
			near.Close()
			far.Close()
		})
	}
	h.serving.Go(func() { h.hub.ServeConn(tls.Server(server, h.tls)) })
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = client
	return client, nil
}

// cut breaks the device's connection.
func (h *tlsHub) cut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last.Close()
}

// shown is what the hub shows of itself now.
func (h *tlsHub) shown(t *testing.T) (issuer string, end time.Time) {
	t.Helper()
	o := h.options()
	c, err := twinclient.Dial(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.HubCertificate().Issuer.String(), c.HubCertificate().NotAfter
}

// The hub gets another authority and goes on; devices are given its certificate when somebody gets round to it.
func TestSyncAcrossANewAuthority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startTLSHub(t)
		before, _ := h.shown(t)
		g := startGauge(t, h.options())
		connects := func(what string) {
			t.Helper()
			h.cut()
			time.Sleep(5 * time.Minute)
			synctest.Wait()
			if !g.up.Load() {
				t.Fatalf("%s: no connection", what)
			}
		}
		connects("nothing has changed")
		if _, err := credential.Renew(t.Context(), h.registry, registry.ServerAuthority); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if now, _ := h.shown(t); now == before {
			t.Fatalf("the hub still shows a certificate by %s", now)
		}
		connects("the device trusts the authority before")
		if _, err := credential.Renew(t.Context(), h.registry, registry.ServerAuthority); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		connects("the device trusts the one before that")
		h.pin(t)
		connects("the device trusts all three")
		all, err := h.registry.UpdateAuthorities(t.Context(), func(all []registry.Authority) ([]registry.Authority, error) {
			newest := credential.Signer(all, registry.ServerAuthority).Certificate
			return slices.DeleteFunc(all, func(a registry.Authority) bool {
				return a.Kind == registry.ServerAuthority && !bytes.Equal(a.Certificate, newest)
			}), nil
		})
		if err != nil || credential.Signer(all, registry.ServerAuthority) == nil {
			t.Fatalf("removing the old authorities: %v", err)
		}
		h.pin(t)
		connects("the device trusts the new one alone")
		g.stop()
	})
}

// A year without anybody who cares: the hub's own certificate is good for 90 days.
func TestHubRenewsItsCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startTLSHub(t)
		for range 12 {
			time.Sleep(31 * 24 * time.Hour)
			if _, end := h.shown(t); time.Until(end) < credential.ServerLife/3 {
				t.Errorf("in %v: the certificate ends at %v", time.Now(), end)
			}
		}
		if found := h.options().Inspect(time.Now()); len(found) != 2 || found[0].Next != "" || !strings.HasPrefix(found[0].Text, h.ca+" holds one, valid until 2047-") {
			t.Errorf("a year later: got %v", found)
		}
	})
}
