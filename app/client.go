package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Limits of what the app asks of others: the hub, and whoever takes notices and pings.
const (
	maxHeader    = 64 << 10         // bytes of an answer's header
	maxExcerpt   = 200              // bytes of somebody's text that ours repeats
	longestRetry = 60 * time.Second // also when somebody asks for more
)

// parseURL checks the address that a flag gave; risk is what others can do where it is plain HTTP. Errors never repeat the
// address: it may have a password in it.
func parseURL(flag, s, example, risk string, insecure bool) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("%s is no address of the web: write it as in %s", flag, example)
	case u.Scheme == "http" && !insecure && !isLoopback(strings.ToLower(u.Hostname())):
		return nil, fmt.Errorf("%s is plain HTTP, so anybody on the way can %s: write https://, or add --insecure if that is all right", flag, risk)
	}
	return u, nil
}

// fitsHeader tells whether a token, or none, can stand in a header.
func fitsHeader(token string) bool {
	return !strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' })
}

// newClient makes requests over the network, or the transport of a test. It follows no redirects: neither token nor text is for
// another place. trusted are the authorities that may vouch for the other end; nil: those that the system trusts.
func newClient(transport http.RoundTripper, trusted *x509.CertPool) *http.Client {
	if transport == nil {
		transport = newTransport(trusted)
	}
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func newTransport(trusted *x509.CertPool) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxResponseHeaderBytes = maxHeader
	t.TLSClientConfig = &tls.Config{RootCAs: trusted}
	// HTTP/2 would keep a connection that has gone dead, and use it again after each time-out.
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	return t
}

// isTimeout tells whether there was no whole answer in time.
func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return errors.Is(err, context.DeadlineExceeded) || ok && e.Timeout()
}

// isUntrusted tells whether the other end showed a certificate that nobody vouches for.
func isUntrusted(err error) bool {
	_, ok := errors.AsType[*tls.CertificateVerificationError](err)
	return ok
}

// retryAfter is how long an answer asks to be left alone; 0 if it doesn't, and not for ever.
func retryAfter(s string) (wait time.Duration) {
	if seconds, err := strconv.ParseUint(s, 10, 16); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(s); err == nil {
		wait = time.Until(at)
	}
	return min(max(wait, 0), longestRetry)
}

// excerpt is the beginning of somebody else's text, fit to stand in ours.
func excerpt(s string) string {
	if len(s) > maxExcerpt {
		s = s[:maxExcerpt] + "…"
	}
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '\ufffd'
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
}
