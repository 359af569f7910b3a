package twinclient

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
	"unicode"
)

// A TrustError says why there is no connection although the hub was reached: the device doesn't
// accept what the hub shows of itself, or the hub doesn't accept what the device shows.
type TrustError struct {
	Problem string
	Next    string // what to do
	Early   bool   // by this computer's clock a certificate is not valid yet: one of two clocks is wrong
	Err     error  // what was seen below MQTT, such as what TLS says; nil = it comes from MQTT
}

func (e *TrustError) Error() string { return e.Problem + ": " + e.Next }

// Unwrap returns Err.
func (e *TrustError) Unwrap() error { return e.Err }

// refused puts a code of CONNACK into words; nil = it accepts the device.
func (c credentials) refused(code byte) error {
	switch code {
	case 1:
		return &TrustError{Problem: "hub refused the protocol version", Next: "it has to speak MQTT 3.1.1"}
	case 2:
		return &TrustError{Problem: "hub refused the client id", Next: "check the device id"}
	case 3:
		return errors.New("hub says that it is unavailable")
	case 4, 5:
		return c.refusedDevice()
	}
	return nil
}

// refusedDevice is a refusal of what the device shows. A hub doesn't say more, so that nobody can
// find out who its devices are.
func (c credentials) refusedDevice() error {
	const log = "see the reason in the hub's log; check the device id, and with hub device list that the device is there and enabled; "
	cert := c.certificate()
	switch now := time.Now(); {
	case cert != nil && now.After(cert.NotAfter):
		return &TrustError{
			Problem: "hub refused the device, whose certificate expired on " + date(cert.NotAfter),
			Next:    "make a new one with hub device renew",
		}
	case cert != nil:
		return &TrustError{Problem: "hub refused the device with this certificate", Next: log + "hub device renew makes a new certificate"}
	case c.secret != "":
		return &TrustError{Problem: "hub refused the device with this secret", Next: log + "hub device renew --secret makes a new one"}
	}
	return &TrustError{
		Problem: "hub refused the device, which shows nothing but its id",
		Next:    "check the device id, and give the device's certificate and key, or its secret; whether its id is enough is up to the hub",
	}
}

// handshake puts the end of a handshake into words.
func (o Options) handshake(err error) error {
	if isClosing(err) {
		return &TrustError{Problem: "the hub closed the connection in the TLS handshake", Next: otherPort, Err: err}
	}
	if known := o.distrust(err); known != err {
		return known
	}
	return fmt.Errorf("TLS: %w", err)
}

// distrust puts an error of TLS into words. Other errors are returned as they are.
func (o Options) distrust(err error) error {
	e := &TrustError{Err: err}
	var (
		invalid x509.CertificateInvalidError
		host    x509.HostnameError
		unknown x509.UnknownAuthorityError
		header  tls.RecordHeaderError
		op      *net.OpError
	)
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		now := time.Now()
		e.Early = now.Before(invalid.Cert.NotBefore)
		e.Problem, e.Next = outOfTime("the hub's certificate", "renew it on the hub", invalid.Cert, now)
		if invalid.Cert.IsCA {
			e.Problem, e.Next = outOfTime("the authority "+subject(invalid.Cert)+", which vouches for the hub,", otherAuthorities, invalid.Cert, now)
		}
	case errors.As(err, &host):
		e.Problem = fmt.Sprintf("the hub's certificate is for %s, not for %s", hosts(host.Certificate), host.Host)
		e.Next = "write one of its names as the hub's host, or start the hub with --name " + host.Host
	case errors.As(err, &unknown):
		e.Problem = "no authority that this system trusts vouches for the hub's certificate"
		if o.CAFile != "" {
			e.Problem = "no authority in " + o.CAFile + " vouches for the hub's certificate"
		}
		e.Next = otherAuthorities
	case errors.Is(err, errWebServer):
		e.Problem, e.Next = "a web server answers on this port, perhaps the hub's REST API", "give the port of hub --mqtts, or with mqtt:// that of hub --mqtt"
	case errors.As(err, &header):
		e.Problem, e.Next = "the hub doesn't speak TLS on this port", otherPort
	case errors.As(err, &op) && op.Op == "remote error" && slices.Contains(certificateAlerts, op.Err.Error()):
		e.Problem = fmt.Sprintf("the hub refused the device's certificate (%v)", op.Err)
		e.Next = "see the reason in the hub's log; hub device renew makes a new certificate"
		if o.CertFile == "" {
			e.Problem, e.Next = fmt.Sprintf("the hub wants a certificate of the device (%v)", op.Err), "give the device's certificate and key"
		}
	default:
		return err
	}
	return e
}

const (
	otherAuthorities = "give the authority that signed the hub's certificate: hub ca export prints the hub's own; with hub --cert it is the one that signed that"
	otherPort        = "give the port of its TLS listener (hub --mqtts), or write mqtt:// for one without"
)

// certificateAlerts are how TLS says that it was the certificate. The other alerts need somebody who knows TLS.
var certificateAlerts = []string{
	"tls: bad certificate", "tls: unsupported certificate", "tls: revoked certificate", "tls: expired certificate",
	"tls: unknown certificate", "tls: unknown certificate authority", "tls: access denied", "tls: certificate required",
}

// clockStart is before this program was written: a clock that shows less is wrong.
var clockStart = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// outOfTime says that a certificate has expired or isn't valid yet, and what to do. renew is for one that has expired. The
// problem is in the same words as long as it is the same.
func outOfTime(what, renew string, cert *x509.Certificate, now time.Time) (problem, next string) {
	clock := now.UTC().Format(minute)
	switch {
	case now.After(cert.NotAfter):
		return fmt.Sprintf("%s expired on %s", what, date(cert.NotAfter)), fmt.Sprintf("%s; this computer's clock says %s", renew, clock)
	case now.Before(clockStart):
		next = "set it, or wait for network time; it is not the certificate that is wrong"
	default:
		next = "look which clock is wrong, this one or that of who made the certificate"
	}
	return fmt.Sprintf("%s is not valid before %s", what, cert.NotBefore.UTC().Format(minute)), fmt.Sprintf("this computer's clock says %s: %s", clock, next)
}

const minute = "2006-01-02 15:04 UTC"

func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// hosts are the names of a certificate. The other end chose them, so they may be many or unfit to print.
func hosts(cert *x509.Certificate) string {
	names := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "no host at all"
	}
	const shown = 8
	if len(names) > shown {
		names = append(names[:shown], "…")
	}
	return printable(strings.Join(names, ", "))
}

// subject is what an authority is called.
func subject(cert *x509.Certificate) string {
	return printable(fmt.Sprintf("%q", cert.Subject.CommonName))
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}
