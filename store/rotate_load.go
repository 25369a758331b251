package store

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// foreground counts what the requests of clients take, so that work in the
// background can yield to them. It costs an operation three atomic additions.
type foreground struct {
	inFlight atomic.Int64
	seconds  [loadSeconds]loadSecond
}

// loadSeconds is for how many seconds counts are kept: the present one, the
// two before, and one that nobody reads while it is cleared.
const loadSeconds = 4

// loadBuckets are the classes of durations: four for each doubling of a
// microsecond, up to about a minute.
const loadBuckets = 4 * 26

// loadSecond is the operations that ended within one second.
type loadSecond struct {
	unix    atomic.Int64 // which second; another one is cleared before it is used
	ended   atomic.Int64
	buckets [loadBuckets]atomic.Uint32
}

func (f *foreground) begin() { f.inFlight.Add(1) }

// end notes an operation that took d. Where a second turns, a few operations
// can be lost between those who clear it.
func (f *foreground) end(now time.Time, d time.Duration) {
	f.inFlight.Add(-1)
	unix := now.Unix()
	s := &f.seconds[uint64(unix)%loadSeconds]
	if old := s.unix.Load(); old != unix && s.unix.CompareAndSwap(old, unix) {
		s.ended.Store(0)
		for i := range s.buckets {
			s.buckets[i].Store(0)
		}
	}
	s.ended.Add(1)
	s.buckets[loadBucket(d)].Add(1)
}

// loadBucket returns the class of a duration.
func loadBucket(d time.Duration) int {
	n := uint64(max(d.Microseconds(), 4))
	log := bits.Len64(n) - 1 // n is between 2^log and 2^(log+1)
	return min(4*(log-2)+int(n>>(log-2))-4, loadBuckets-1)
}

// loadBound returns the largest duration of a class.
func loadBound(bucket int) time.Duration {
	log, quarter := bucket/4, bucket%4
	return time.Duration(uint64(quarter+5)<<log) * time.Microsecond
}

// read sums the last whole second and the present one up to now.
func (f *foreground) read(now time.Time) Load {
	load := Load{InFlight: f.inFlight.Load()}
	var buckets [loadBuckets]uint64
	total := uint64(0)
	unix := now.Unix()
	for _, second := range [...]int64{unix - 1, unix} {
		s := &f.seconds[uint64(second)%loadSeconds]
		if s.unix.Load() != second {
			continue
		}
		for i := range s.buckets {
			n := uint64(s.buckets[i].Load())
			buckets[i] += n
			total += n
		}
	}
	span := time.Second + time.Duration(now.Nanosecond())
	load.Rate = float64(total) / span.Seconds()
	load.P99 = quantile(&buckets, total)
	return load
}

// quantile returns the duration that 99 of 100 stay below.
func quantile(buckets *[loadBuckets]uint64, total uint64) time.Duration {
	if total == 0 {
		return 0
	}
	rest := total / 100 // so many may be slower
	for i := loadBuckets - 1; i >= 0; i-- {
		if buckets[i] > rest {
			return loadBound(i)
		}
		rest -= buckets[i]
	}
	return 0
}

// Foreground tells how the requests of clients for records fare: those that
// ended in the last one to two seconds. Exports, imports and what the program
// does by itself do not count.
func (s *Store) Foreground() Load { return s.foreground.read(s.now()) }
