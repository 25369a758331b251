package limits

import (
	"context"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Class is how much a request matters when not all can be served.
type Class uint8

// The classes, the first to be served first.
const (
	Vital       Class = iota // health and operations: never refused
	Interactive              // authenticated, one record or a page
	Bulk                     // authenticated, many records
	Anonymous                // not authenticated
)

// share is the part of the limit that a class may fill: what remains is kept for
// the classes before it.
var share = [...]float64{Vital: math.Inf(1), Interactive: 1, Bulk: 0.7, Anonymous: 0.5}

const (
	shedEvery  = 100 * time.Millisecond // between two judgements
	shedLeast  = 16                     // samples that a judgement needs
	tolerance  = 3.0                    // times as long as in quiet is no overload
	growthLike = 4.0

	// Late ticks of a clock tell that goroutines wait for a processor, which what
	// happens outside of the handlers (handshakes, headers) shows in nothing else.
	// As CoDel does it (RFC 8289), it counts once it has lasted.
	lagEvery    = 10 * time.Millisecond
	lagTarget   = 5 * time.Millisecond
	lagInterval = 100 * time.Millisecond
	// strangers are let in all the same, so many a lagInterval: who asks for a
	// token is a stranger too.
	strangers = 10
)

// Shedder bounds the requests that are under way, by what their latency says: as
// long as a request takes about what it takes in quiet, more may be under way;
// when it takes longer, requests wait for one another, and fewer may. It is the
// gradient algorithm of adaptive concurrency limits; what is quiet is learnt for
// each route by itself (Pace). Refusing early keeps the latency of those that are
// admitted, and a refusal costs next to nothing.
type Shedder struct {
	now         func() time.Time
	least, most float64

	underWay atomic.Int64
	limit    atomic.Uint64 // float64 bits
	peak     atomic.Int64  // most under way since the last judgement
	shed     [Anonymous + 1]atomic.Uint64

	lateSince atomic.Int64 // unix nanoseconds; 0: not late
	pressed   atomic.Bool
	interval  atomic.Int64 // the lagInterval that strangers are counted in
	came      atomic.Int64

	mu      sync.Mutex
	samples int
	sum     float64 // of ratios to the quiet latency
	judged  int64
}

// Pace is what a request of one route takes in quiet. Its zero value is ready.
type Pace struct {
	quiet  atomic.Int64 // nanoseconds
	raised atomic.Int64 // when it was last raised
}

// NewShedder returns a shedder. It never goes below 256 requests a processor:
// writes that wait for one commit together do no harm.
func NewShedder(now func() time.Time) *Shedder {
	s := &Shedder{now: now, least: 256 * float64(runtime.GOMAXPROCS(0)), most: 8192}
	s.setLimit(max(1024, s.least))
	return s
}

// Watch feeds the shedder with the lateness of a clock until the context ends.
func (s *Shedder) Watch(ctx context.Context) {
	tick := time.NewTicker(lagEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case due := <-tick.C:
			s.Lag(time.Since(due))
		}
	}
}

// Lag notes how late a tick came.
func (s *Shedder) Lag(late time.Duration) {
	now := s.now().UnixNano()
	since := s.lateSince.Load()
	switch {
	case late < lagTarget:
		s.lateSince.Store(0)
		s.pressed.Store(false)
	case since == 0:
		s.lateSince.Store(now)
	case now-since >= int64(lagInterval):
		s.pressed.Store(true)
	}
}

// Stranger reports whether somebody who is not authenticated may come in. It
// costs some nanoseconds: it comes first of all.
func (s *Shedder) Stranger() bool {
	if !s.pressed.Load() && float64(s.underWay.Load()) < s.Limit()*share[Anonymous] {
		return true
	}
	interval := s.now().UnixNano() / int64(lagInterval)
	if old := s.interval.Load(); old != interval && s.interval.CompareAndSwap(old, interval) {
		s.came.Store(0)
	}
	if s.came.Add(1) <= strangers {
		return true
	}
	s.shed[Anonymous].Add(1)
	return false
}

func (s *Shedder) setLimit(l float64) { s.limit.Store(math.Float64bits(l)) }

// Limit is how many requests may be under way.
func (s *Shedder) Limit() float64 { return math.Float64frombits(s.limit.Load()) }

// UnderWay is how many are.
func (s *Shedder) UnderWay() int64 { return s.underWay.Load() }

// Shed returns how many requests of a class were refused.
func (s *Shedder) Shed(c Class) uint64 { return s.shed[c].Load() }

// Enter admits a request, or refuses it. What is admitted leaves by Leave.
func (s *Shedder) Enter(c Class) bool {
	n := s.underWay.Add(1)
	if c != Vital && float64(n) > s.Limit()*share[c] {
		s.underWay.Add(-1)
		s.shed[c].Add(1)
		return false
	}
	if n > s.peak.Load() {
		s.peak.Store(n)
	}
	return true
}

// Move changes the class of an admitted request once its caller is known. When
// it is refused it has left.
func (s *Shedder) Move(to Class) bool {
	if float64(s.underWay.Load()) <= s.Limit()*share[to] {
		return true
	}
	s.underWay.Add(-1)
	s.shed[to].Add(1)
	return false
}

// Leave ends a request that was admitted. Only what took a time that depends on
// the server alone is measured: a nil pace is not.
func (s *Shedder) Leave(p *Pace, took time.Duration) {
	s.underWay.Add(-1)
	if p == nil || took <= 0 {
		return
	}
	now := s.now().UnixNano()
	ratio := min(100, float64(took)/float64(p.learn(int64(took), now)))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.samples++
	s.sum += ratio
	if s.samples >= shedLeast && now-s.judged >= int64(shedEvery) {
		s.judge(s.sum / float64(s.samples))
		s.samples, s.sum, s.judged = 0, 0, now
	}
}

// judge moves the limit by the mean ratio of latencies to those of quiet.
func (s *Shedder) judge(ratio float64) {
	limit := s.Limit()
	peak := float64(s.peak.Swap(s.underWay.Load()))
	gradient := max(0.5, min(1, tolerance/ratio))
	next := limit * gradient
	if gradient == 1 {
		if peak < limit/2 {
			return // not asked for: nothing was learnt of a higher limit
		}
		next += growthLike + math.Sqrt(limit)
	}
	s.setLimit(max(s.least, min(s.most, 0.5*limit+0.5*next)))
}

// learn takes a latency into what is quiet and returns that: at once when it is
// shorter, and slowly, over minutes, when it is longer.
func (p *Pace) learn(took, now int64) int64 {
	quiet := p.quiet.Load()
	switch {
	case quiet == 0:
		p.quiet.CompareAndSwap(0, took)
		return took
	case took < quiet:
		quiet -= (quiet - took + 3) / 4
		p.quiet.Store(quiet)
	default:
		raised := p.raised.Load()
		if now-raised >= int64(shedEvery) && p.raised.CompareAndSwap(raised, now) {
			p.quiet.Store(quiet + (took-quiet)/1024)
		}
	}
	return quiet
}
