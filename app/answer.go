package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"strconv"
)

// A refusal is an answer that says no.
type refusal struct {
	status int
	Code   string `json:"error"` // for the page, which has words of its own
	Text   string `json:"text"`  // for people, in English
	WaitS  int    `json:"wait_s,omitempty"`
}

// A badRequest is the fault of whoever asked.
type badRequest struct{ text string }

func (e *badRequest) Error() string { return e.text }

func badRequestf(format string, args ...any) error {
	return &badRequest{fmt.Sprintf(format, args...)}
}

// errSignedOut says that a phone has to sign in first.
var errSignedOut = errors.New("sign in first")

// refusalOf maps errors to answers.
func refusalOf(err error) refusal {
	said := func(status int, code string) refusal { return refusal{status, code, err.Error(), 0} }
	if wait, ok := errors.AsType[*TooManyError](err); ok {
		return refusal{http.StatusTooManyRequests, "too_many", err.Error(), int(math.Ceil(wait.Wait.Seconds()))}
	}
	if hub, ok := errors.AsType[*HubError](err); ok {
		if hub.Why == WhyDenied || hub.Why == WhyRefused {
			return said(http.StatusBadGateway, "hub_refused")
		}
		return said(http.StatusBadGateway, "hub_away")
	}
	_, bad := errors.AsType[*badRequest](err)
	switch {
	case bad, errors.Is(err, ErrBadName):
		return said(http.StatusBadRequest, "bad_request")
	case errors.Is(err, errSignedOut):
		return said(http.StatusUnauthorized, "signed_out")
	case errors.Is(err, ErrWrongPassphrase):
		return said(http.StatusUnauthorized, "wrong_passphrase")
	case errors.Is(err, ErrTooManyWishes), errors.Is(err, ErrEnding):
		return said(http.StatusServiceUnavailable, "too_busy")
	}
	return said(http.StatusInternalServerError, "failed") // the page shows the text
}

// readBody reads the JSON object of a request: of its type, without unknown keys, and nothing behind it. The error is a badRequest.
func readBody(w http.ResponseWriter, r *http.Request, v any) error {
	// A form of another site can't have this type.
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return badRequestf("the body needs Content-Type: application/json")
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, err = d.Token(); err == nil {
			err = errors.New("something follows the JSON object")
		} else if errors.Is(err, io.EOF) {
			return nil
		}
	}
	return badRequestf("the body is not understood: %v", err)
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // an error is that of a phone that is gone
}

func refuse(w http.ResponseWriter, r refusal) {
	if r.WaitS > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(r.WaitS))
	}
	answer(w, r.status, r)
}
