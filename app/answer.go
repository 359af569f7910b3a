package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
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

// refusalOf maps errors to answers.
func refusalOf(err error) refusal {
	if bad, ok := errors.AsType[*badRequest](err); ok {
		return refusal{http.StatusBadRequest, "bad_request", bad.text, 0}
	}
	if errors.Is(err, ErrTooManyWishes) || errors.Is(err, ErrEnding) {
		return refusal{http.StatusServiceUnavailable, "too_busy", err.Error(), 0}
	}
	if hub, ok := errors.AsType[*HubError](err); ok && (hub.Why == WhyDenied || hub.Why == WhyRefused) {
		return refusal{http.StatusBadGateway, "hub_refused", hub.Text, 0}
	}
	return refusal{http.StatusBadGateway, "hub_away", err.Error(), 0}
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

func refuse(w http.ResponseWriter, r refusal) { answer(w, r.status, r) }
