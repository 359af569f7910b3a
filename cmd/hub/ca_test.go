package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub/credential"
	"github.com/twinpanel/twinpanel/internal/cli"
)

// trusting connects to the hub as one that trusts no authority but those in PEM.
func (h *house) trusting(bundle []byte) (*x509.Certificate, error) {
	h.t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		h.t.Fatalf("no authority in %q", bundle)
	}
	conn, err := tls.Dial("tcp", h.tls["mqtts"], &tls.Config{RootCAs: roots})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0], nil
}

// A hub that runs follows its authorities, and whoever trusts one of them reaches it at any time.
func TestARunningHubFollowsItsAuthorities(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	first := []byte(output(t, h.dir, "ca", "export"))
	if _, err := h.trusting(first); err != nil {
		t.Fatal(err)
	}
	var newest authorityLine
	for range 2 {
		if err := json.Unmarshal([]byte(output(t, h.dir, "ca", "renew", "server")), &newest); err != nil {
			t.Fatal(err)
		}
	}
	bundle := []byte(output(t, h.dir, "ca", "export"))
	authority, err := credential.ParseCertificate(bundle)
	if err != nil || credential.Fingerprint(authority.Raw) != newest.Fingerprint {
		t.Fatalf("bundle begins with %v, %v, want the newest", authority.Subject, err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		leaf, err := h.trusting(first)
		if err != nil {
			t.Fatalf("who trusts the first authority is lost: %v", err)
		}
		if leaf.CheckSignatureFrom(authority) == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the hub still shows a certificate of the first authority")
		}
	}
	for name, trusted := range map[string][]byte{"newest": credential.CertificatePEM(authority.Raw), "bundle": bundle} {
		if _, err := h.trusting(trusted); err != nil {
			t.Errorf("who trusts the %s can't connect: %v", name, err)
		}
	}
}

// Whoever is sent back from the start learns which flag to look at.
func TestHubNamesTheFlagOfAFile(t *testing.T) {
	t.Parallel()
	now := time.Now()
	cert, key := ownCertificate(t, "hub.example", now.Add(-time.Hour), now.Add(time.Hour))
	_, other := newKey(t)
	certFile, keyFile, otherFile := file(t, cert), file(t, key), file(t, other)
	missing := filepath.Join(t.TempDir(), "missing.pem")
	tests := []struct{ name, cert, key, reason, hint string }{
		{"no certificate", missing, keyFile, "--cert: ", "--cert is the hub's certificate"},
		{"no key", certFile, missing, "--key-file: ", "--key-file is the key of --cert"},
		{"swapped", keyFile, certFile, "--cert: " + keyFile + ": expected a certificate, found PRIVATE KEY", "--cert and --key-file seem swapped\n"},
		{"key of another", certFile, otherFile, "--cert and --key-file: certificate " + certFile + " with key " + otherFile + ": ", "the key has to be the one that the certificate was made for\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stdout, stderr, code := call(t, "--data", t.TempDir(), "--mqtt", "", "--rest", "", "--mqtts", "127.0.0.1:0", "--cert", tt.cert, "--key-file", tt.key)
			if code != cli.ExitFailed || stdout != "" || !strings.Contains(stderr, "\nhub: "+tt.reason) || !strings.Contains(stderr, "\nhint: "+tt.hint) {
				t.Errorf("got code %d, stdout %q, stderr %q", code, stdout, stderr)
			}
		})
	}
}

// A certificate that somebody else made is shown, and the one that takes its place, while the hub runs.
func TestARunningHubReadsItsFilesAgain(t *testing.T) {
	t.Parallel()
	now := time.Now()
	cert, key := ownCertificate(t, "first", now.Add(-time.Hour), now.Add(time.Hour))
	certFile, keyFile := file(t, cert), file(t, key)
	p, err := startHub(t.TempDir(), "data", "--mqtts", "127.0.0.1:0", "--cert", certFile, "--key-file", keyFile)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := p.Stop(os.Interrupt); err != nil {
			t.Errorf("hub ended with %v\n%s", err, &p.Log)
		}
	})
	shown := func() string {
		t.Helper()
		conn, err := tls.Dial("tcp", p.tls["mqtts"], &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	if name := shown(); name != "first" {
		t.Fatalf("%q is shown, want the first certificate", name)
	}
	cert, key = ownCertificate(t, "second", now.Add(-time.Hour), now.Add(time.Hour))
	if err := errors.Join(os.Rename(file(t, cert), certFile), os.Rename(file(t, key), keyFile)); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); shown() != "second"; time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the first certificate is still shown\n%s", &p.Log)
		}
	}
}
