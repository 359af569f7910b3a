package credential

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Files are a certificate chain and its key, in PEM, that somebody else made for the hub. They may be
// one file, and links: it is what they lead to that counts.
type Files struct{ Cert, Key string }

// A FilesError is why [Files] can't be used.
type FilesError struct {
	Fault FilesFault
	Err   error
}

// A FilesFault tells which of [Files] is to be looked at.
type FilesFault int

// Where the fault may be.
const (
	CertFault    FilesFault = iota // in the certificate's file
	KeyFault                       // in the key's
	SwappedFault                   // each is in the place of the other
	PairFault                      // they don't belong together
)

func (e *FilesError) Error() string { return e.Err.Error() }

func (e *FilesError) Unwrap() error { return e.Err }

// load reads the files if they have changed.
func (s *Server) load() error {
	var now [2]os.FileInfo
	for i, path := range []string{s.files.Cert, s.files.Key} {
		info, err := os.Stat(path)
		if err != nil {
			return &FilesError{FilesFault(i), err}
		}
		now[i] = info
	}
	if s.shown.Load() != nil && slices.EqualFunc(s.read[:], now[:], sameFile) {
		return nil
	}
	cert, err := s.files.read()
	if err != nil {
		return err
	}
	s.shown.Store(cert)
	s.read = now
	s.log.Info("hub certificate read", "file", s.files.Cert, "expires", cert.Leaf.NotAfter)
	s.warn(cert.Leaf, now[1])
	return nil
}

// warn logs what will keep clients away, or lets others in. [Expiries] has what is expired.
func (s *Server) warn(leaf *x509.Certificate, key os.FileInfo) {
	if key.Mode().Perm()&0o004 != 0 && runtime.GOOS != "windows" {
		s.log.Warn("everybody on this computer can read the hub's key", "file", s.files.Key, "hint", "chmod o= "+s.files.Key)
	}
	if now := time.Now(); ClockIsSet(now) && now.Before(leaf.NotBefore) {
		s.log.Warn("hub certificate is not valid yet", "from", leaf.NotBefore, "clock", now)
	}
	if len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 {
		s.log.Warn("hub certificate names no host: clients that check that won't connect", "subject", leaf.Subject)
	}
	for _, name := range s.names {
		if err := leaf.VerifyHostname(strings.Replace(name, "*.", "any.", 1)); err != nil {
			s.log.Warn("hub certificate is not for this host", "name", name, "names", leaf.DNSNames, "addresses", leaf.IPAddresses)
		}
	}
}

func sameFile(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// read reads the pair. Errors are a [FilesError], and name the file and what to do.
func (f Files) read() (*tls.Certificate, error) {
	chain, err := os.ReadFile(f.Cert)
	if err != nil {
		return nil, &FilesError{CertFault, err}
	}
	key, err := os.ReadFile(f.Key)
	if err != nil {
		return nil, &FilesError{KeyFault, err}
	}
	leaf, err := ParseCertificate(chain)
	if err != nil {
		fault := CertFault
		if _, notCert := ParseCertificate(key); notCert == nil && checkKeyPEM(chain) == nil {
			fault = SwappedFault
		}
		return nil, &FilesError{fault, fmt.Errorf("%s: %w", f.Cert, err)}
	}
	if err := checkKeyPEM(key); err != nil {
		return nil, &FilesError{KeyFault, fmt.Errorf("%s: %w", f.Key, err)}
	}
	cert, err := tls.X509KeyPair(chain, key)
	switch {
	case err == nil:
		return &cert, nil
	case leaf.IsCA:
		return nil, &FilesError{CertFault, fmt.Errorf("%s begins with the certificate of an authority, %q: the hub's own comes first, then what leads to the authority (%w)", f.Cert, leaf.Subject, err)}
	}
	return nil, &FilesError{PairFault, fmt.Errorf("certificate %s with key %s: %w", f.Cert, f.Key, err)}
}

// checkKeyPEM finds what crypto/tls has no clear words for.
func checkKeyPEM(data []byte) error {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
			return errors.New("the key needs a passphrase, which nobody can give: write it without one, with openssl pkey")
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			return nil
		}
	}
	if bytes.Contains(data, []byte("-----BEGIN CERTIFICATE-----")) {
		return errors.New("a certificate, where its private key is expected")
	}
	return errors.New("no private key in PEM: expected all lines from -----BEGIN PRIVATE KEY----- to the end of it")
}
