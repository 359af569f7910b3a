package interop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/hubtest"
)

// A broker is Debian's mosquitto as a child process, which ends with the test.
type broker struct {
	t    *testing.T
	dir  string
	addr string
	log  output // over all of its starts

	process *exec.Cmd
	ended   chan error // of process
}

// startBroker starts mosquitto. options are lines of its configuration, beside those without which nothing goes.
func startBroker(t *testing.T, options string) *broker {
	t.Helper()
	b := &broker{t: t, dir: t.TempDir(), addr: freeAddr(t)}
	b.configure(options)
	b.start()
	t.Cleanup(func() {
		b.kill()
		if t.Failed() {
			t.Logf("the broker's log:\n%s", b.log.String())
		}
	})
	return b
}

// configure says what holds from the next start on.
func (b *broker) configure(options string) {
	b.t.Helper()
	_, port, err := net.SplitHostPort(b.addr)
	if err != nil {
		b.t.Fatal(err)
	}
	// Started by root it would become another user, who can't read the test's folder.
	text := "user root\nlistener " + port + " 127.0.0.1\nmax_queued_messages 0\n" + options
	if err := os.WriteFile(b.file("conf"), []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func (b *broker) file(name string) string { return filepath.Join(b.dir, name) }

// start returns when the broker accepts connections.
func (b *broker) start() {
	b.t.Helper()
	b.process = exec.Command(tool(b.t, "mosquitto", "mosquitto"), "-c", b.file("conf"))
	b.process.Stdout, b.process.Stderr = &b.log, &b.log
	if err := b.process.Start(); err != nil {
		b.t.Fatal(err)
	}
	process, ended := b.process, make(chan error, 1)
	b.ended = ended
	go func() { ended <- process.Wait() }()
	await(b.t, "the broker listens", func() bool {
		conn, err := net.Dial("tcp", b.addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// kill is a broker's sudden end.
func (b *broker) kill() {
	if b.process == nil {
		return
	}
	_ = b.process.Process.Kill() // it may have ended by itself
	<-b.ended
	b.process = nil
}

// await polls until ok.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%v without this: %s", patience, what)
		}
	}
}

// startInFront starts a hub in front of a broker, with its log.
func startInFront(t *testing.T, u *hub.Upstream) (*hubtest.Hub, *output) {
	t.Helper()
	log := new(output)
	h := hubtest.Start(t, func(c *hub.Config) {
		c.Upstream = u
		c.Logger = slog.New(slog.NewTextHandler(log, nil))
	})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the hub's log:\n%s", log)
		}
	})
	return h, log
}

// upstream is this broker in plain text, or as the URL's user.
func (b *broker) upstream(userinfo string) *hub.Upstream {
	b.t.Helper()
	u, err := hub.ParseUpstream("mqtt://" + userinfo + b.addr)
	if err != nil {
		b.t.Fatal(err)
	}
	return u
}

// certify writes a certificate for localhost and its key, and returns the pool that trusts it.
func (b *broker) certify(cert, key string) *x509.CertPool {
	b.t.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "broker"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, secret.Public(), secret)
	if err != nil {
		b.t.Fatal(err)
	}
	secretDER, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		b.t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secretDER}} {
		if err := os.WriteFile(b.file(name), pem.EncodeToMemory(block), 0o600); err != nil {
			b.t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AddCert(must(x509.ParseCertificate(der)))
	return pool
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
