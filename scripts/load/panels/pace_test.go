package panels

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A server that stalls for a second is charged with each request that was due meanwhile, and not with the first one only.
func TestPacedLatencyCountsFromTheDueTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		p := pace{start: start, offset: 50 * time.Millisecond, interval: 100 * time.Millisecond, end: start.Add(2 * time.Second)}
		n := 0
		ask := func() error {
			if n++; n == 1 {
				time.Sleep(time.Second)
			}
			return nil
		}
		var h Histogram
		var late atomic.Int64
		err := p.keep(t.Context(), ask, func() error { return nil }, &h, &late)
		if err != nil || h.Count() != 20 || late.Load() != 0 {
			t.Fatalf("got %d requests, %d late, %v; want 20", h.Count(), late.Load(), err)
		}
		// Due at 50, 150 … 950 ms, and answered at 1050: 1000, 900 … 100 ms; the ten after that at once.
		for q, want := range map[float64]time.Duration{0.5: 0, 0.55: 100 * time.Millisecond, 0.75: 500 * time.Millisecond, 1: time.Second} {
			if got := h.Quantile(q); got < want || got > want+want/100 {
				t.Errorf("quantile %v: got %v, want %v", q, got, want)
			}
		}
		if at := time.Since(start); at != 1950*time.Millisecond {
			t.Errorf("the last request came at %v, want 1.95s", at)
		}
	})
}

func TestSaturatedLatencyCountsFromTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pace{start: time.Now(), end: time.Now().Add(time.Second)}
		var h Histogram
		var late atomic.Int64
		err := p.keep(t.Context(), func() error { time.Sleep(300 * time.Millisecond); return nil }, func() error { return nil }, &h, &late)
		if err != nil || h.Count() != 4 || late.Load() != 1 { // the fourth is answered after the end
			t.Fatalf("got %d requests, %d late, %v; want 4 and 1", h.Count(), late.Load(), err)
		}
		if got := h.Quantile(1); got != 300*time.Millisecond {
			t.Errorf("got %v, want 300ms", got)
		}
	})
}

func TestAPaceEndsWithItsRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		p := pace{start: time.Now(), interval: time.Second, end: time.Now().Add(time.Hour)}
		err := p.keep(t.Context(), func() error { return broken }, func() error { return nil }, new(Histogram), new(atomic.Int64))
		if !errors.Is(err, broken) {
			t.Errorf("got %v, want the request's error", err)
		}
	})
}
