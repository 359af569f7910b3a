package panels

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestHistogramWithoutTimes(t *testing.T) {
	var h Histogram
	if n, q := h.Count(), h.Quantile(0.99); n != 0 || q != 0 {
		t.Errorf("got %d times and a quantile of %v, want none", n, q)
	}
}

func TestHistogramTakesEveryTime(t *testing.T) {
	for _, d := range []time.Duration{math.MinInt64, -1, 0, 1, 127, 128, 129, 255, 256, 257, 1e9, math.MaxInt64 - 1, math.MaxInt64} {
		var h Histogram
		h.Add(d)
		if got := h.Quantile(1); got != max(d, 0) {
			t.Errorf("of %d alone the longest is %d", d, got)
		}
		b := bucketOf(max(d, 0))
		if top(b) < d || b > 0 && top(b-1) >= max(d, 0) {
			t.Errorf("%d is in bucket %d, which ends at %d; the one before ends at %d", d, b, top(b), top(max(b-1, 0)))
		}
	}
}

// A quantile is never below the true one, and at most 1/128 above.
func TestHistogramQuantiles(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var h Histogram
	var all []time.Duration
	for range 10_000 {
		d := time.Duration(math.Exp(random.Float64() * 25))
		all = append(all, d)
		h.Add(d)
	}
	slices.Sort(all)
	for _, q := range []float64{0.0001, 0.01, 0.5, 0.9, 0.99, 0.999, 1} {
		want := all[int(math.Ceil(q*float64(len(all))))-1]
		if got := h.Quantile(q); got < want || got > want+want/128 {
			t.Errorf("quantile %v: got %d, want %d or up to 1/128 more", q, got, want)
		}
	}
	if h.Count() != 10_000 {
		t.Errorf("got a count of %d", h.Count())
	}
}
