package importer

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Limits of what the source may take and send.
const (
	requestTimeout = 30 * time.Second // for one attempt, with its body
	attempts       = 6                // of one request, with the first
	firstWait      = time.Second      // before the second attempt; each one after it doubles
	longestWait    = time.Minute      // also when the source asks for more
	retryNews      = 10 * time.Second // between two lines that say so

	maxBody    = 8 << 20  // bytes of one answer
	maxHeader  = 64 << 10 // bytes of an answer's header
	maxExcerpt = 200      // bytes of an answer that an error repeats
)

// An Error says what keeps an import from going on, with what a person can do.
type Error struct {
	Err  error
	hint string
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Hint is the next step.
func (e *Error) Hint() string { return e.hint }

const (
	hintAgain    = "nothing is lost: run the same command again, and it goes on where it stopped"
	hintDistrust = "no such answer is right: the source can't be trusted"
	hintAddress  = "check --from: it is the root of the API, as in https://api.scaleway.com"
)

// A client reads from a vendor-shaped API. It is safe for concurrent use.
type client struct {
	base  string // up to and with the region
	token string
	http  *http.Client

	mu   sync.Mutex
	say  func(string) // Config.Progress
	told time.Time    // when it last heard of an attempt that failed
}

// newClient checks the address and the token.
func newClient(c Config) (*client, error) {
	base, err := parseSource(c.Source, c.Insecure)
	if err != nil {
		return nil, err
	}
	if c.Token == "" || strings.ContainsFunc(c.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, &Error{errors.New("the source's token is missing or isn't one"), "put the secret key of the source into the environment variable SCW_SECRET_KEY"}
	}
	transport := c.Transport
	if transport == nil {
		if transport, err = newTransport(c.CAFile); err != nil {
			return nil, err
		}
	}
	return &client{
		base:  base,
		token: c.Token,
		http: &http.Client{
			Transport: transport,
			// The token must not follow to another place.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		say: c.Progress,
	}, nil
}

// newTransport is the way to a source over the network.
func newTransport(caFile string) (*http.Transport, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost, t.MaxResponseHeaderBytes = workers, maxHeader
	if caFile == "" {
		return t, nil
	}
	text, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("reading the source's authorities: %w", err)
	}
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM(text) {
		return nil, &Error{fmt.Errorf("the source's authorities: no certificate in PEM in %s", caFile), "write there what hub ca export prints at the source"}
	}
	t.TLSClientConfig = &tls.Config{RootCAs: trusted}
	return t, nil
}

// parseSource completes the root of an API by the path of the vendor's only region.
func parseSource(source string, insecure bool) (string, error) {
	u, err := url.Parse(source)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return "", &Error{errors.New("the source is no address of the web"), hintAddress}
	case u.User != nil:
		return "", &Error{errors.New("the source's address has a user or password in it"), "the token alone opens the source: put it into the environment variable SCW_SECRET_KEY"}
	case u.RawQuery != "" || u.Fragment != "":
		return "", &Error{errors.New("the source's address has more than a path"), hintAddress}
	case u.Scheme == "http" && !insecure && !isLoopback(u.Hostname()):
		return "", &Error{errors.New("the source is asked in plain text: the token and all documents can be read on the way"), "write https://, or add --insecure if that is all right"}
	}
	u.Path = strings.TrimRight(u.Path, "/")
	if _, region, ok := strings.Cut(u.Path+"/", regions); !ok {
		u.Path += regions + defaultRegion
	} else if region = strings.TrimSuffix(region, "/"); region == "" || strings.Contains(region, "/") {
		return "", &Error{fmt.Errorf("the source's path is %q: expected …%s%s", u.Path, regions, defaultRegion), hintAddress}
	}
	return u.String(), nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// A statusError is an answer other than success.
type statusError struct {
	path    string
	status  int
	kind    string // the vendor's word for what is wrong; empty = it is not the vendor's
	message string
	wait    time.Duration // that the source asks for
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("the source answers %d %s to GET %s", e.status, http.StatusText(e.status), e.path)
	if e.message != "" {
		text += fmt.Sprintf(": %q", e.message)
	}
	return text
}

// Hint is the next step.
func (e *statusError) Hint() string {
	switch {
	case e.status == http.StatusUnauthorized:
		return "the token in SCW_SECRET_KEY opens nothing there: check it"
	case e.status == http.StatusForbidden:
		return "the token in SCW_SECRET_KEY may not read this: give it the right to read hubs, devices and twins"
	case e.again():
		return hintAgain
	}
	return hintAddress
}

// again tells whether the next attempt can have another outcome.
func (e *statusError) again() bool {
	return e.status == http.StatusTooManyRequests || e.status == http.StatusRequestTimeout || e.status >= http.StatusInternalServerError
}

// isNotFound tells whether the source says that it has no such thing. A path that it doesn't know is something else.
func isNotFound(err error) bool {
	e, ok := errors.AsType[*statusError](err)
	return ok && e.status == http.StatusNotFound && e.kind == "not_found"
}

// A tooLongError is an answer of more than maxBody.
type tooLongError struct{ path string }

func (e *tooLongError) Error() string {
	return fmt.Sprintf("the source's answer to GET %s is longer than %d bytes", e.path, maxBody)
}

// Hint is the next step.
func (e *tooLongError) Hint() string { return hintDistrust }

// get reads what is at a path, trying again while the source or the network is in trouble.
func (c *client) get(ctx context.Context, path string, query url.Values) ([]byte, error) {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	for n, wait := 1, firstWait; ; n, wait = n+1, wait*2 {
		body, err := c.try(ctx, path)
		if err == nil || ctx.Err() != nil {
			return body, cmp.Or(context.Cause(ctx), err)
		}
		e, answered := errors.AsType[*statusError](err)
		if answered && !e.again() || !answered && !isNetwork(err) {
			return nil, err
		}
		if n == attempts {
			return nil, &Error{fmt.Errorf("gave up after %d attempts: %w", attempts, err), hintAgain}
		}
		pause := wait + rand.N(wait/2)
		if answered {
			pause = max(pause, e.wait)
		}
		c.tell(err)
		select {
		case <-time.After(min(pause, longestWait)):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// tell says now and then why it takes so long.
func (c *client) tell(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.told) >= retryNews {
		c.told = now
		c.sayLocked(fmt.Sprintf("trying again: %v", err))
	}
}

// progress tells people what is being done.
func (c *client) progress(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sayLocked(line)
}

func (c *client) sayLocked(line string) {
	if c.say != nil {
		c.say(line)
	}
}

// A networkError is one that another attempt may not have.
type networkError struct{ error }

func (e networkError) Unwrap() error { return e.error }

func isNetwork(err error) bool {
	_, ok := errors.AsType[networkError](err)
	return ok
}

// try is one attempt.
func (c *client) try(ctx context.Context, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("X-Auth-Token", c.token)
	r.Header.Set("User-Agent", "twinpanel")
	a, err := c.http.Do(r)
	if err != nil {
		return nil, explainNetwork(path, err)
	}
	defer a.Body.Close()
	body, err := io.ReadAll(io.LimitReader(a.Body, maxBody+1))
	switch {
	case err != nil:
		return nil, explainNetwork(path, err)
	case len(body) > maxBody:
		return nil, &tooLongError{path}
	case a.StatusCode >= 300 && a.StatusCode < 400:
		return nil, &Error{
			fmt.Errorf("the source answers GET %s with a redirect to %q, where the token must not follow", path, excerpt(a.Header.Get("Location"))),
			"if that is the right place, name it with --from",
		}
	case a.StatusCode != http.StatusOK:
		return nil, newStatusError(path, a, body)
	}
	if kind, _, _ := mime.ParseMediaType(a.Header.Get("Content-Type")); kind != "application/json" {
		return nil, &Error{fmt.Errorf("the source answers GET %s with %q: expected application/json", path, excerpt(a.Header.Get("Content-Type"))), hintAddress}
	}
	return body, nil
}

func newStatusError(path string, a *http.Response, body []byte) error {
	e := &statusError{path: path, status: a.StatusCode}
	var said struct{ Type, Message string }
	if json.Unmarshal(body, &said) == nil {
		e.kind, e.message = excerpt(said.Type), excerpt(said.Message)
	}
	after := a.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(after, 10, 16); err == nil {
		e.wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(after); err == nil {
		e.wait = time.Until(at)
	}
	return e
}

// explainNetwork says what is wrong with the way to the source.
func explainNetwork(path string, err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // it repeats the address
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok && e.IsNotFound {
		return &Error{fmt.Errorf("asking the source: %w", err), hintAddress}
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return &Error{
			fmt.Errorf("asking the source: %w", err),
			"if its certificate is signed by an authority of its own, name the file of that one with --ca",
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no complete answer in %v", requestTimeout)
	}
	return networkError{fmt.Errorf("asking the source for %s: %w", path, err)}
}

// excerpt is the beginning of a text of the source, fit to stand in an error.
func excerpt(s string) string {
	if len(s) > maxExcerpt {
		s = s[:maxExcerpt] + "…"
	}
	return strings.ToValidUTF8(s, "\ufffd")
}
