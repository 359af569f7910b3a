package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/twinpanel/twinpanel/internal/cli"
)

// lookPause is the pause between two looks at the document current: short against what is
// measured, and long enough to leave hub and panel most of the processor.
const lookPause = time.Millisecond

// tap is a tap on the phone, to arm or to disarm.
func (s *stage) tap(ctx context.Context, armed bool) error {
	_, err := s.request(ctx, http.MethodPut, s.twin+"/documents/desired", fmt.Sprintf(`{"data":{"alarm_armed":%t}}`, armed))
	return err
}

func (s *stage) moveDoor(ctx context.Context, open bool) error {
	_, err := s.request(ctx, http.MethodPut, s.house+"/api/house/door", fmt.Sprintf(`{"open":%t}`, open))
	return err
}

// forgetCurrent deletes the panel's document, so that the next one is news.
func (s *stage) forgetCurrent(ctx context.Context) error {
	_, err := s.request(ctx, http.MethodDelete, s.twin+"/documents/current", "")
	if errors.Is(err, errNotFound) {
		return nil
	}
	return err
}

// current is what the panel tells.
type current struct {
	Armed    bool `json:"alarm_armed"`
	DoorOpen bool `json:"door_open"`
}

// awaitCurrent looks at the document current until it is as wanted. It returns when that was seen, and
// how long before that it was looked at last.
func (s *stage) awaitCurrent(ctx context.Context, what string, want func(current) bool) (seen time.Time, gap time.Duration, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, stepTimeout, fmt.Errorf("current did not show within %v: %s", stepTimeout, what))
	defer cancel()
	last := time.Now()
	for {
		var body []byte
		body, err = s.request(ctx, http.MethodGet, s.twin+"/documents/current", "")
		seen = time.Now()
		if err != nil && !errors.Is(err, errNotFound) {
			return seen, 0, err
		}
		if err == nil {
			var doc struct{ Data current }
			if err := json.Unmarshal(body, &doc); err != nil {
				return seen, 0, fmt.Errorf("reading current: %w", err)
			}
			if want(doc.Data) {
				return seen, seen.Sub(last), nil
			}
		}
		last = seen
		if err := cli.Pause(ctx, lookPause); err != nil {
			return seen, 0, err
		}
	}
}

var errNotFound = errors.New("not found")

// request sends a request to hub or house and returns the answer, which has to be a good one.
func (s *stage) request(ctx context.Context, method, url, body string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("X-Auth-Token", s.token)
	answer, err := s.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s %s: %w", method, url, err)
	case answer.StatusCode == http.StatusNotFound:
		return nil, fmt.Errorf("%s %s: %w", method, url, errNotFound)
	case answer.StatusCode >= 300:
		return nil, fmt.Errorf("%s %s: %s %s", method, url, answer.Status, b)
	}
	return b, nil
}
