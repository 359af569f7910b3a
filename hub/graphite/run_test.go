package graphite

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"syscall"
	"testing"
)

// The same trouble has the same reason at each attempt, or the log gets a line for each.
func TestReasonStaysTheSame(t *testing.T) {
	for name, attempt := range map[string]func(n int) error{
		"refused": func(n int) error {
			return &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{Port: n}, Err: syscall.ECONNREFUSED}
		},
		"no such host": func(n int) error {
			return &net.DNSError{Err: "no such host", Name: "carbon", Server: fmt.Sprint("127.0.0.", n)}
		},
		"certificate": func(n int) error {
			return &tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired, Detail: fmt.Sprintf("current time %d is after 0", n)}}
		},
	} {
		first, second := fmt.Errorf("sending: %w", attempt(1)), fmt.Errorf("sending: %w", attempt(2))
		if first.Error() == second.Error() {
			t.Errorf("%s: both errors are %v, which tests nothing", name, first)
		}
		if a, b := reason(first), reason(second); a != b {
			t.Errorf("%s: the reasons are %q and %q", name, a, b)
		}
	}
}
