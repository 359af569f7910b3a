package credential

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twinpanel/twinpanel/hub/registry"
)

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

	shown atomic.Pointer[tls.Certificate]

	mu      sync.Mutex // of who looks for changes; nobody waits for it
	looked  time.Time
	signers []registry.Authority // the server authorities when shown was made; nil = it is of files
	read    [2]os.FileInfo       // of the files when shown was read
	failed  int                  // looks in a row
	trouble string               // that is in the log; empty = none since a look went well
}

// NewServer returns a server that is ready to show a certificate, and makes the hub's authorities
// if there are none yet. names are host names and IP addresses; none = localhost and this computer's name.
// Errors say what is wrong with which name or file; those of files are a [FilesError]. A certificate that has expired is none: some devices don't check
// that, and a hub that guards is better than one that doesn't start.
func NewServer(ctx context.Context, r registry.Registry, names []string, files Files, log *slog.Logger) (*Server, error) {
	s := &Server{registry: r, names: names, files: files, log: cmp.Or(log, slog.New(slog.DiscardHandler)), looked: time.Now()}
	if files == (Files{}) || len(names) > 0 {
		var err error
		if s.names, err = hosts(names); err != nil {
			return nil, err
		}
	}
	if _, err := Ensure(ctx, r); err != nil {
		return nil, err
	}
	if err := s.look(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// TLS is how the hub speaks TLS, 1.2 or later. Clients are asked for a certificate, but need
// none; whoever accepts a connection checks it with [Identify], which holds for a resumed session
// too: it brings the certificate that it began with. A listener for browsers sets ClientAuth
// to [tls.NoClientCert], or they would ask people for a certificate.
//
// No protocol is negotiated (ALPN): those of MQTT's clients that name one name different ones, and a WebSocket can't
// begin on HTTP/2.
func (s *Server) TLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		ClientAuth: tls.RequestClientCert,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return s.certificate(), nil
		},
	}
}

// Leaf is the certificate that is shown now.
func (s *Server) Leaf() *x509.Certificate { return s.certificate().Leaf }

// certificate is what is shown now. One handshake in ten seconds looks for changes; those meanwhile are
// shown what there is, however long that takes.
func (s *Server) certificate() *tls.Certificate {
	if s.mu.TryLock() {
		defer s.mu.Unlock()
		if time.Since(s.looked) >= lookAgain {
			ctx, cancel := context.WithTimeout(context.Background(), registryTime)
			defer cancel()
			s.note(s.look(ctx))
			s.looked = time.Now()
		}
	}
	return s.shown.Load()
}

// note logs trouble that two looks in a row had: files may be half written at one.
func (s *Server) note(err error) {
	if err == nil {
		if s.trouble != "" {
			s.log.Info("hub certificate can be renewed again")
		}
		s.failed, s.trouble = 0, ""
		return
	}
	s.failed++
	if text := err.Error(); s.failed > 1 && text != s.trouble {
		s.trouble = text
		s.log.Error("hub certificate can't be renewed: the one before is still shown", "error", err, "expires", s.shown.Load().Leaf.NotAfter)
	}
}

// look brings what is shown up to date.
func (s *Server) look(ctx context.Context) error {
	if s.files != (Files{}) {
		return s.load()
	}
	all, err := s.registry.Authorities(ctx)
	if err != nil {
		return err
	}
	// Signer points into its slice: nothing is deleted from that afterwards.
	signers := slices.DeleteFunc(slices.Clone(all), func(a registry.Authority) bool { return a.Kind != registry.ServerAuthority })
	signer := Signer(signers, registry.ServerAuthority)
	if signer == nil {
		return errors.New("the hub has no server authority that signs")
	}
	now := time.Now()
	if slices.EqualFunc(signers, s.signers, sameAuthority) && !due(s.shown.Load().Leaf, signer, now) {
		return nil
	}
	cert, err := issueServer(signers, s.names, now)
	if err != nil {
		return err
	}
	s.shown.Store(cert)
	s.signers = signers
	s.log.Info("hub certificate made", "names", s.names, "expires", cert.Leaf.NotAfter)
	return nil
}
