package panels

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// Buckets of a histogram: exact below 2^subBits nanoseconds, then 2^subBits of the same width for each power of two.
const (
	subBits = 7 // a quantile is at most 1/128 above what was measured
	buckets = (64 - subBits) << subBits
)

// A Histogram counts times, in buckets whose width grows with the time. The zero value is empty. It is safe for
// concurrent use.
type Histogram struct {
	counts [buckets]atomic.Int64
	max    atomic.Int64
}

// Add counts a time; one below zero counts as zero.
func (h *Histogram) Add(d time.Duration) {
	d = max(d, 0)
	h.counts[bucketOf(d)].Add(1)
	for {
		most := h.max.Load()
		if int64(d) <= most || h.max.CompareAndSwap(most, int64(d)) {
			return
		}
	}
}

func bucketOf(d time.Duration) int {
	shift := max(bits.Len64(uint64(d))-subBits-1, 0)
	return shift<<subBits + int(d>>shift)
}

// top is the longest time in a bucket.
func top(bucket int) time.Duration {
	if bucket < 2<<subBits {
		return time.Duration(bucket)
	}
	shift := bucket>>subBits - 1
	sub := int64(bucket - shift<<subBits)
	return time.Duration((sub+1)<<shift - 1)
}

// Count is how many times were counted.
func (h *Histogram) Count() (n int64) {
	for i := range h.counts {
		n += h.counts[i].Load()
	}
	return n
}

// Quantile is a time that at least this part of those counted doesn't exceed, by nearest rank; 0 < q ≤ 1, and 1 is the
// longest. It is 0 if none was counted.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := int64(math.Ceil(q * float64(h.Count())))
	longest := time.Duration(h.max.Load())
	for i := range h.counts {
		if rank -= h.counts[i].Load(); rank <= 0 {
			return min(top(i), longest)
		}
	}
	return longest
}
