package graphite

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// interval is how many seconds lie between two points of a series, as the ingest wants to
// know. Twins are written at no fixed rate, and one second is the least there is, so no two points
// of different seconds are taken for one.
const interval = 1

// proxyOf finds the proxy for a request, as http.Transport.Proxy does; nil = there is none.
type proxyOf = func(*http.Request) (*url.URL, error)

// ingest is a target that speaks JSON over HTTP.
type ingest struct {
	url         string // without credentials
	credentials *url.Userinfo
	client      *http.Client
}

func newIngest(u *url.URL, dial dialer, proxy proxyOf) *ingest {
	plain := *u
	plain.User, plain.Fragment = nil, ""
	return &ingest{
		url:         plain.String(),
		credentials: u.User,
		client: &http.Client{
			Transport: &http.Transport{
				Proxy:       proxy,
				DialContext: dial,
				// Batches are a second apart at least, except after an outage. A connection kept
				// from one to the next may have been closed by the server meanwhile, which net/http
				// finds out by failing.
				DisableKeepAlives: true,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

func (i *ingest) encode(s series, value float64, unix int64) []byte {
	b, err := json.Marshal(struct {
		Name     string   `json:"name"`
		Interval int      `json:"interval"`
		Value    float64  `json:"value"`
		Tags     []string `json:"tags"`
		Time     int64    `json:"time"`
	}{s.name, interval, value, s.tags, unix})
	if err != nil {
		panic(err) // strings and finite numbers
	}
	return b
}

func (i *ingest) send(ctx context.Context, batch [][]byte) error {
	body := append(append([]byte{'['}, bytes.Join(batch, []byte{','})...), ']')
	status, err := i.ask(ctx, http.MethodPost, body)
	if err != nil {
		return err
	}
	return judge(status)
}

// reach asks for nothing in particular, so any answer will do.
func (i *ingest) reach(ctx context.Context) error {
	_, err := i.ask(ctx, http.MethodHead, nil)
	return err
}

// ask sends a request and returns the answer's status.
func (i *ingest) ask(ctx context.Context, method string, body []byte) (status int, err error) {
	r, err := http.NewRequestWithContext(ctx, method, i.url, bytes.NewReader(body))
	if err != nil {
		return 0, errors.New("making a request") // the error would repeat the URL
	}
	r.Header.Set("Content-Type", "application/json")
	if i.credentials != nil {
		token, _ := i.credentials.Password()
		r.SetBasicAuth(i.credentials.Username(), token)
	}
	answer, err := i.client.Do(r)
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // without the URL, whose path may hold a key
	}
	if err != nil {
		return 0, fmt.Errorf("sending: %w", err)
	}
	answer.Body.Close()
	return answer.StatusCode, nil
}

// judge makes an error of a status that is no success.
func judge(status int) error {
	err := fmt.Errorf("the server answers %d %s", status, http.StatusText(status))
	switch {
	case status >= 200 && status < 300:
		return nil
	case status == http.StatusBadRequest, status == http.StatusRequestEntityTooLarge, status == http.StatusUnprocessableEntity:
		return &refusedError{err}
	case status >= 300 && status < 400:
		return fmt.Errorf("%w: redirects are not followed, name the address that it leads to", err)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return fmt.Errorf("%w: check USER and TOKEN", err)
	}
	return err
}

// close has nothing to do: no connection outlives its request.
func (i *ingest) close() {}
