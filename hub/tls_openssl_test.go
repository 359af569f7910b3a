package hub

import (
	"crypto/tls"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub/credential"
	"github.com/twinpanel/twinpanel/hub/registry"
)

// mosquitto, curl and Python refuse a certificate as OpenSSL does, which Go takes for a broken record in TLS 1.3.
func TestOpenSSLThatRefusesTheCertificateIsNamed(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	s := newTestServer(t, nil)
	config, err := s.TLS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- s.ServeMQTT(l) }()
	all, err := s.registry.Authorities(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wrong := filepath.Join(t.TempDir(), "wrong.pem")
	if err := os.WriteFile(wrong, credential.Bundle(all, registry.DeviceAuthority), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		out, err := exec.CommandContext(t.Context(), "openssl", "s_client", "-connect", l.Addr().String(), version,
			"-CAfile", wrong, "-no-CApath", "-no-CAstore", "-verify_return_error").CombinedOutput()
		if err == nil {
			t.Errorf("%s: openssl trusts the certificate\n%s", version, out)
		}
		log := ""
		for deadline := time.Now().Add(time.Minute); !strings.Contains(log, "connection refused"); time.Sleep(time.Millisecond) {
			if log += s.log.take(); time.Now().After(deadline) {
				t.Fatalf("%s: no line about the connection:\n%s", version, log)
			}
		}
		if !strings.Contains(log, "hub ca export") {
			t.Errorf("%s: log does not say what to do:\n%s", version, log)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}
