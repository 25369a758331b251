package bench

import (
	"math/bits"
	"time"
)

// Sub-buckets of each power of two: a percentile is off by less than 1/32.
const (
	subBits = 5
	sub     = 1 << subBits
)

// histogram counts durations in buckets whose width grows with the value, so
// that recording one costs a few nanoseconds and no memory. Values below 32 ns
// have a bucket each; every power of two above is cut into 32.
type histogram struct {
	counts [64 * sub]uint64
	n      uint64
	max    time.Duration
}

func bucketOf(d time.Duration) int {
	v := uint64(max(d, 0))
	if v < sub {
		return int(v)
	}
	shift := bits.Len64(v) - 1 - subBits
	return (shift+1)<<subBits + int(v>>shift) - sub
}

// upper returns the largest value of a bucket.
func upper(bucket int) time.Duration {
	if bucket < sub {
		return time.Duration(bucket)
	}
	shift := bucket>>subBits - 1
	return time.Duration((uint64(bucket&(sub-1))+sub+1)<<shift - 1)
}

func (h *histogram) record(d time.Duration) {
	h.counts[bucketOf(d)]++
	h.n++
	h.max = max(h.max, d)
}

func (h *histogram) merge(o *histogram) {
	for i, c := range o.counts {
		h.counts[i] += c
	}
	h.n += o.n
	h.max = max(h.max, o.max)
}

// quantile returns the value below which the share q of all lies.
func (h *histogram) quantile(q float64) time.Duration {
	rank := uint64(q * float64(h.n))
	seen := uint64(0)
	for i, c := range h.counts {
		if seen += c; c > 0 && seen > rank {
			return min(upper(i), h.max)
		}
	}
	return h.max
}
