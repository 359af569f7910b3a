package main

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/hub/hubtest"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
	"github.com/twinpanel/twinpanel/twinclient"
)

// TestPhoneArmsOverTLS has a phone's writes, the hub over TLS, the panel's process and a house, with each credential.
func TestPhoneArmsOverTLS(t *testing.T) {
	tests := map[string]func(secureHub, registry.Device) flags{
		"certificate": secureHub.byCertificate,
		"secret":      secureHub.bySecret,
	}
	for name, byFlags := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := startSecureIn(t, newFolder(t))
			d := h.add(t, nil)
			p := startIn(t, h.dir, byFlags(h, d).args()...)
			eventually(t, `"alarm_armed":false,"siren_ringing":false,"door_open":false`, current(h.Hub, d.ID))
			h.desire(t, d.ID, "true")
			eventually(t, `"alarm_armed":true,"siren_ringing":false,"door_open":false`, current(h.Hub, d.ID))
			p.move(t, `{"open":true}`)
			eventually(t, `"siren_on":true`, p.look)
			h.desire(t, d.ID, "false")
			eventually(t, `"alarm_armed":false,"siren_ringing":false,"door_open":true`, current(h.Hub, d.ID))
			if log := p.Log.String(); strings.Contains(log, "credentials need care") {
				t.Errorf("the panel complains of its credentials:\n%s", log)
			}
			if _, err := p.Stop(os.Interrupt); err != nil {
				t.Errorf("the panel ended with %v", err)
			}
		})
	}
}

// options are how a client connects with the files of add.
func (h secureHub) options(id twin.ID) twinclient.Options {
	return twinclient.Options{Hub: h.MQTTS(), DeviceID: id, CAFile: h.file("ca.pem")}
}

// armed starts a panel, arms it by phone, and returns a look at whether it still is.
func (h secureHub) armed(t *testing.T, d registry.Device, f flags) (*process, func()) {
	t.Helper()
	p := startIn(t, h.dir, f.args()...)
	h.desire(t, d.ID, "true")
	eventually(t, `"alarm_armed":true`, current(h.Hub, d.ID))
	return p, func() {
		t.Helper()
		if desired, err := h.call(h.Token, "GET", d.ID, "desired", ""); err != nil || !strings.Contains(desired, `"version":1,"data":{"alarm_armed":true}`) {
			t.Errorf("desired: got %s, %v, want it as the phone wrote it", desired, err)
		}
		p.move(t, `{"open":true}`)
		eventually(t, `"siren_on":true`, p.look)
		eventually(t, `"alarm_armed":true,"siren_ringing":true`, current(h.Hub, d.ID))
	}
}

// TestStolenPanelCannotDisarm has a thief with all that the panel has: what it shows the hub, and its id.
func TestStolenPanelCannotDisarm(t *testing.T) {
	t.Parallel()
	h := startSecureIn(t, newFolder(t))
	d := h.add(t, func(d *registry.Device) { d.ReadOnly = []twin.Name{"desired"} })
	_, stillArmed := h.armed(t, d, h.byCertificate(d))

	withCertificate, withSecret := h.options(d.ID), h.options(d.ID)
	withCertificate.CertFile, withCertificate.KeyFile = h.file("cert.pem"), h.file("key.pem")
	withSecret.SecretFile = h.file("secret")
	for name, o := range map[string]twinclient.Options{"certificate": withCertificate, "secret": withSecret} {
		thief, err := twinclient.Dial(t.Context(), o)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		disarm := twin.Update{Data: []byte(`{"alarm_armed":false}`)}
		if doc, err := thief.Put(t.Context(), "desired", disarm); !errors.Is(err, twin.ErrPermissionDenied) {
			t.Errorf("%s: put of desired: got %v, %v", name, doc, err)
		}
		if doc, err := thief.Patch(t.Context(), "desired", disarm); !errors.Is(err, twin.ErrPermissionDenied) {
			t.Errorf("%s: patch of desired: got %v, %v", name, doc, err)
		}
		if doc, err := thief.Get(t.Context(), "desired"); err != nil || doc.Version != 1 {
			t.Errorf("%s: get of desired: got %v, %v, want it as the phone wrote it", name, doc, err)
		}
		thief.Close()
	}
	secret, err := os.ReadFile(h.file("secret"))
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{strings.TrimSpace(string(secret)), string(d.ID)} {
		if answer, err := h.call(token, "PUT", d.ID, "desired", `{"data":{"alarm_armed":false}}`); err == nil || !strings.HasPrefix(err.Error(), "401 ") {
			t.Errorf("what the panel has as a token: got %s, %v, want status 401", answer, err)
		}
	}
	stillArmed()
}

// TestWhoKnowsOnlyTheIDCannotDisarm has somebody who has read the panel's id in an address of the REST API, and may have a
// device of his own on the same hub.
func TestWhoKnowsOnlyTheIDCannotDisarm(t *testing.T) {
	t.Parallel()
	h := startSecureIn(t, newFolder(t))
	other, cert, key := h.AddSecureDevice("other")
	h.update(t, other.ID, func(d *registry.Device) { d.Secret = registry.HashSecret("sesame") })
	write(t, h.file("other.secret"), "sesame\n")
	d := h.add(t, nil)
	write(t, h.file("guess"), string(d.ID)+"\n")
	p, stillArmed := h.armed(t, d, h.byCertificate(d))

	for name, show := range map[string]func(*twinclient.Options){
		"nothing but the id":           func(*twinclient.Options) {},
		"another device's secret":      func(o *twinclient.Options) { o.SecretFile = h.file("other.secret") },
		"another device's certificate": func(o *twinclient.Options) { o.CertFile, o.KeyFile = cert, key },
		"both of them": func(o *twinclient.Options) {
			o.CertFile, o.KeyFile, o.SecretFile = cert, key, h.file("other.secret")
		},
		"a guess":                        func(o *twinclient.Options) { o.SecretFile = h.file("guess") },
		"another's certificate, a guess": func(o *twinclient.Options) { o.CertFile, o.KeyFile, o.SecretFile = cert, key, h.file("guess") },
	} {
		o := h.options(d.ID)
		show(&o)
		c, err := twinclient.Dial(t.Context(), o)
		if err == nil {
			c.Close()
		}
		if trust, ok := errors.AsType[*twinclient.TrustError](err); !ok || !strings.HasPrefix(trust.Problem, "hub refused the device") {
			t.Errorf("%s: got %v, want it refused", name, err)
		}
	}
	if log := p.Log.String(); strings.Contains(log, "connection lost") {
		t.Errorf("the panel has noticed the attempts:\n%s", log)
	}
	stillArmed()
}

// TestReplacedCertificate ends what the old one opened, and the panel says so, once; the new one needs no restart.
func TestReplacedCertificate(t *testing.T) {
	t.Parallel()
	h := startSecureIn(t, newFolder(t))
	d := h.add(t, nil)
	p := startIn(t, h.dir, h.byCertificate(d).args()...)
	p.logged(t, "msg=connected")

	cert, key := h.renew(t)
	const refused = "hub refused the device with this certificate"
	p.logged(t, `msg="connection lost"`, `level=WARN msg="no connection: trying for ever" hub=\S+ error="connecting to \S+: `+refused+
		`: see the reason in the hub's log; check the device id, and with hub device list that the device is there and enabled; hub device renew makes a new certificate"$`)
	write(t, h.file("key.pem"), key)
	write(t, h.file("cert.pem"), cert)
	p.logged(t, `(?s)`+refused+`.*msg=connected`)
	if log := p.Log.String(); strings.Count(log, refused) != 1 {
		t.Errorf("the refusal is not once in the log:\n%s", log)
	}
}

// TestHubThatNobodyVouchesFor is one line in the log, in plain words, until the right authority is in the file.
func TestHubThatNobodyVouchesFor(t *testing.T) {
	t.Parallel()
	h := startSecureIn(t, newFolder(t))
	d := h.add(t, nil)
	right, err := os.ReadFile(h.file("ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := os.ReadFile(hubtest.Start(t).CAFile())
	if err != nil {
		t.Fatal(err)
	}
	write(t, h.file("ca.pem"), string(elsewhere))
	p := startIn(t, h.dir, h.bySecret(d).args()...)
	p.logged(t, `level=WARN msg="no connection: trying for ever" hub=\S+ error="connecting to \S+: no authority in ca.pem vouches for the hub's certificate: give the authority that signed the hub's certificate: hub ca export prints the hub's own; with hub --cert it is the one that signed that"$`)
	write(t, h.file("ca.pem"), string(right))
	p.logged(t, "msg=connected")
	if n := strings.Count(p.Log.String(), "vouches for"); n != 1 {
		t.Errorf("the log says it %d times, want once:\n%s", n, &p.Log)
	}
}
