package twinclient

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxSecret is the longest secret, in bytes. MQTT would allow 64 KiB.
const maxSecret = 4096

// credentials are what device and hub show each other.
type credentials struct {
	tls    *tls.Config // nil = plaintext
	secret string      // empty = none
}

// read reads all files as they are now.
func (o Options) read(a address) (c credentials, err error) {
	if o.SecretFile != "" {
		if c.secret, err = readSecret(o.SecretFile); err != nil {
			return c, err
		}
	}
	if !a.tls {
		return c, nil
	}
	c.tls = &tls.Config{ServerName: a.host, MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		trusted, err := readAuthorities(o.CAFile)
		if len(trusted) == 0 {
			return c, err
		}
		c.tls.RootCAs = x509.NewCertPool()
		for _, cert := range trusted {
			c.tls.RootCAs.AddCert(cert)
		}
	}
	if o.CertFile != "" {
		pair, err := readCertificate(o.CertFile, o.KeyFile)
		if err != nil {
			return c, err
		}
		c.tls.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// certificate is the device's own, nil if it shows none.
func (c credentials) certificate() *x509.Certificate {
	if c.tls == nil || len(c.tls.Certificates) == 0 {
		return nil
	}
	return c.tls.Certificates[0].Leaf
}

// readSecret reads a secret. Its errors never repeat what is in the file.
func readSecret(path string) (string, error) {
	fail := func(format string, args ...any) (string, error) {
		return "", fmt.Errorf("reading the device's secret: "+format, args...)
	}
	f, err := os.Open(path)
	if err != nil {
		return fail("%w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSecret+3))
	if err != nil {
		return fail("%w", err)
	}
	secret := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	switch {
	case secret == "":
		return fail("%s is empty", path)
	case strings.ContainsAny(secret, "\r\n"):
		// A key in PEM, say, which must not go to the hub as a password.
		return fail("%s has several lines: expected one", path)
	case len(secret) > maxSecret:
		return fail("%s is longer than %d bytes", path, maxSecret)
	}
	return secret, nil
}

// readAuthorities reads the certificates that are in a file. Those that can be read are usable even
// if there is an error about others.
func readAuthorities(path string) ([]*x509.Certificate, error) {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("reading the hub's authority: "+format, args...)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fail("%w", err)
	}
	var certs []*x509.Certificate
	var bad error
	for number := 1; ; number++ {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		data = rest
		if block.Type != "CERTIFICATE" {
			bad = fail("%s holds something that is no certificate: %s", path, block.Type)
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			bad = fail("certificate %d in %s: %w", number, path, err)
			continue
		}
		certs = append(certs, cert)
	}
	switch {
	case bytes.Contains(data, []byte("-----BEGIN ")):
		bad = fail("%s is cut short or damaged", path)
	case len(certs) == 0 && bad == nil:
		bad = fail("%s holds no certificate in PEM", path)
	}
	return certs, bad
}

// readCertificate reads the device's certificate and key.
func readCertificate(certFile, keyFile string) (tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil && errors.Unwrap(err) == nil { // Go's errors about the content don't name the file
		err = fmt.Errorf("%s with key %s: %w", certFile, keyFile, err)
	}
	if err != nil {
		return pair, fmt.Errorf("reading the device's certificate: %w", err)
	}
	return pair, nil
}
