package postgres

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/internal/pgtest"
)

// A tlsServer stands in front of a database's server and speaks TLS for it, or says that it can't.
type tlsServer struct {
	net.Listener
	database string      // its server's host:port
	config   *tls.Config // nil = no TLS
	running  sync.WaitGroup
	heard    atomic.Int64 // bytes that came without TLS, beside the question for it
}

func (s *tlsServer) accept() {
	for {
		conn, err := s.Accept()
		if err != nil {
			return
		}
		s.running.Go(func() { s.serve(conn) })
	}
}

func (s *tlsServer) serve(conn net.Conn) {
	defer conn.Close()
	question := make([]byte, 8)
	n, err := io.ReadFull(conn, question)
	if err != nil || string(question) != "\x00\x00\x00\x08\x04\xd2\x16\x2f" { // SSLRequest
		s.heard.Add(int64(n))
		return
	}
	if s.config == nil {
		_, _ = conn.Write([]byte{'N'})
		n, _ := io.Copy(io.Discard, conn)
		s.heard.Add(n)
		return
	}
	_, _ = conn.Write([]byte{'S'})
	client := tls.Server(conn, s.config)
	if client.Handshake() != nil {
		return
	}
	server, err := net.Dial("tcp", s.database)
	if err != nil {
		return
	}
	s.running.Go(func() {
		_, _ = io.Copy(client, server)
		client.Close()
	})
	_, _ = io.Copy(server, client)
	server.Close()
}

// certify makes a certificate that is its own authority, in a file.
func certify(t *testing.T, change func(*x509.Certificate)) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "authority.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

// With verify-full, a server that doesn't prove that it is the one at that address hears nothing, least of all a password.
func TestServerHasToProveItself(t *testing.T) {
	database, err := url.Parse(pgtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	own, authority := certify(t, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} })
	elsewhere, otherAuthority := certify(t, func(c *x509.Certificate) { c.DNSNames = []string{"db.example"} })
	old, oldAuthority := certify(t, func(c *x509.Certificate) {
		c.IPAddresses, c.NotAfter = []net.IP{net.IPv4(127, 0, 0, 1)}, time.Now().Add(-time.Minute)
	})
	for _, tt := range []struct {
		name      string
		config    *tls.Config
		authority string
		want      string // in the error; empty = none
	}{
		{"as it should be", &tls.Config{Certificates: []tls.Certificate{own}}, authority, ""},
		{"another authority", &tls.Config{Certificates: []tls.Certificate{own}}, otherAuthority, "unknown authority"},
		{"another name", &tls.Config{Certificates: []tls.Certificate{elsewhere}}, otherAuthority, "cannot validate certificate for 127.0.0.1"},
		{"expired", &tls.Config{Certificates: []tls.Certificate{old}}, oldAuthority, "expired"},
		{"TLS 1.1", &tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS11, MaxVersion: tls.VersionTLS11}, authority, "protocol version"},
		{"no TLS", nil, authority, "refused TLS"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			s := &tlsServer{Listener: l, database: database.Host, config: tt.config}
			s.running.Go(s.accept)
			u := *database
			u.Host, u.RawQuery = l.Addr().String(), url.Values{"sslmode": {"verify-full"}, "sslrootcert": {tt.authority}}.Encode()
			db, err := Open(t.Context(), u.String(), Options{})
			if err == nil {
				db.Close()
			}
			if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || hintOf(err) == "") {
				t.Errorf("got %v; hint %q; want %q", err, hintOf(err), tt.want)
			}
			l.Close()
			s.running.Wait()
			if n := s.heard.Load(); n != 0 {
				t.Errorf("%d bytes were sent in plain text", n)
			}
		})
	}
}
