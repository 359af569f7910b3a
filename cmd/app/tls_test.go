package main

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// shows returns the name on the certificate that a server shows.
func shows(t *testing.T, config *tls.Config, client *tls.Config) (name string, err error) {
	t.Helper()
	here, there := net.Pipe()
	defer here.Close()
	go func() {
		defer there.Close()
		_ = tls.Server(there, config).Handshake() // an error is the client's, too
	}()
	c := tls.Client(here, client)
	if err := c.Handshake(); err != nil {
		return "", err
	}
	return c.ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}

// writeCertificate writes one for a name, with its key, in one file.
func writeCertificate(t *testing.T, path, name string, made time.Time) {
	t.Helper()
	c, err := issue([]string{name}, made)
	if err == nil {
		err = os.WriteFile(path, c.certificate, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestCertificateIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "certificate.pem")
		writeCertificate(t, path, "first.lan", time.Now())
		var log bytes.Buffer
		config, err := certificateOf(path, path, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		any := &tls.Config{InsecureSkipVerify: true}
		want := func(name, logged string) {
			t.Helper()
			time.Sleep(lookAgain)
			if got, err := shows(t, config, any); got != name || err != nil {
				t.Errorf("shows %q, %v; want %q", got, err, name)
			}
			if got := log.String(); logged == "" && got != "" || strings.Count(got, "\n") > 1 || !strings.Contains(got, logged) {
				t.Errorf("got log %q, want %q", got, logged)
			}
			log.Reset()
		}
		want("first.lan", `msg="certificate read"`)
		writeCertificate(t, path, "second.example.org", time.Now())
		want("second.example.org", `msg="certificate read"`)
		want("second.example.org", "")

		if err := os.WriteFile(path, []byte("half of it"), 0o600); err != nil {
			t.Fatal(err)
		}
		want("second.example.org", `level=ERROR msg="the certificate can't be renewed: the one before is still shown"`)
		want("second.example.org", "")
		writeCertificate(t, path, "third.lan", time.Now())
		want("third.lan", `msg="certificate read"`)
		want("third.lan", "")
	})
}

func TestCertificateRefused(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := filepath.Join(dir, "good.pem")
	writeCertificate(t, good, "alarm.lan", time.Now())
	other, err := issue([]string{"other.lan"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	_, otherKey, _ := bytes.Cut(other.certificate, []byte("-----END CERTIFICATE-----\n"))
	for _, tt := range []struct{ name, cert, key, want string }{
		{"nothing there", filepath.Join(dir, "nosuch.pem"), good, "nosuch.pem"},
		{"no key there", good, filepath.Join(dir, "nosuch.pem"), "nosuch.pem"},
		{"empty", write("empty.pem", nil), good, "failed to find any PEM data in certificate input"},
		{"no certificate", write("key.pem", otherKey), good, "failed to find certificate PEM data"},
		{"no key", good, write("authority.crt", other.authority), "found a certificate rather than a key"},
		{"another's key", good, write("key.pem", otherKey), "private key does not match public key"},
	} {
		_, err := certificateOf(tt.cert, tt.key, slog.New(slog.DiscardHandler))
		if err == nil || !strings.HasPrefix(err.Error(), "--cert and --key-file: ") || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		}
	}
}

// What expires is said in time, and not at each handshake.
func TestCertificateReminds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "certificate.pem")
		writeCertificate(t, path, "alarm.lan", time.Now())
		var log bytes.Buffer
		config, err := certificateOf(path, path, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		any := &tls.Config{InsecureSkipVerify: true}
		reminders := func(days int) int {
			t.Helper()
			log.Reset()
			for range days * 4 {
				time.Sleep(6 * time.Hour)
				if _, err := shows(t, config, any); err != nil {
					t.Fatal(err)
				}
			}
			return strings.Count(log.String(), `level=WARN msg="the certificate that phones are shown expires`)
		}
		time.Sleep(certificateLife - certificateBehind - expiresSoon - 7*24*time.Hour)
		if n := reminders(6); n != 0 {
			t.Errorf("%d reminders a month before it expires", n)
		}
		if n := reminders(1 + 23); n < 23 || n > 24 {
			t.Errorf("%d reminders in the last three weeks and the two days after, want one a day", n)
		}
	})
}

// Old phones are told that they are too old, rather than let in by what is broken.
func TestTLSVersions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "certificate.pem")
	writeCertificate(t, path, "alarm.lan", time.Now())
	config, err := certificateOf(path, path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for version, ok := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		_, err := shows(t, config, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
		if (err == nil) != ok {
			t.Errorf("version %x: got %v", version, err)
		}
	}
}
