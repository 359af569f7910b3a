package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub/credential"
	"github.com/twinpanel/twinpanel/hub/docstore/sqlite"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/internal/cli"
)

// oddNames are as odd as a device's name can be.
var oddNames = []string{
	`Tür "no. 2", Hof/Keller\b; CN=evil+O=x`,
	`#1 <b>&amp;</b> 'été'`,
	"玄関ドア",
	strings.Repeat("🚪", 64),
	"-v",
}

// call runs a command of the program in this process and returns its exit code.
func call(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, log strings.Builder
	code = cli.Run(t.Context(), command(), args, &out, &log)
	return out.String(), log.String(), code
}

// A printed device is what the tests read of a line.
type printed struct {
	deviceLine
	handover
}

// add adds a device that must be accepted.
func add(t *testing.T, data string, args ...string) printed {
	t.Helper()
	stdout, stderr, code := call(t, slices.Concat([]string{"device", "add", "--data", data}, args)...)
	var p printed
	if err := json.Unmarshal([]byte(stdout), &p); err != nil || code != cli.ExitOK {
		t.Fatalf("hub device add %q: code %d, %q, %v", args, code, stderr, err)
	}
	return p
}

// newKey makes a key, in PEM and to sign with.
func newKey(t *testing.T) (*ecdsa.PrivateKey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// request makes a certificate request and its key, in PEM.
func request(t *testing.T, name string) (csr, key []byte) {
	t.Helper()
	private, key := newKey(t)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), key
}

// ownCertificate makes a certificate that vouches for itself, and its key, in PEM.
func ownCertificate(t *testing.T, name string, begin, end time.Time) (cert, key []byte) {
	t.Helper()
	private, key := newKey(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: begin, NotAfter: end}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	return credential.CertificatePEM(der), key
}

// file writes a file for a test.
func file(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "input.pem")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDeviceAddRefusesFiles(t *testing.T) {
	now := time.Now()
	cert, key := ownCertificate(t, "front-door", now.Add(-time.Hour), now.Add(365*24*time.Hour))
	csr, _ := request(t, "front-door")
	other, _ := request(t, "back-door")
	nameless, _ := request(t, "")
	block, _ := pem.Decode(csr)
	der := bytes.Clone(block.Bytes)
	der[len(der)-1] ^= 1
	forged := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})

	for _, tt := range []struct {
		name, flag string
		content    []byte
		want       string // on stderr
	}{
		{"nothing", "--cert", nil, "no certificate in PEM"},
		{"text", "--cert", []byte("front-door\n"), "no certificate in PEM"},
		{"a key for a certificate", "--cert", key, "expected a certificate, found PRIVATE KEY"},
		{"a request for a certificate", "--cert", csr, "expected a certificate, found CERTIFICATE REQUEST"},
		{"half of a certificate", "--cert", cert[:len(cert)/2], "no certificate in PEM"},
		{"a certificate with half of its bytes", "--cert", credential.CertificatePEM(block.Bytes[:100]), "certificate can't be read"},
		{"nothing", "--csr", nil, "no certificate request in PEM"},
		{"a certificate for a request", "--csr", cert, "expected a certificate request, found CERTIFICATE"},
		{"half of a request", "--csr", csr[:len(csr)/2], "no certificate request in PEM"},
		{"a request in DER", "--csr", block.Bytes, "no certificate request in PEM"},
		{"a request of somebody without the key", "--csr", forged, "not signed with its own key"},
		{"a request for another name", "--csr", other, `certificate request is for "back-door": its common name must be the device's name, "front-door"`},
		{"a request without a name", "--csr", nameless, `certificate request is for ""`},
	} {
		t.Run(tt.flag+" "+tt.name, func(t *testing.T) {
			data, out := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "out")
			path := file(t, tt.content)
			stdout, stderr, code := call(t, "device", "add", "front-door", "--data", data, "--out", out, tt.flag, path)
			if code != cli.ExitFailed || stdout != "" || !strings.Contains(stderr, "hub: "+tt.flag+" "+path+": ") || !strings.Contains(stderr, tt.want) {
				t.Errorf("got code %d, stdout %q, stderr %q; want %q", code, stdout, stderr, tt.want)
			}
			if _, err := os.Stat(out); !os.IsNotExist(err) {
				t.Errorf("something was written: %v", err)
			}
			if stdout, _, _ := call(t, "device", "list", "--data", data); stdout != "" {
				t.Errorf("there is a device: %s", stdout)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Date(2026, time.May, 17, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name       string
		cn         string
		begin, end time.Duration // from now
		now        time.Time     // zero = now
		want       []string
	}{
		{"expired", "panel", -30 * day, -day, time.Time{}, []string{"the certificate expired on 2026-05-16: the hub refuses it"}},
		{"not yet valid", "panel", 2 * day, 90 * day, time.Time{}, []string{"the certificate is not valid before 2026-05-19: the hub refuses it until then"}},
		{"ends soon", "panel", -day, 29 * day, time.Time{}, []string{"the certificate ends on 2026-06-15: hub device renew puts another one in its place"}},
		{"of another name", "door", -day, 90 * day, time.Time{}, []string{`the certificate's common name is "door" and not "panel": the hub goes by the fingerprint and takes it all the same`}},
		{"of another name, and expired", "", -2 * day, -day, time.Time{}, []string{"the certificate expired on 2026-05-16: the hub refuses it",
			`the certificate's common name is "" and not "panel": the hub goes by the fingerprint and takes it all the same`}},
		{"a clock in 1970 can't tell", "panel", -day, day, time.Unix(60, 0), nil},
		{"nothing strange", "panel", -day, 31 * day, time.Time{}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at := now
			if !tt.now.IsZero() {
				at = tt.now
			}
			cert := &x509.Certificate{Subject: pkix.Name{CommonName: tt.cn}, NotBefore: now.Add(tt.begin), NotAfter: now.Add(tt.end)}
			if got := warnings(cert, "panel", at); !slices.Equal(got, tt.want) {
				t.Errorf("got %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestDeviceAddWarnsOfAnExpiredCertificate(t *testing.T) {
	now := time.Now()
	cert, _ := ownCertificate(t, "panel", now.Add(-48*time.Hour), now.Add(-24*time.Hour))
	stdout, stderr, code := call(t, "device", "add", "panel", "--data", t.TempDir(), "--cert", file(t, cert))
	if code != cli.ExitOK || !strings.HasPrefix(stderr, "warning: the certificate expired on ") || !strings.Contains(stdout, `"certificate_fingerprint":"`) {
		t.Errorf("got code %d, %q, %q; want the device and a warning", code, stdout, stderr)
	}
	if strings.Contains(stdout, "BEGIN CERTIFICATE") {
		t.Errorf("got %s; want nothing that the device has already", stdout)
	}
}

// A name is the common name of the certificate and the text of the line, character for character.
func TestDeviceAddOddNames(t *testing.T) {
	data := t.TempDir()
	for _, name := range oddNames {
		p := add(t, data, "--", name)
		pair, err := tls.X509KeyPair([]byte(p.Certificate.Crt), []byte(p.Certificate.Key))
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		if cn := pair.Leaf.Subject.CommonName; p.Name != name || cn != name {
			t.Errorf("got name %q and common name %q; want %q", p.Name, cn, name)
		}
		if stdout, stderr, code := call(t, "device", "disable", "--data", data, "--", name); code != cli.ExitOK {
			t.Errorf("%q can't be disabled: %s%s", name, stdout, stderr)
		}
		if _, stderr, code := call(t, "device", "remove", "--data", data, "--", name); code != cli.ExitOK {
			t.Errorf("%q can't be removed: %s", name, stderr)
		}
	}
}

func TestDeviceAddSignsRequests(t *testing.T) {
	data := t.TempDir()
	for _, name := range oddNames {
		csr, key := request(t, name)
		p := add(t, data, "--csr", file(t, csr), "--", name)
		if p.Certificate.Key != "" {
			t.Errorf("%q: the hub gave a key for a request", name)
		}
		pair, err := tls.X509KeyPair([]byte(p.Certificate.Crt), key)
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		if cn := pair.Leaf.Subject.CommonName; cn != name {
			t.Errorf("got common name %q, want %q", cn, name)
		}
	}
}

// The device that makes its own key asks for a certificate beside it.
func TestDeviceRenewWritesBesideTheKey(t *testing.T) {
	data, dir := t.TempDir(), t.TempDir()
	csr, key := request(t, "panel")
	if err := os.WriteFile(filepath.Join(dir, "key.pem"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	add(t, data, "panel")
	if _, stderr, code := call(t, "device", "renew", "panel", "--csr", file(t, csr), "--secret", "--out", dir, "--data", data); code != cli.ExitOK ||
		stderr != "wrote ca.pem, cert.pem, secret to "+dir+"\n" {
		t.Errorf("got code %d and %q, want certificate and secret", code, stderr)
	}
	if _, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")); err != nil {
		t.Error(err)
	}
}

// Where somebody else signs certificates for devices, as the vendor's hubs with a CA of one's own do, the hub makes none.
func TestDeviceAddBesideAnotherAuthority(t *testing.T) {
	data := t.TempDir()
	add(t, data, "before")
	r, err := sqlite.OpenRegistry(data, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := ownCertificate(t, "authority", time.Now(), time.Now().Add(time.Hour))
	block, _ := pem.Decode(cert)
	_, err = r.UpdateAuthorities(t.Context(), func(all []registry.Authority) ([]registry.Authority, error) {
		return append(all, registry.Authority{Kind: registry.DeviceAuthority, Certificate: block.Bytes, Created: time.Now().UTC()}), nil
	})
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	const note = `"panel" connects with any certificate in its name that a device authority of others has signed`
	for _, tt := range []struct {
		args []string
		open bool // to whom that authority certifies
		want string
	}{
		{[]string{"add", "panel"}, true, `"has_secret":false,"certificate_fingerprint":null`},
		{[]string{"renew", "panel"}, false, `"certificate":{"crt":`},
		{[]string{"renew", "panel", "--secret"}, true, `"has_secret":true,"certificate_fingerprint":null`},
	} {
		stdout, stderr, code := call(t, slices.Concat([]string{"device"}, tt.args, []string{"--data", data})...)
		if code != cli.ExitOK || !strings.Contains(stdout, tt.want) || strings.HasPrefix(stderr, note) != tt.open {
			t.Errorf("%q: got code %d, %s, %q; want %s", tt.args, code, stdout, stderr, tt.want)
		}
	}
}
