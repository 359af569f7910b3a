package credential

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/hub/registry"
)

// openssl runs the command of that name with nothing to read, and returns what it printed.
func openssl(t *testing.T, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	out, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput()
	return string(out), err
}

// What Go makes of authorities that were renewed, OpenSSL makes too: mosquitto, curl and Python use it.
func TestOpenSSLTrustsAnyAuthority(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	r := registry.NewMemory()
	first := must[[]registry.Authority](t)(Ensure(t.Context(), r))
	trusted := map[string][]byte{
		"first":  CertificatePEM(first[0].Certificate),
		"second": CertificatePEM(must[registry.Authority](t)(Renew(t.Context(), r, registry.ServerAuthority)).Certificate),
		"third":  CertificatePEM(must[registry.Authority](t)(Renew(t.Context(), r, registry.ServerAuthority)).Certificate),
	}
	all := must[[]registry.Authority](t)(r.Authorities(t.Context()))
	trusted["bundle"] = Bundle(all, registry.ServerAuthority)
	trusted["device"] = Bundle(all, registry.DeviceAuthority)
	for name, bundle := range trusted {
		writeFile(t, path(name), string(bundle))
	}
	d := registry.Device{ID: panelID, Name: "Tür"}
	der, cert, key, err := Issue(all, d)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, path("cert.pem"), string(cert))
	writeFile(t, path("key.pem"), string(key))

	s := must[*Server](t)(NewServer(t.Context(), r, []string{"hub.example", "127.0.0.1"}, Files{}, nil))
	l := must[net.Listener](t)(tls.Listen("tcp", "127.0.0.1:0", s.TLS()))
	defer l.Close()
	shown := make(chan []byte, 1) // by the client, its own certificate
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if err := conn.(*tls.Conn).HandshakeContext(context.Background()); err == nil {
				_, _ = conn.Write([]byte("hello")) // s_client ends when it has no more to read
				peers := conn.(*tls.Conn).ConnectionState().PeerCertificates
				if len(peers) == 1 {
					shown <- peers[0].Raw
				} else {
					shown <- nil
				}
			}
			conn.Close()
		}
	}()
	for name := range trusted {
		for _, version := range []string{"-tls1_2", "-tls1_3"} {
			out, err := openssl(t, "s_client", "-connect", l.Addr().String(), version, "-CAfile", path(name), "-no-CApath", "-no-CAstore",
				"-verify_return_error", "-verify_hostname", "hub.example", "-cert", path("cert.pem"), "-key", path("key.pem"))
			if name == "device" {
				if err == nil || !strings.Contains(out, "certificate verify failed") {
					t.Errorf("trusting the device authority, %s: got error %v, want that it isn't trusted\n%s", version, err, out)
				}
				continue
			}
			if err != nil || !strings.Contains(out, "Verify return code: 0 (ok)") {
				t.Errorf("trusting %s, %s: %v\n%s", name, version, err, out)
				continue
			}
			if !bytes.Equal(<-shown, der) {
				t.Errorf("trusting %s, %s: the hub got another certificate of the device, or none", name, version)
			}
		}
	}

	if out, err := openssl(t, "verify", "-purpose", "sslclient", "-x509_strict", "-CAfile", path("device"), path("cert.pem")); err != nil {
		t.Errorf("a device's certificate: %v\n%s", err, out)
	}
	if out, err := openssl(t, "verify", "-x509_strict", "-CAfile", path("first"), path("first")); err != nil {
		t.Errorf("an authority: %v\n%s", err, out)
	}
}

// Requests as people make them.
func TestOpenSSLRequestsAreSigned(t *testing.T) {
	dir := t.TempDir()
	key, csr := filepath.Join(dir, "key.pem"), filepath.Join(dir, "panel.csr")
	all := must[[]registry.Authority](t)(Ensure(t.Context(), registry.NewMemory()))
	for name, kind := range map[string][]string{
		"ECDSA": {"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"},
		"RSA":   {"-newkey", "rsa:2048"},
	} {
		if out, err := openssl(t, append([]string{"req", "-new", "-nodes", "-utf8", "-subj", "/C=FR/CN=Tür", "-keyout", key, "-out", csr}, kind...)...); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		request := must[[]byte](t)(os.ReadFile(csr))
		der, err := SignRequest(all, registry.Device{ID: panelID, Name: "Tür"}, request)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := tls.X509KeyPair(CertificatePEM(der), must[[]byte](t)(os.ReadFile(key))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
