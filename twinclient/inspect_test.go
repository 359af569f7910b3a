package twinclient

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// Certificates are good for all of 2026 here, and it is the first of June, except where a test says otherwise.
func TestInspect(t *testing.T) {
	day := func(year int, month time.Month, day int) time.Time {
		return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	}
	begin, end := day(2026, 1, 1), day(2027, 1, 1)
	until := func(end time.Time) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = begin, end }
	}
	const (
		renew   = " -> hub device renew makes a new one"
		replace = " -> give the certificate of this device and the key that belongs to it; hub device renew makes a new one"
		goodCA  = "authority: ca.crt holds one, valid until 2027-01-01"
		good    = "certificate: panel.crt is valid until 2027-01-01"
		export  = " -> write them into the file anew: hub ca export prints the hub's"
		remove  = " -> remove it from the file, or write the file anew: hub ca export prints the hub's authorities"
	)
	for _, test := range []struct {
		name  string
		spoil func(t *testing.T, o *Options, ca *cert)
		now   time.Time
		want  []string
	}{
		// The device's certificate.
		{"missing", func(t *testing.T, o *Options, ca *cert) { os.Remove("panel.crt") }, day(2026, 6, 1),
			[]string{goodCA, "certificate: reading the device's certificate: open panel.crt: no such file or directory" + replace}},
		{"key missing", func(t *testing.T, o *Options, ca *cert) { os.Remove("panel.key") }, day(2026, 6, 1),
			[]string{goodCA, "certificate: reading the device's certificate: open panel.key: no such file or directory" + replace}},
		{"a folder", func(t *testing.T, o *Options, ca *cert) { o.CertFile = "." }, day(2026, 6, 1),
			[]string{goodCA, "certificate: reading the device's certificate: read .: is a directory" + replace}},
		{"truncated", func(t *testing.T, o *Options, ca *cert) { os.Truncate("panel.crt", 200) }, day(2026, 6, 1),
			[]string{goodCA, "certificate: reading the device's certificate: panel.crt with key panel.key: tls: failed to find any PEM data in certificate input" + replace}},
		{"key truncated", func(t *testing.T, o *Options, ca *cert) { os.Truncate("panel.key", 40) }, day(2026, 6, 1),
			[]string{goodCA, "certificate: reading the device's certificate: panel.crt with key panel.key: tls: failed to find any PEM data in key input" + replace}},
		{"files swapped", func(t *testing.T, o *Options, ca *cert) { o.CertFile, o.KeyFile = o.KeyFile, o.CertFile }, day(2026, 6, 1),
			[]string{goodCA, "certificate: reading the device's certificate: panel.key with key panel.crt: tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched" + replace}},
		{"key of another certificate", func(t *testing.T, o *Options, ca *cert) { o.KeyFile = "ca.key" }, day(2026, 6, 1),
			[]string{goodCA, "certificate: reading the device's certificate: panel.crt with key ca.key: tls: private key does not match public key" + replace}},
		{"damaged inside", func(t *testing.T, o *Options, ca *cert) {
			write(t, "panel.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
		}, day(2026, 6, 1),
			[]string{goodCA, "certificate: reading the device's certificate: panel.crt with key panel.key: x509: malformed certificate" + replace}},
		{"expired", func(t *testing.T, o *Options, ca *cert) {
			issue(t, ca, "panel", until(day(2026, 5, 31))).save(t, "panel.crt", "panel.key")
		}, day(2026, 6, 1),
			[]string{goodCA, "certificate: panel.crt expired on 2026-05-31" + renew + "; this computer's clock says 2026-06-01 00:00 UTC"}},
		{"ends in 30 days", func(t *testing.T, o *Options, ca *cert) {
			issue(t, ca, "panel", until(day(2026, 7, 1))).save(t, "panel.crt", "panel.key")
		}, day(2026, 6, 1).Add(time.Second),
			[]string{goodCA, "certificate: panel.crt ends on 2026-07-01" + renew}},
		{"a chain whose second certificate ends soon", func(t *testing.T, o *Options, ca *cert) {
			issue(t, ca, "between", until(day(2026, 6, 11))).save(t, "between.crt", "between.key")
			both, _ := os.ReadFile("panel.crt")
			second, _ := os.ReadFile("between.crt")
			write(t, "panel.crt", string(both)+string(second))
		}, day(2026, 6, 1),
			[]string{goodCA, "certificate: panel.crt ends on 2026-06-11" + renew}},
		{"key that everybody may read", func(t *testing.T, o *Options, ca *cert) { os.Chmod("panel.key", 0o644) }, day(2026, 6, 1),
			[]string{goodCA, good, "key: panel.key can be read by every user of this computer -> chmod o= panel.key"}},

		// Authorities.
		{"no authority file", func(t *testing.T, o *Options, ca *cert) { os.Remove("ca.crt") }, day(2026, 6, 1),
			[]string{"authority: reading the hub's authority: open ca.crt: no such file or directory" + export, good}},
		{"empty authority file", func(t *testing.T, o *Options, ca *cert) { os.Truncate("ca.crt", 0) }, day(2026, 6, 1),
			[]string{"authority: reading the hub's authority: ca.crt holds no certificate in PEM" + export, good}},
		{"second authority truncated", func(t *testing.T, o *Options, ca *cert) {
			pem, _ := os.ReadFile("ca.crt")
			write(t, "ca.crt", string(pem)+string(pem[:200]))
		}, day(2026, 6, 1),
			[]string{"authority: reading the hub's authority: ca.crt is cut short or damaged" + export, goodCA, good}},
		{"second authority damaged inside", func(t *testing.T, o *Options, ca *cert) {
			pem, _ := os.ReadFile("ca.crt")
			write(t, "ca.crt", string(pem)+"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
		}, day(2026, 6, 1),
			[]string{"authority: reading the hub's authority: certificate 2 in ca.crt: x509: malformed certificate" + export, goodCA, good}},
		{"a key among the authorities", func(t *testing.T, o *Options, ca *cert) {
			pem, _ := os.ReadFile("ca.crt")
			key, _ := os.ReadFile("ca.key")
			write(t, "ca.crt", string(key)+string(pem))
		}, day(2026, 6, 1),
			[]string{"authority: reading the hub's authority: ca.crt holds something that is no certificate: PRIVATE KEY" + export, goodCA, good}},
		{"one authority of three expired, one ends soon", func(t *testing.T, o *Options, ca *cert) {
			var all bytes.Buffer
			for i, end := range []time.Time{day(2026, 5, 1), end, day(2026, 6, 10)} {
				issue(t, nil, fmt.Sprint("number ", i+1), until(end)).save(t, "one.crt", "one.key")
				pem, _ := os.ReadFile("one.crt")
				all.Write(pem)
			}
			write(t, "ca.crt", all.String())
		}, day(2026, 6, 1),
			[]string{`authority: "number 1" in ca.crt expired on 2026-05-01` + remove + "; this computer's clock says 2026-06-01 00:00 UTC",
				`authority: "number 3" in ca.crt ends on 2026-06-10` + remove, goodCA, good}},

		// The clock.
		{"clock in 1970", nil, day(1970, 1, 1),
			[]string{`authority: "authority" in ca.crt is not valid before 2026-01-01 00:00 UTC -> this computer's clock says 1970-01-01 00:00 UTC: set it, or wait for network time; it is not the certificate that is wrong`,
				"certificate: panel.crt is not valid before 2026-01-01 00:00 UTC -> this computer's clock says 1970-01-01 00:00 UTC: set it, or wait for network time; it is not the certificate that is wrong"}},
		{"certificate from tomorrow", func(t *testing.T, o *Options, ca *cert) {
			issue(t, ca, "panel", func(c *x509.Certificate) { c.NotBefore, c.NotAfter = day(2026, 6, 2), end }).save(t, "panel.crt", "panel.key")
		}, day(2026, 6, 1),
			[]string{goodCA, "certificate: panel.crt is not valid before 2026-06-02 00:00 UTC -> this computer's clock says 2026-06-01 00:00 UTC: look which clock is wrong, this one or that of who made the certificate"}},

		// Secrets.
		{"no secret", func(t *testing.T, o *Options, ca *cert) { o.SecretFile, o.CertFile, o.KeyFile = "secret", "", "" }, day(2026, 6, 1),
			[]string{goodCA, "secret: reading the device's secret: open secret: no such file or directory -> write the secret into the file, as one line; hub device renew --secret makes a new one"}},
		{"key for a secret", func(t *testing.T, o *Options, ca *cert) { o.SecretFile, o.CertFile, o.KeyFile = "panel.key", "", "" }, day(2026, 6, 1),
			[]string{goodCA, "secret: reading the device's secret: panel.key has several lines: expected one -> write the secret into the file, as one line; hub device renew --secret makes a new one"}},
		{"secret that everybody may read", func(t *testing.T, o *Options, ca *cert) {
			o.SecretFile, o.CertFile, o.KeyFile = "secret", "", ""
			write(t, "secret", "sesame\n")
			os.Chmod("secret", 0o604)
		}, day(2026, 6, 1),
			[]string{goodCA, "secret: secret can be read by every user of this computer -> chmod o= secret"}},

		// What is well.
		{"all is well", nil, day(2026, 6, 1), []string{goodCA, good}},
		{"31 days are left", nil, day(2026, 12, 1), []string{goodCA, good}},
		{"made for three days, with one left", func(t *testing.T, o *Options, ca *cert) {
			issue(t, ca, "panel", func(c *x509.Certificate) { c.NotBefore, c.NotAfter = day(2026, 5, 30), day(2026, 6, 2) }).save(t, "panel.crt", "panel.key")
		}, day(2026, 6, 1),
			[]string{goodCA, "certificate: panel.crt is valid until 2026-06-02"}},
		{"two authorities", func(t *testing.T, o *Options, ca *cert) {
			pem, _ := os.ReadFile("ca.crt")
			issue(t, nil, "next", until(day(2036, 1, 1))).save(t, "next.crt", "next.key")
			next, _ := os.ReadFile("next.crt")
			write(t, "ca.crt", string(next)+"a comment\n"+string(pem))
		}, day(2026, 6, 1),
			[]string{"authority: ca.crt holds 2, the first to end on 2027-01-01", good}},
		{"secret, and the system's authorities", func(t *testing.T, o *Options, ca *cert) {
			o.CAFile, o.SecretFile, o.CertFile, o.KeyFile = "", "secret", "", ""
			write(t, "secret", "sesame\n")
			os.Chmod("secret", 0o640) // a group may be meant to read it
		}, day(2026, 6, 1),
			[]string{"authority: any that this system trusts may vouch for the hub", "secret: secret holds one"}},
		{"nothing", func(t *testing.T, o *Options, ca *cert) { *o = Options{Hub: "mqtt://localhost", DeviceID: deviceID} }, day(2026, 6, 1),
			[]string{"credential: none: whoever learns the device id can act as this device"}},
		{"options that don't fit", func(t *testing.T, o *Options, ca *cert) { o.KeyFile = "" }, day(2026, 6, 1), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if runtime.GOOS == "windows" && strings.Contains(test.name, "everybody") {
				t.Skip("files have no rights there")
			}
			t.Chdir(t.TempDir())
			ca := issue(t, nil, "authority", until(end))
			ca.save(t, "ca.crt", "ca.key")
			issue(t, ca, "panel", until(end)).save(t, "panel.crt", "panel.key")
			o := Options{Hub: "mqtts://localhost", DeviceID: deviceID, CAFile: "ca.crt", CertFile: "panel.crt", KeyFile: "panel.key"}
			if test.spoil != nil {
				test.spoil(t, &o, ca)
			}
			var got []string
			later := o.Inspect(test.now.Add(time.Minute))
			for i, f := range o.Inspect(test.now) {
				if f.Next != "" && (i >= len(later) || later[i].Text != f.Text) {
					t.Errorf("a minute later %q is in other words, and a Sync would log it again: %v", f.Text, later)
				}
				line := f.What + ": " + f.Text
				if f.Next != "" {
					line += " -> " + f.Next
				}
				got = append(got, line)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
			if strings.Contains(fmt.Sprint(got), "sesame") {
				t.Errorf("the findings have the secret: %s", got)
			}
		})
	}
}
