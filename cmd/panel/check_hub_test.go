package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/credential"
	"github.com/twinpanel/twinpanel/hub/hubtest"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/internal/cli"
)

var (
	aDate = regexp.MustCompile(`20[2-9]\d-\d\d-\d\d`)
	aName = regexp.MustCompile(`"[^"]+"`)
	aTime = regexp.MustCompile(`DATE \d\d:\d\d UTC`)
)

// checkSecure runs panel check, and compares what it says after the line about the clock, and how it ends. Dates are DATE and TIME.
func checkSecure(t *testing.T, f flags, want string) {
	t.Helper()
	code, stdout, stderr := run(t.Context(), append([]string{"check"}, f.args()...)...)
	_, got, _ := strings.Cut(stdout, "\nok   clock ")
	_, got, _ = strings.Cut(got, "\n")
	got = aTime.ReplaceAllString(aDate.ReplaceAllString(got, "DATE"), "TIME")
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if bad := strings.Count(want, "BAD"); (code == cli.ExitOK) != (bad == 0) || (stderr == "") != (bad == 0) {
		t.Errorf("got code %d and %q with %d findings that are bad", code, stderr, bad)
	}
}

// TestCheckVisitsTheHubOverTLS has each way in which hub and panel can refuse each other.
func TestCheckVisitsTheHubOverTLS(t *testing.T) {
	const (
		next   = "                   -> "
		ca     = "ok   authority     ca.pem holds one, valid until DATE\n"
		cert   = "ok   certificate   cert.pem is valid until DATE\n"
		secret = "ok   secret        secret holds one\n"
		until  = "ok   hub           its certificate is valid until DATE\n"
		enter  = "ok   hub           HUB accepts this device\nok   desired       not written yet: nobody has armed or disarmed by phone\n"
		export = next + "give the authority that signed the hub's certificate: hub ca export prints the hub's own; with hub --cert it is the one that signed that\n"
		log    = next + "see the reason in the hub's log; check the device id, and with hub device list that the device is there and enabled; "
	)
	own := func(begin, end time.Time) func(*testing.T, *hub.Config) {
		return func(t *testing.T, c *hub.Config) { c.Certificate = ownCertificate(t, begin, end) }
	}
	names := func(names ...string) func(*testing.T, *hub.Config) {
		return func(_ *testing.T, c *hub.Config) { c.Names = names }
	}
	year := 365 * 24 * time.Hour
	tests := []struct {
		name   string
		hub    func(*testing.T, *hub.Config)
		device func(*registry.Device)
		set    flags // in place of those of a panel with a certificate
		spoil  func(*testing.T, secureHub)
		want   string
	}{
		{
			name: "another host", hub: names("hub.example", "192.0.2.7"),
			want: ca + cert + noPanel + doors + "BAD  hub           HUB: the hub's certificate is for hub.example, 192.0.2.7, not for 127.0.0.1\n" +
				next + "write one of its names as the hub's host, or start the hub with --name 127.0.0.1\n",
		},
		{
			name: "authority of another hub",
			spoil: func(t *testing.T, _ secureHub) {
				all, err := credential.Ensure(t.Context(), registry.NewMemory())
				if err != nil {
					t.Fatal(err)
				}
				write(t, "ca.pem", string(credential.Bundle(all, registry.ServerAuthority)))
			},
			want: ca + cert + noPanel + doors + "BAD  hub           HUB: no authority in ca.pem vouches for the hub's certificate\n" + export,
		},
		{
			name: "no authority", set: flags{"ca": ""},
			want: "ok   authority     any that this system trusts may vouch for the hub\n" + cert + noPanel + doors +
				"BAD  hub           HUB: no authority that this system trusts vouches for the hub's certificate\n" + export,
		},
		{
			name: "expired certificate of the hub", hub: own(time.Now().Add(-2*year), time.Now().Add(-year)), set: flags{"ca": "hub-ca.pem"},
			want: strings.Replace(ca, "ca.pem", "hub-ca.pem", 1) + cert + noPanel + doors + "BAD  hub           HUB: the hub's certificate expired on DATE\n" +
				next + "renew it on the hub; this computer's clock says TIME\n",
		},
		{
			name: "certificate of the hub from next year", hub: own(time.Now().Add(year), time.Now().Add(2*year)), set: flags{"ca": "hub-ca.pem"},
			want: strings.Replace(ca, "ca.pem", "hub-ca.pem", 1) + cert + noPanel + doors +
				"BAD  hub           HUB: the hub's certificate is not valid before TIME\n" +
				next + "this computer's clock says TIME: look which clock is wrong, this one or that of who made the certificate\n",
		},
		{
			name: "plaintext for TLS", set: flags{"hub": "mqtt://"},
			want: "ok   secret        secret holds one\n" + noPanel + doors + "BAD  hub           HUB: hub closed the connection at once\n" +
				next + "if this is its port for TLS, write mqtts://; otherwise see the reason in its log\n",
		},
		{
			name: "disabled", device: func(d *registry.Device) { d.Disabled = true },
			want: ca + cert + noPanel + doors + "BAD  hub           HUB: hub refused the device with this certificate\n" + log + "hub device renew makes a new certificate\n",
		},
		{
			name: "certificate that was replaced", spoil: func(t *testing.T, h secureHub) { h.renew(t) },
			want: ca + cert + noPanel + doors + "BAD  hub           HUB: hub refused the device with this certificate\n" + log + "hub device renew makes a new certificate\n",
		},
		{
			name: "wrong secret", set: flags{"cert": "", "key-file": "", "secret-file": "secret"},
			spoil: func(t *testing.T, _ secureHub) { write(t, "secret", "sesame\n") },
			want:  ca + secret + noPanel + doors + "BAD  hub           HUB: hub refused the device with this secret\n" + log + "hub device renew --secret makes a new one\n",
		},
		{
			name: "wrong secret of a device that may connect with its id alone", device: func(d *registry.Device) { d.AllowInsecure = true },
			set:   flags{"cert": "", "key-file": "", "secret-file": "secret"},
			spoil: func(t *testing.T, _ secureHub) { write(t, "secret", "sesame\n") },
			want:  ca + secret + noPanel + doors + "BAD  hub           HUB: hub refused the device with this secret\n" + log + "hub device renew --secret makes a new one\n",
		},
		{
			name: "the id alone", set: flags{"cert": "", "key-file": ""},
			want: ca + "ok   credential    none: whoever learns the device id can act as this device\n" + noPanel + doors +
				"BAD  hub           HUB: hub refused the device, which shows nothing but its id\n" +
				next + "check the device id, and give the device's certificate and key, or its secret; whether its id is enough is up to the hub\n",
		},
		{
			// It is said once, and the hub is not blamed.
			name: "truncated key", spoil: func(t *testing.T, _ secureHub) { os.Truncate("key.pem", 40) },
			want: ca + "BAD  certificate   reading the device's certificate: cert.pem with key key.pem: tls: failed to find any PEM data in key input\n" +
				next + "give the certificate of this device and the key that belongs to it; hub device renew makes a new one\n" + noPanel + doors,
		},
		{
			name: "no authority file", spoil: func(t *testing.T, _ secureHub) { os.Remove("ca.pem") },
			want: "BAD  authority     reading the hub's authority: open ca.pem: no such file or directory\n" +
				next + "write them into the file anew: hub ca export prints the hub's\n" + cert + noPanel + doors,
		},
		{
			name: "empty secret", set: flags{"cert": "", "key-file": "", "secret-file": "secret"},
			spoil: func(t *testing.T, _ secureHub) { write(t, "secret", "\n") },
			want: ca + "BAD  secret        reading the device's secret: secret is empty\n" +
				next + "write the secret into the file, as one line; hub device renew --secret makes a new one\n" + noPanel + doors,
		},
		{
			name: "secret that everybody may read", set: flags{"cert": "", "key-file": "", "secret-file": "secret"},
			spoil: func(t *testing.T, _ secureHub) { os.Chmod("secret", 0o644) },
			want: ca + "BAD  secret        secret can be read by every user of this computer\n" +
				next + "chmod o= secret\n" + noPanel + doors + until + enter,
		},
		{name: "certificate", want: ca + cert + noPanel + doors + until + enter},
		{name: "secret", set: flags{"cert": "", "key-file": "", "secret-file": "secret"}, want: ca + secret + noPanel + doors + until + enter},
		{
			name: "certificate of the hub that somebody else made", hub: own(time.Now().Add(-time.Hour), time.Now().Add(year)), set: flags{"ca": "hub-ca.pem"},
			want: strings.Replace(ca, "ca.pem", "hub-ca.pem", 1) + cert + noPanel + doors + until + enter,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			folder(t, nil)
			h := startSecure(t, func(c *hub.Config) {
				if tt.hub != nil {
					tt.hub(t, c)
				}
			})
			d := h.add(t, tt.device)
			if tt.spoil != nil {
				tt.spoil(t, h)
			}
			f := h.byCertificate(d).with(tt.set)
			if f["hub"] == "mqtt://" {
				f = simulated("mqtt"+strings.TrimPrefix(h.MQTTS(), "mqtts"), string(d.ID)).with(flags{"secret-file": "secret"})
			}
			checkSecure(t, f, strings.ReplaceAll(tt.want, "HUB", f["hub"]))
		})
	}
}

// TestCheckFindsThatThePortHasNoTLS has a hub in plaintext where the panel expects another.
func TestCheckFindsThatThePortHasNoTLS(t *testing.T) {
	h := hubtest.Start(t)
	d := h.AddDevice("panel")
	folder(t, nil)
	url := "mqtts" + strings.TrimPrefix(h.MQTT(), "mqtt")
	checkSecure(t, simulated(url, string(d.ID)), "ok   authority     any that this system trusts may vouch for the hub\n"+
		"ok   credential    none: whoever learns the device id can act as this device\n"+noPanel+doors+
		"BAD  hub           "+url+": the hub closed the connection in the TLS handshake\n"+
		"                   -> give the port of its TLS listener (hub --mqtts), or write mqtt:// for one without\n")
}

// TestCheckBesideARefusedPanel has one piece of advice: the reason's own, or that about the file which is the reason.
func TestCheckBesideARefusedPanel(t *testing.T) {
	folder(t, nil)
	h := startSecure(t)
	f := h.bySecret(h.add(t, nil))
	write(t, "secret", "sesame\n")
	p := start(t, f.args()...)
	const (
		ca      = "ok   authority     ca.pem holds one, valid until DATE\n"
		running = "ok   panel         running: disarmed; door closed\n"
		next    = "                   -> "
	)
	p.logged(t, "reading=closed", "hub refused the device with this secret")
	checkSecure(t, f, ca+"ok   secret        secret holds one\n"+running+
		"BAD  hub           connecting to "+f["hub"]+": hub refused the device with this secret\n"+next+
		"see the reason in the hub's log; check the device id, and with hub device list that the device is there and enabled; hub device renew --secret makes a new one\n")
	write(t, "secret", "\n")
	p.logged(t, "trying for ever.*secret is empty")
	checkSecure(t, f, ca+"BAD  secret        reading the device's secret: secret is empty\n"+next+
		"write the secret into the file, as one line; hub device renew --secret makes a new one\n"+running)
}

// TestHelpShowsAPanelThatConnects has the example without hardware, beside a hub as it is by default.
func TestHelpShowsAPanelThatConnects(t *testing.T) {
	folder(t, nil)
	h := startSecure(t)
	d := h.add(t, nil)
	_, example, _ := strings.Cut(command("").Long, "on this computer:\n  panel ")
	example = strings.NewReplacer("mqtt://127.0.0.1:1883", h.MQTT(), "UUID", string(d.ID), "DIR", "state").Replace(example)
	code, stdout, _ := run(t.Context(), append([]string{"check"}, strings.Fields(example)...)...)
	if code != cli.ExitOK || !strings.Contains(stdout, "\nok   hub           "+h.MQTT()+" accepts this device\n") {
		t.Errorf("%s: got code %d and\n%s", example, code, stdout)
	}
}

// TestCheckBlamesTheClock has a computer without a battery, whose clock is not set yet. In a bubble it is the year 2000.
func TestCheckBlamesTheClock(t *testing.T) {
	folder(t, nil)
	startSecure(t).add(t, nil)
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		c := Config{Hub: "mqtts://127.0.0.1", DeviceID: deviceID, CA: "ca.pem", Cert: "cert.pem", KeyFile: "key.pem"}
		f := findings{w: &out}
		c.checkClock(&f)
		c.checkCredentials(&f)
		got := aName.ReplaceAllString(aTime.ReplaceAllString(aDate.ReplaceAllString(out.String(), "DATE"), "TIME"), "NAME")
		const blame = " is not valid before TIME\n" +
			"                   -> this computer's clock says 2000-01-01 00:00 UTC: set it, or wait for network time; it is not the certificate that is wrong\n"
		want := "BAD  clock         it says 2000-01-01 00:00:00 UTC, before this program was built\n" +
			"                   -> set it, or wait for network time; guarding doesn't need it, but last_update is wrong and TLS may refuse certificates\n" +
			"BAD  authority     NAME in ca.pem" + blame + "BAD  certificate   cert.pem" + blame
		if got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	})
}
