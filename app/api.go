package app

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

// Limits of what the hub may take and send.
const (
	requestTimeout = 5 * time.Second // for one request, from the name's look-up to the last byte of the answer
	maxAnswer      = 1 << 20         // bytes; a document has at most a quarter of it, and may be indented
	maxRefusal     = 16 << 10        // bytes of an answer that isn't success
)

// onlyRegion completes an address without a path: the vendor has twins in one region, and our hub has its name.
const onlyRegion = "/iot/v1/regions/fr-par"

// Options say where a twin is, and what opens it.
type Options struct {
	URL      string  // of the API with its region; without a path, /iot/v1/regions/fr-par is added
	Device   twin.ID // the panel's
	Token    string  // the secret key: the value of X-Auth-Token
	CA       []byte  // certificates in PEM of the authorities that may vouch for the hub; nil: those that the system trusts
	Insecure bool    // allow plain HTTP beyond this computer

	Transport http.RoundTripper // for tests; nil: the network
}

// An API reads and writes the documents of one twin, as the vendor's REST API has it. Whatever the hub answers, a call
// ends within 5 s, and with a document or one of these errors:
//   - [twin.ErrDocumentNotFound], from Get
//   - a [*twin.VersionError], from Put
//   - a [*HubError]
//   - the context's, if that ended first.
//
// It is safe for concurrent use.
type API struct {
	documents string // the URL of the twin's documents, with a slash behind it
	device    twin.ID
	token     string
	http      *http.Client
}

// Validate says what of URL and Device can't be, in the words of the command app's flags.
func (o Options) Validate() error {
	_, _, err := o.place()
	return err
}

// place is where the twin is.
func (o Options) place() (base string, device twin.ID, err error) {
	const example = "http://127.0.0.1:8081" + onlyRegion
	u, err := parseURL("--api", o.URL, example, "read the token and disarm", o.Insecure)
	switch {
	case err != nil:
		return "", "", err
	case u.User != nil:
		return "", "", errors.New("--api has a user or password in it: the token alone opens the hub, leave them out")
	case u.RawQuery != "" || u.Fragment != "":
		return "", "", errors.New("--api has more than a path: write it as in " + example)
	}
	if device, err = twin.ParseID(string(o.Device)); err != nil {
		return "", "", errors.New("--device-id is no UUID: give the one that the hub shows for the panel, as hub device list does")
	}
	u = u.JoinPath() // without dots and double slashes
	u.Path, u.RawPath = cmp.Or(strings.TrimRight(u.Path, "/"), onlyRegion), ""
	return u.String(), device, nil
}

// NewAPI checks the options and connects to nothing. Its errors name the flag of the command app to look at.
func NewAPI(o Options) (*API, error) {
	base, device, err := o.place()
	if err != nil {
		return nil, err
	}
	if o.Token == "" || !fitsHeader(o.Token) {
		return nil, errors.New("the hub's token is missing or isn't one: " + aToken)
	}
	var trusted *x509.CertPool
	if o.CA != nil {
		trusted = x509.NewCertPool()
		if !trusted.AppendCertsFromPEM(o.CA) {
			return nil, errors.New("the file of --ca has no certificate in PEM: write there what hub ca export prints")
		}
	}
	return &API{
		documents: base + "/twins/" + string(device) + "/documents/",
		device:    device,
		token:     o.Token,
		http:      newClient(o.Transport, trusted),
	}, nil
}

// aToken says how to come by a token.
const aToken = "hub token add makes one (at Scaleway it is the secret key of an API key that may write to the IoT Hub); give it in --token-file or SCW_SECRET_KEY"

// Get reads a document.
func (a *API) Get(ctx context.Context, name twin.Name) (twin.Document, error) {
	doc, _, err := a.request(ctx, http.MethodGet, name, twin.Update{})
	return doc, err
}

// Put replaces a document, or creates it. Version is the one that it must have now; 0 = any. The answer is the new document.
//
// A [*HubError] says in MaybeDone whether it may have been written all the same.
func (a *API) Put(ctx context.Context, name twin.Name, version uint32, data json.RawMessage) (twin.Document, error) {
	doc, reached, err := a.request(ctx, http.MethodPut, name, twin.Update{Version: version, Data: data})
	if e, ok := errors.AsType[*HubError](err); ok {
		e.MaybeDone = reached && e.Why != WhyDenied && e.Why != WhyRefused
	}
	return doc, err
}

// request makes one request. Reached is false if it certainly never came to the hub.
func (a *API) request(ctx context.Context, method string, name twin.Name, update twin.Update) (doc twin.Document, reached bool, err error) {
	within, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var body io.Reader
	if method != http.MethodGet {
		body = bytes.NewReader(update.Encode())
	}
	r, err := http.NewRequestWithContext(within, method, a.documents+string(name), body)
	if err != nil {
		return doc, false, err
	}
	r.Header.Set("X-Auth-Token", a.token)
	r.Header.Set("User-Agent", "twinpanel")
	r.Header.Set("Accept", "application/json")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
		// Sent again when the hub closes an idle connection at the same moment: a second put does nothing new. This isn't
		// sent; see http.Transport.
		r.Header["Idempotency-Key"] = nil
	}
	answer, err := a.http.Do(r)
	if err == nil {
		defer answer.Body.Close()
		doc, err = a.read(answer, method, name, update.Version)
	}
	if ctx.Err() != nil && err != nil {
		return doc, true, context.Cause(ctx)
	}
	return doc, !isDial(err), explain(err)
}

// read reads an answer.
func (a *API) read(answer *http.Response, method string, name twin.Name, version uint32) (doc twin.Document, err error) {
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return doc, a.refusal(answer, method, version)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err != nil {
		return doc, err
	}
	if len(body) > maxAnswer {
		return doc, nonsense(answer, fmt.Sprintf("more than %d bytes", maxAnswer))
	}
	if doc, err = twin.ParseDocument(body); err != nil {
		return twin.Document{}, nonsense(answer, "no document, "+excerpt(err.Error()))
	}
	// A cache or proxy may have mixed something up. Where these keys have another type, ParseDocument doesn't mind, so neither do we.
	var of struct {
		Twin string `json:"twin_id"`
		Name string `json:"document_name"`
	}
	if json.Unmarshal(body, &of) == nil &&
		(of.Twin != "" && !strings.EqualFold(of.Twin, string(a.device)) || of.Name != "" && of.Name != string(name)) {
		return twin.Document{}, nonsense(answer, "another document than was asked for")
	}
	return doc, nil
}

// refusal makes an error of an answer that isn't success.
func (a *API) refusal(answer *http.Response, method string, version uint32) error {
	// Of what is longer or ends early, the status says enough.
	body, _ := io.ReadAll(io.LimitReader(answer.Body, maxRefusal))
	var said struct {
		Type    string `json:"type"`
		Message string `json:"message"`
		Details []struct {
			Argument string `json:"argument_name"`
			Help     string `json:"help_message"`
		} `json:"details"`
	}
	_ = json.Unmarshal(body, &said)
	text := excerpt(said.Message)
	if len(said.Details) > 0 && said.Details[0].Argument != "" { // a refused token's details have other keys
		text += " (" + excerpt(said.Details[0].Argument+": "+said.Details[0].Help) + ")"
	}
	trouble := func(why, format string, args ...any) error {
		e := &HubError{Why: why, Text: fmt.Sprintf(format, args...), Wait: retryAfter(answer.Header.Get("Retry-After"))}
		if text != "" {
			e.Text += fmt.Sprintf(". It says: %q", text)
		}
		return e
	}
	switch status := answer.StatusCode; {
	case status < 400:
		return nonsense(answer, fmt.Sprintf("a redirect to %q, where the token must not follow", excerpt(answer.Header.Get("Location"))))
	case status == http.StatusUnauthorized:
		return trouble(WhyDenied, "the hub doesn't know the app's token (401): %s", aToken)
	case status == http.StatusForbidden:
		return trouble(WhyDenied, "the app's token may not do this (403): it needs to read and write the documents of device %s; %s", a.device, aToken)
	case status == http.StatusNotFound && said.Type != "not_found":
		return nonsense(answer, "no answer of a hub's API")
	case status == http.StatusNotFound && method == http.MethodGet:
		return twin.ErrDocumentNotFound
	case status == http.StatusNotFound:
		return trouble(WhyRefused, "the hub has no device %s (404): check --device-id", a.device)
	case status == http.StatusBadRequest && version != 0 && len(said.Details) > 0 && said.Details[0].Argument == "version":
		return &twin.VersionError{Expected: version}
	case status == http.StatusTooManyRequests:
		return trouble(WhyRefused, "the hub is asked too often (429): a greater --poll asks less")
	case status < 500:
		return trouble(WhyRefused, "the hub refuses the app's request (%d)", status)
	}
	return trouble(WhyUnreachable, "the hub, or a proxy before it, is in trouble (%d): look at its log", answer.StatusCode)
}

// What can be wrong with the hub: the words of [Trouble].
const (
	WhyUnreachable = "unreachable" // it, or what stands before it, doesn't do its work
	WhySlow        = "slow"        // no whole answer within 5 s
	WhyDenied      = "denied"      // the token doesn't open it
	WhyRefused     = "refused"     // it doesn't want to
	WhyNonsense    = "nonsense"    // its answers make no sense: it may not be a hub at all
)

// A HubError says why the hub didn't do what it was asked.
type HubError struct {
	Why       string        // one of the words above
	Text      string        // in English, with what to do
	Wait      time.Duration // for which the hub asks to be left alone, 60 s at most
	MaybeDone bool          // of a put: whether it was done isn't known

	cause error
}

func (e *HubError) Error() string { return e.Text }

// Unwrap returns what the network said, if it did.
func (e *HubError) Unwrap() error { return e.cause }

func nonsense(answer *http.Response, what string) error {
	return &HubError{Why: WhyNonsense, Text: fmt.Sprintf("the hub's answer makes no sense: %s (%d, %q); check --api, it ends like %s",
		what, answer.StatusCode, excerpt(answer.Header.Get("Content-Type")), onlyRegion)}
}

// explain makes a [HubError] of what went wrong on the way.
func explain(err error) error {
	switch e := err.(type) {
	case nil, *HubError, *twin.VersionError:
		return err
	case *url.Error:
		err = e.Err // it repeats the address
	}
	if errors.Is(err, twin.ErrDocumentNotFound) {
		return err
	}
	if isTimeout(err) {
		return &HubError{Why: WhySlow, Text: fmt.Sprintf("no whole answer of the hub in %v: look at the network, and at the hub's computer", requestTimeout), cause: err}
	}
	if isUntrusted(err) {
		return &HubError{Why: WhyUnreachable, Text: fmt.Sprintf("the hub's certificate isn't trusted (%s): name the file of the authority that signed it with --ca", excerpt(err.Error())), cause: err}
	}
	said := err.Error()
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op != "dial" {
		said = op.Op + ": " + op.Err.Error() // without our port, which is another one each time
	}
	return &HubError{Why: WhyUnreachable, Text: fmt.Sprintf("the hub can't be reached (%s): look whether it runs, and check --api", excerpt(said)), cause: err}
}

// isDial tells whether there was no connection at all.
func isDial(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return isUntrusted(err) || ok && op.Op == "dial"
}
