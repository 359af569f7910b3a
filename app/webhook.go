package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Limits of a request to a receiver.
const (
	noticeTimeout = 15 * time.Second // from the name's look-up to the last byte of the answer
	maxSaid       = 4 << 10          // bytes of an answer; the rest is left unread
)

// WebhookOptions say where notices are posted to.
type WebhookOptions struct {
	URL      string // a user and a password in it are sent as Basic
	Token    string // sent as Bearer; empty: none
	Insecure bool   // allow plain HTTP beyond this computer

	Transport http.RoundTripper // for tests; nil: the network
}

// A Webhook posts notices to a URL: the text as the body, the rest in headers that ntfy understands (see https://docs.ntfy.sh/publish/).
// Redirects aren't followed. It is safe for concurrent use.
type Webhook struct {
	url, token string
	client     *http.Client
}

// NewWebhook checks the options and connects to nothing. Its errors name the flag of the command app, and never the address: it may
// be all that keeps others from reading along.
func NewWebhook(o WebhookOptions) (*Webhook, error) {
	u, err := parseTarget("--notify-url", o.URL, o.Insecure)
	if err != nil {
		return nil, err
	}
	if !fitsHeader(o.Token) {
		return nil, errors.New("what is in --notify-token-file is no token: it is one line of letters, digits and signs")
	}
	if o.Token != "" && u.User != nil {
		return nil, errors.New("--notify-url has a user in it, and there is --notify-token-file: leave one of them out")
	}
	return &Webhook{url: u.String(), token: o.Token, client: newClient(o.Transport, nil)}, nil
}

// parseTarget checks the address of a receiver.
func parseTarget(flag, s string, insecure bool) (*url.URL, error) {
	u, err := parseURL(flag, s, "https://ntfy.sh/TOPIC", "read it", insecure)
	if err == nil {
		u.Fragment = ""
	}
	return u, err
}

// Name implements [Receiver].
func (w *Webhook) Name() string { return "url" }

// noticeTags are ntfy's names of the pictures beside a notice.
var noticeTags = map[Kind]string{
	KindRinging:     "rotating_light",
	KindRang:        "rotating_light",
	KindSilent:      "rotating_light",
	KindUnreachable: "electric_plug",
	KindHubAway:     "cloud",
	KindFault:       "warning",
	KindTest:        "house",
}

// Deliver implements [Receiver]: any answer 2xx is a success.
func (w *Webhook) Deliver(ctx context.Context, n Notice) (said string, err error) {
	ctx, cancel := context.WithTimeout(ctx, noticeTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, strings.NewReader(n.Text))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "text/plain; charset=utf-8")
	r.Header.Set("User-Agent", "twinpanel")
	r.Header.Set("Title", header(n.Title))
	r.Header.Set("Priority", priority(n))
	r.Header.Set("Tags", cmp.Or(noticeTags[n.Kind], "white_check_mark"))
	if n.Click != "" {
		r.Header.Set("Click", header(n.Click))
	}
	if w.token != "" {
		r.Header.Set("Authorization", "Bearer "+w.token)
	}
	return exchange(w.client, r, "--notify-url")
}

// priority is ntfy's word for how loud a notice is.
func priority(n Notice) string {
	if n.Urgent {
		return "urgent"
	}
	return "default"
}

// header makes a text fit for a header, as RFC 2047 has it. One that looks as if it were is not taken for it.
func header(s string) string {
	return mime.BEncoding.Encode("utf-8", strings.ReplaceAll(clean(s), "=?", "= ?"))
}

// exchange makes a request to an address that a flag gave. Its errors don't repeat the address.
func exchange(client *http.Client, r *http.Request, flag string) (said string, err error) {
	answer, err := client.Do(r)
	if err != nil {
		return "", explainTarget(err, flag)
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(answer.Body, maxSaid)) // the status is what counts
	said = answer.Status
	if text := strings.TrimSpace(string(body)); text != "" {
		said += ": " + excerpt(text)
	}
	status := answer.StatusCode
	if status/100 == 2 {
		return said, nil
	}
	e := &DeliveryError{Text: flag + " answers " + said, Wait: retryAfter(answer.Header.Get("Retry-After"))}
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		e.Text, e.Yours = e.Text+"; check the token, or the user and password", true
	case status/100 == 3:
		e.Text, e.Yours = fmt.Sprintf("%s; it redirects to %q: give the address itself", e.Text, excerpt(answer.Header.Get("Location"))), true
	case status/100 == 4 && status != http.StatusRequestTimeout && status != http.StatusTooManyRequests:
		e.Text, e.Yours = e.Text+"; check the address", true
	}
	return said, e
}

// explainTarget says why there was no answer.
func explainTarget(err error, flag string) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // it repeats the address
	}
	if isTimeout(err) {
		return &DeliveryError{Text: fmt.Sprintf("no whole answer of %s in %v", flag, noticeTimeout)}
	}
	if isUntrusted(err) {
		return &DeliveryError{Text: fmt.Sprintf("the certificate of %s isn't trusted (%s)", flag, excerpt(err.Error())), Yours: true}
	}
	return &DeliveryError{Text: fmt.Sprintf("%s can't be reached (%s)", flag, excerpt(err.Error()))}
}
