package credential

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub/registry"
)

// serverTemplate is the certificate of a hub, valid for an hour around now.
func serverTemplate(name string) *x509.Certificate {
	c := template(name)
	c.DNSNames, c.ExtKeyUsage = []string{name}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	return c
}

// writeFile puts a new file in the place of what is there, as programs do that renew certificates.
func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func TestFilesAreRefused(t *testing.T) {
	// openssl genpkey -algorithm ed25519 -aes256 -pass pass:secret
	const encrypted = `-----BEGIN ENCRYPTED PRIVATE KEY-----
MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjVLB2E6L/wIgICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEENi01yDY+9WiXZJKkA7xG10EQEZR
p+0JARz7tse2Ctdu32TIxTSYdMm8rO5EU3MZjfHpVLBHnR2YZrMjgxnzyy+Dx2ic
dBo9TisJioAEYc4+l7Y=
-----END ENCRYPTED PRIVATE KEY-----
`
	ca := issue(t, nil, authorityTemplate("authority"))
	hub, other := issue(t, ca, serverTemplate("hub.example")), issue(t, ca, serverTemplate("hub.example"))
	cert, key := hub.certPEM(), hub.keyPEM(t)
	traditional := "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END EC PRIVATE KEY-----\n"
	tests := []struct {
		name, cert, key string
		fault           FilesFault
		want            string // empty = none
	}{
		{"no certificate", "-", key, CertFault, "cert.pem: no such file"},
		{"no key", cert, "-", KeyFault, "key.pem: no such file"},
		{"empty certificate", "", key, CertFault, "cert.pem: no certificate in PEM"},
		{"empty key", cert, "", KeyFault, "key.pem: no private key in PEM"},
		{"truncated certificate", cert[:len(cert)/2], key, CertFault, "cert.pem: no certificate in PEM"},
		{"truncated key", cert, key[:len(key)/2], KeyFault, "key.pem: no private key in PEM"},
		{"DER", string(hub.Raw), key, CertFault, "cert.pem: no certificate in PEM"},
		{"key of another certificate", cert, other.keyPEM(t), PairFault, "private key does not match public key"},
		{"swapped", key, cert, SwappedFault, "cert.pem: expected a certificate, found PRIVATE KEY"},
		{"swapped, and the certificate is bad", key, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", CertFault, "cert.pem: expected a certificate, found PRIVATE KEY"},
		{"key twice", key, key, CertFault, "cert.pem: expected a certificate, found PRIVATE KEY"},
		{"certificate twice", cert, cert, KeyFault, "key.pem: a certificate, where its private key is expected"},
		{"authority alone", ca.certPEM(), key, CertFault, `cert.pem begins with the certificate of an authority, "CN=authority": the hub's own comes first`},
		{"authority first", ca.certPEM() + cert, key, CertFault, "begins with the certificate of an authority"},
		{"key with a passphrase", cert, encrypted, KeyFault, "key.pem: the key needs a passphrase"},
		{"key with a passphrase, in the old form", cert, traditional, KeyFault, "key.pem: the key needs a passphrase"},
		{"bad key", cert, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", PairFault, "failed to parse private key"},
		{"bad certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", key, CertFault, "cert.pem: certificate can't be read"},
		{"good", cert, key, 0, ""},
		{"chain", cert + ca.certPEM(), key, 0, ""},
		{"parameters before the key", cert, "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + key, 0, ""},
		{"text around", "subject=hub\n" + cert + "\nissuer=authority\n", "Bag Attributes\n" + key, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			files := Files{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
			for path, content := range map[string]string{files.Cert: tt.cert, files.Key: tt.key} {
				if content != "-" {
					writeFile(t, path, content)
				}
			}
			s, err := NewServer(t.Context(), registry.NewMemory(), nil, files, nil)
			checkError(t, err, tt.want)
			if e, ok := errors.AsType[*FilesError](err); err != nil && (!ok || e.Fault != tt.fault) {
				t.Errorf("got %#v, want fault %d", err, tt.fault)
			}
			if err == nil && !s.Leaf().Equal(hub.Certificate) {
				t.Error("another certificate is shown")
			}
		})
	}
	t.Run("one file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "hub.pem")
		writeFile(t, path, key+cert)
		s := must[*Server](t)(NewServer(t.Context(), registry.NewMemory(), nil, Files{path, path}, nil))
		if !s.Leaf().Equal(hub.Certificate) {
			t.Error("another certificate is shown")
		}
	})
	t.Run("a folder", func(t *testing.T) {
		_, err := NewServer(t.Context(), registry.NewMemory(), nil, Files{t.TempDir(), t.TempDir()}, nil)
		checkError(t, err, "is a directory")
	})
}

// TestFilesAreReadAgain follows a pair of files through all that happens to such.
func TestFilesAreReadAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		dir := t.TempDir()
		path := func(name string) string { return filepath.Join(dir, name) }
		ca := issue(t, nil, authorityTemplate("authority"))
		pairs := make(map[string]*pair)
		for _, name := range []string{"first", "second", "third", "fourth"} {
			pairs[name] = issue(t, ca, serverTemplate("hub.example"))
		}
		write := func(cert, key string) {
			t.Helper()
			if cert != "" {
				writeFile(t, path("cert.pem"), pairs[cert].certPEM())
			}
			if key != "" {
				writeFile(t, path("key.pem"), pairs[key].keyPEM(t))
			}
		}
		write("first", "first")
		var log logText
		s := must[*Server](t)(NewServer(t.Context(), registry.NewMemory(), nil, Files{path("cert.pem"), path("key.pem")}, log.logger()))
		log.take()
		shows := func(name, logged string) {
			t.Helper()
			time.Sleep(lookAgain)
			_, atClient, err := handshake(s.TLS(), &tls.Config{RootCAs: pool(registry.Authority{Certificate: ca.Raw}), ServerName: "hub.example"})
			if err != nil || !atClient.PeerCertificates[0].Equal(pairs[name].Certificate) {
				t.Errorf("got error %v or another certificate, want the %s", err, name)
			}
			if got := log.take(); logged == "" && got != "" || !strings.Contains(got, logged) {
				t.Errorf("log is %q, want %q", got, logged)
			}
		}
		shows("first", "")

		write("second", "") // and its key a moment later
		shows("first", "")
		write("", "second")
		shows("second", "hub certificate read")

		write("third", "")
		shows("second", "")
		shows("second", "private key does not match public key")
		shows("second", "")
		write("", "third")
		shows("third", "hub certificate read")

		if err := os.Remove(path("key.pem")); err != nil {
			t.Fatal(err)
		}
		shows("third", "")
		shows("third", "no such file")
		writeFile(t, path("key.pem"), "")
		shows("third", "no private key in PEM")
		write("first", "first")
		for _, name := range []string{"cert.pem", "key.pem"} { // room for what comes next
			content := must[[]byte](t)(os.ReadFile(path(name)))
			writeFile(t, path(name), string(content)+"\n\n\n\n\n\n\n\n")
		}
		shows("first", "hub certificate can be renewed again")

		// Other files of the same size and age.
		for name, content := range map[string]string{"cert.pem": pairs["fourth"].certPEM(), "key.pem": pairs["fourth"].keyPEM(t)} {
			old := must[os.FileInfo](t)(os.Stat(path(name)))
			writeFile(t, path(name), content+strings.Repeat("\n", int(old.Size())-len(content)))
			if err := os.Chtimes(path(name), time.Time{}, old.ModTime()); err != nil {
				t.Fatal(err)
			}
		}
		shows("fourth", "hub certificate read")

		// Written in place, not replaced; the old chain shorter than the new one.
		for name, content := range map[string]string{"cert.pem": pairs["second"].certPEM() + ca.certPEM(), "key.pem": pairs["second"].keyPEM(t)} {
			if err := os.WriteFile(path(name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		shows("second", "hub certificate read")
	})
}

// A link may lead elsewhere, itself or a folder on the way: so do certbot and Kubernetes renew.
func TestFilesBehindLinks(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("links need a privilege")
	}
	bubble(t, func(t *testing.T) {
		dir := t.TempDir()
		path := func(parts ...string) string { return filepath.Join(append([]string{dir}, parts...)...) }
		link := func(target, name string) {
			t.Helper()
			if err := os.Symlink(target, path(name+".new")); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(path(name+".new"), path(name)); err != nil {
				t.Fatal(err)
			}
		}
		var pairs []*pair
		for _, folder := range []string{"first", "second", "third"} {
			p := issue(t, nil, serverTemplate("hub.example"))
			pairs = append(pairs, p)
			if err := os.Mkdir(path(folder), 0o700); err != nil {
				t.Fatal(err)
			}
			writeFile(t, path(folder, "cert.pem"), p.certPEM())
			writeFile(t, path(folder, "key.pem"), p.keyPEM(t))
		}
		link("first", "data")
		link(filepath.Join("data", "cert.pem"), "cert.pem")
		link(filepath.Join("data", "key.pem"), "key.pem")
		s := must[*Server](t)(NewServer(t.Context(), registry.NewMemory(), nil, Files{path("cert.pem"), path("key.pem")}, nil))
		shows := func(p *pair) {
			t.Helper()
			time.Sleep(lookAgain)
			if !s.Leaf().Equal(p.Certificate) {
				t.Error("another certificate is shown")
			}
		}
		shows(pairs[0])
		link("second", "data")
		shows(pairs[1])
		link(filepath.Join("third", "cert.pem"), "cert.pem")
		shows(pairs[1]) // half of it
		link(filepath.Join("third", "key.pem"), "key.pem")
		shows(pairs[2])
	})
}

func TestFilesAreWarnedOf(t *testing.T) {
	changed := func(change func(*x509.Certificate)) *x509.Certificate {
		c := serverTemplate("hub.example")
		c.DNSNames = append(c.DNSNames, "*.site.example")
		c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1)}
		change(c)
		return c
	}
	tests := []struct {
		name   string
		change func(*x509.Certificate)
		mode   os.FileMode
		names  []string
		want   string // what follows level=WARN msg=; empty = no warning
	}{
		{"nothing", func(*x509.Certificate) {}, 0o640, nil, ""},
		{"key for everybody", func(*x509.Certificate) {}, 0o644, nil, `"everybody on this computer can read the hub's key"`},
		{"not valid yet", func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }, 0o600, nil, `"hub certificate is not valid yet"`},
		{"no host", func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, nil }, 0o600, nil, `"hub certificate names no host: clients that check that won't connect"`},
		{"another host", func(*x509.Certificate) {}, 0o600, []string{"hub.example", "other.example"}, `"hub certificate is not for this host" name=other.example names="[hub.example *.site.example]" addresses=[192.0.2.1]`},
		{"another address", func(*x509.Certificate) {}, 0o600, []string{"192.0.2.2"}, `"hub certificate is not for this host" name=192.0.2.2`},
		{"its hosts", func(*x509.Certificate) {}, 0o600, []string{"hub.example", "*.site.example", "a.site.example", "192.0.2.1"}, ""},
		// It is shown, and Expiries has it.
		{"expired", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, 0o600, nil, ""},
		{"an authority that vouches for itself", func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }, 0o600, nil, ""},
	}
	for _, tt := range tests {
		if tt.mode == 0o644 && runtime.GOOS == "windows" {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				dir := t.TempDir()
				files := Files{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
				p := issue(t, nil, changed(tt.change))
				writeFile(t, files.Cert, p.certPEM())
				writeFile(t, files.Key, p.keyPEM(t))
				if err := os.Chmod(files.Key, tt.mode); err != nil {
					t.Fatal(err)
				}
				var log logText
				s := must[*Server](t)(NewServer(t.Context(), registry.NewMemory(), tt.names, files, log.logger()))
				time.Sleep(lookAgain)
				if !s.Leaf().Equal(p.Certificate) {
					t.Error("another certificate is shown")
				}
				got := log.take()
				if n := strings.Count(got, "level=WARN"); (n == 1) != (tt.want != "") || !strings.Contains(got, tt.want) || n > 1 {
					t.Errorf("log is %q, want one warning %q", got, tt.want)
				}
			})
		})
	}
}
