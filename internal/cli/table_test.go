package cli

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestTable(t *testing.T) {
	got := Table([][]string{
		{"", "hub", "", "verdict"},
		{"gets", "1000", "±5%", "ahead"},
		{"  p99", "1.5 µs", "", ""},
	}, 1, 2)
	const want = `          hub       verdict
gets     1000  ±5%  ahead
  p99  1.5 µs
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := Table(nil, 0, 0); got != "" {
		t.Errorf("without rows: got %q", got)
	}
}

func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if err := Pause(t.Context(), time.Hour); err != nil || time.Since(start) != time.Hour {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		ctx, stop := context.WithCancelCause(t.Context())
		why := errors.New("signal")
		time.AfterFunc(time.Minute, func() { stop(why) })
		start = time.Now()
		if err := Pause(ctx, time.Hour); err != why || time.Since(start) != time.Minute {
			t.Errorf("got %v after %v, want %v after a minute", err, time.Since(start), why)
		}
	})
}
