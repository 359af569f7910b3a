package credential

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/twinpanel/twinpanel/hub/registry"
)

// Files are a certificate chain and its key, in PEM, that somebody else made for the hub.
type Files struct{ Cert, Key string }

// How often a server looks for changes, and how long a question to the registry may take.
const (
	lookAgain    = 10 * time.Second
	registryTime = 5 * time.Second
)

// A Server shows the hub's certificate to whoever connects: the one of its files, or one that the
// server authority signs for its names. What changes meanwhile, the files or the authority, is
// shown within ten seconds; where it can't be used, what was there before stays.
type Server struct {
	registry registry.Registry
	names    []string
	files    Files
	log      *slog.Logger

	mu      sync.Mutex
	looked  time.Time
	cert    *tls.Certificate
	signer  []byte // certificate of the authority that signed cert; nil = it is of files
	read    [2]os.FileInfo
	trouble string // that was logged last
}

// NewServer returns a server that is ready to show a certificate, and makes the hub's authorities
// if there are none yet. names are host names and IP addresses; none = localhost and this computer's name.
// Errors say what is wrong with which file.
func NewServer(ctx context.Context, r registry.Registry, names []string, files Files, log *slog.Logger) (*Server, error) {
	if len(names) == 0 {
		names = []string{"localhost", "127.0.0.1", "::1"}
		if host, err := os.Hostname(); err == nil && host != "" && host != "localhost" {
			names = append(names, host)
		}
	}
	s := &Server{registry: r, names: names, files: files, log: cmp.Or(log, slog.New(slog.DiscardHandler))}
	if _, err := Ensure(ctx, r); err != nil {
		return nil, err
	}
	s.looked = time.Now()
	if err := s.look(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// TLS is how the hub speaks TLS, 1.2 or later. Clients are asked for a certificate, but need
// none; whoever accepts a connection checks it with [Identify].
func (s *Server) TLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"}, // MQTT clients name none; a WebSocket can't begin on HTTP/2
		ClientAuth: tls.RequestClientCert,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return s.certificate(), nil
		},
	}
}

// Leaf is the certificate that is shown now.
func (s *Server) Leaf() *x509.Certificate { return s.certificate().Leaf }

// certificate is what is shown now, looked after now and then.
func (s *Server) certificate() *tls.Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); now.Sub(s.looked) >= lookAgain || now.Before(s.looked) {
		s.looked = now
		ctx, cancel := context.WithTimeout(context.Background(), registryTime)
		defer cancel()
		err := s.look(ctx)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if err != nil && text != s.trouble {
			s.log.Error("certificate not renewed: the one before is still shown", "error", err, "expires", s.cert.Leaf.NotAfter)
		}
		s.trouble = text
	}
	return s.cert
}

// look brings cert up to date.
func (s *Server) look(ctx context.Context) error {
	if s.files.Cert != "" {
		return s.load()
	}
	all, err := s.registry.Authorities(ctx)
	if err != nil {
		return err
	}
	signer := Signer(all, registry.ServerAuthority)
	if signer == nil {
		return fmt.Errorf("the hub has no server authority that signs")
	}
	if s.cert != nil && bytes.Equal(s.signer, signer.Certificate) && !due(s.cert.Leaf, time.Now()) {
		return nil
	}
	cert, err := issueServer(signer, s.names, time.Now())
	if err != nil {
		return err
	}
	s.cert, s.signer = cert, signer.Certificate
	s.log.Info("hub certificate made", "names", s.names, "expires", cert.Leaf.NotAfter)
	return nil
}

// load reads the files if they have changed.
func (s *Server) load() error {
	var now [2]os.FileInfo
	for i, path := range []string{s.files.Cert, s.files.Key} {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		now[i] = info
	}
	if s.cert != nil && slices.EqualFunc(s.read[:], now[:], sameFile) {
		return nil
	}
	cert, err := tls.LoadX509KeyPair(s.files.Cert, s.files.Key)
	if err != nil {
		return fmt.Errorf("certificate %s with key %s: %w", s.files.Cert, s.files.Key, err)
	}
	s.cert, s.read = &cert, now
	return nil
}

func sameFile(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// due tells whether a certificate of the hub's own has to be made anew: a third of its life before its
// end, or when the clock was set.
func due(leaf *x509.Certificate, now time.Time) bool {
	return now.Before(leaf.NotBefore) || now.After(leaf.NotAfter.Add(-ServerLife/3))
}

// issueServer makes a certificate for names. Where the clock isn't set, it is valid as long as its authority.
func issueServer(a *registry.Authority, names []string, now time.Time) (*tls.Certificate, error) {
	parent, signer, err := open(a)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: names[0]},
		NotBefore:    now.Add(-24 * time.Hour),
		NotAfter:     now.Add(ServerLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if !ClockIsSet(now) || template.NotBefore.Before(parent.NotBefore) {
		template.NotBefore = parent.NotBefore
	}
	if !ClockIsSet(now) || template.NotAfter.After(parent.NotAfter) {
		template.NotAfter = parent.NotAfter
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("making the hub's certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	chain := [][]byte{der}
	if a.Cross != nil {
		chain = append(chain, a.Cross)
	}
	return &tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: leaf}, nil
}
