package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/internal/cli"
)

// certify runs app certificate.
func certify(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, log bytes.Buffer
	root := &cli.Command{Name: "app", Commands: []*cli.Command{certificateCommand()}}
	code = cli.Run(t.Context(), root, append([]string{"certificate"}, args...), &out, &log)
	return code, out.String(), log.String()
}

// readCertificate reads the first certificate of a file.
func readCertificate(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		t.Fatalf("%s holds no PEM", path)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestCertificateRefusesNames(t *testing.T) {
	for _, name := range []string{"", "https://alarm.lan", "alarm.lan:8090", "alarm lan", "-alarm", "alarm.", "*.lan", "älarm.lan", "fe80::1%eth0", "0.0.0.0", "192.168.1", "[::1]", strings.Repeat("a", 64), strings.Repeat("abc.", 12)} {
		dir := filepath.Join(t.TempDir(), "out")
		code, _, stderr := certify(t, "--out", dir, "--name="+name+",ok.lan")
		if code != cli.ExitUsage || !strings.Contains(stderr, "is no host") {
			t.Errorf("--name %q: got code %d and %q, want %d and a word about it", name, code, stderr, cli.ExitUsage)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("--name %q: there is a folder", name)
		}
	}
	if code, _, stderr := certify(t); code != cli.ExitUsage || !strings.Contains(stderr, "--out is missing") {
		t.Errorf("without --out: got code %d and %q", code, stderr)
	}
}

func TestCertificateIsTrustedForItsNamesByItsAuthority(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	code, stdout, stderr := certify(t, "--out", dir, "--name", "Alarm.lan", "--name", "192.168.1.20")
	if code != cli.ExitOK {
		t.Fatalf("code %d: %s", code, stderr)
	}
	file := filepath.Join(dir, certificateFile)
	pair, err := tls.LoadX509KeyPair(file, file)
	if err != nil {
		t.Fatal(err)
	}
	authority := readCertificate(t, filepath.Join(dir, authorityFile))
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	names := []string{"alarm.lan", "192.168.1.20", "localhost", "127.0.0.1", "::1"}
	for _, name := range names {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("for %s: %v", name, err)
		}
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "bank.example"}); err == nil {
		t.Error("it is good for another name")
	}
	var line certificateLine
	if err := json.Unmarshal([]byte(stdout), &line); err != nil || !slices.Equal(line.Names, names) || !line.NotAfter.Equal(pair.Leaf.NotAfter) || len(line.Authority) != 64 {
		t.Errorf("got %s, %v", stdout, err)
	}
	for _, cert := range []*x509.Certificate{pair.Leaf, authority} {
		// Apple's devices count both ends.
		if life := cert.NotAfter.Sub(cert.NotBefore) + time.Second; life > 825*24*time.Hour {
			t.Errorf("%s is valid for %v, more than 825 days", cert.Subject, life)
		}
	}
	for name, want := range map[string]os.FileMode{certificateFile: 0o600, authorityFile: 0o644} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm()&^want != 0 {
			t.Errorf("%s: mode %v, %v; want no more than %v", name, info.Mode(), err, want)
		}
	}
}

// The key of the authority is thrown away; should it not be, it would still be good for nothing else.
func TestAuthorityOfTheAppVouchesForNothingElse(t *testing.T) {
	made, err := issue([]string{"alarm.lan", "localhost", "127.0.0.1", "::1"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(made.authority, []byte("KEY")) || bytes.Count(made.certificate, []byte("BEGIN PRIVATE KEY")) != 1 {
		t.Error("the authority's key is in a file")
	}
	block, _ := pem.Decode(made.authority)
	authority, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if !authority.IsCA || !authority.MaxPathLenZero || authority.MaxPathLen != 0 || !authority.PermittedDNSDomainsCritical {
		t.Errorf("the authority may have authorities below it, or its limits may be ignored")
	}
	if want := []string{"alarm.lan", "localhost"}; !slices.Equal(authority.PermittedDNSDomains, want) {
		t.Errorf("it may sign for %q, want %q", authority.PermittedDNSDomains, want)
	}
	var ranges []string
	for _, r := range authority.PermittedIPRanges {
		ranges = append(ranges, r.String())
	}
	if want := []string{"127.0.0.1/32", "::1/128"}; !slices.Equal(ranges, want) {
		t.Errorf("it may sign for %q, want %q", ranges, want)
	}
}

func TestCertificateReplacesOnlyWhenTold(t *testing.T) {
	for _, name := range []string{certificateFile, authorityFile} {
		dir := t.TempDir()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		code, _, stderr := certify(t, "--out", dir)
		if code != cli.ExitFailed || !strings.Contains(stderr, name+" exists already") || !strings.Contains(stderr, "hint: --replace") {
			t.Errorf("%s: got code %d and %q", name, code, stderr)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != "precious" {
			t.Errorf("%s: got %q, %v; want what it held", name, got, err)
		}
		if all, err := os.ReadDir(dir); err != nil || len(all) != 1 {
			t.Errorf("%s: got files %v, %v; want this one alone", name, all, err)
		}
		if code, _, stderr := certify(t, "--out", dir, "--replace"); code != cli.ExitOK {
			t.Errorf("%s, with --replace: code %d, %s", name, code, stderr)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) == "precious" {
			t.Errorf("%s, with --replace: got %q, %v", name, got, err)
		}
	}
}
