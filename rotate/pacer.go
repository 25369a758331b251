package rotate

import (
	"runtime"
	"sync"
	"time"

	"strongroom/store"
)

// What the Pacer goes by.
const (
	bigChunk   = 5000 // values in a transaction when nobody else wants the machine
	smallChunk = 32
	firstChunk = 256 // of a sweep that begins under load
	paceEpoch  = 2 * time.Second
	restEvery  = 30 * time.Second       // a quiet epoch is measured so often, at least
	restSpread = 4 * time.Minute        // and at most so seldom
	idleEpoch  = paceEpoch / 8          // how soon requests are noticed on an idle machine
	lockIdle   = 100 * time.Millisecond // in the write lock at once, when idle
	lockBusy   = 4 * time.Millisecond   // and under load
	quietRate  = 2.0                    // requests a second that count as none
	dutyLeast  = 1.0 / 64               // of the time a sweep works, whatever the load
	dutyStep   = 1.0 / 16
	headroom   = 1.6 // of the p99 at rest; twice is what is promised
)

// Pacer decides how much a sweep does at once and how long it rests then, so
// that requests come first and an idle machine is used. Under load it works for
// a share of the time, the duty, and adapts that once an epoch: up by a step
// while the p99 of requests stays near what it is while the sweep rests, down by
// half when it does not. Now and then it rests for a whole epoch, to learn what
// the p99 is without it. A Pacer calls no clock and sleeps never: it is told the
// time and answers with one.
type Pacer struct {
	mu      sync.Mutex
	load    func() store.Load
	workers int

	busy      bool
	duty      float64       // of the time, in (0, 1]
	chunk     int           // values
	baseline  time.Duration // p99 of requests while the sweep rests
	learning  bool          // this epoch is a rest
	epochEnds time.Time
	restFrom  time.Time // when the next rest begins
	restEvery time.Duration
	restUntil time.Time
	rests     uint64
}

// NewPacer makes a Pacer that asks load how requests fare.
func NewPacer(load func() store.Load) *Pacer {
	return &Pacer{load: load, workers: runtime.GOMAXPROCS(0), duty: 1, chunk: bigChunk, restEvery: restEvery}
}

// Turn says how long to wait at a moment; when that is 0, how much to do.
func (p *Pacer) Turn(now time.Time) (time.Duration, store.Budget) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.observe(now)
	if wait := p.restUntil.Sub(now); wait > 0 {
		return wait, store.Budget{}
	}
	if !p.busy {
		return 0, store.Budget{Entries: bigChunk, Lock: lockIdle, Workers: p.workers}
	}
	return 0, store.Budget{Entries: p.chunk, Lock: lockBusy, Workers: 1}
}

// Did is told what a step did that ended at a moment, and lets the sweep rest
// for what the duty leaves.
func (p *Pacer) Did(now time.Time, d store.SweepDelta) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.busy {
		return
	}
	p.fit(d)
	rest := time.Duration(float64(d.Took) * (1 - p.duty) / p.duty)
	if rest = min(rest, paceEpoch); rest > 0 {
		p.rests++
		p.restUntil = later(p.restUntil, now.Add(rest))
	}
}

// fit sizes the chunk so that the write lock is held for about as long as it may.
func (p *Pacer) fit(d store.SweepDelta) {
	if d.Held <= 0 {
		return
	}
	fits := float64(p.chunk) * float64(lockBusy) / float64(d.Held)
	p.chunk = int(min(max(fits, float64(p.chunk)/2, smallChunk), float64(p.chunk)*2, bigChunk))
}

// observe ends an epoch, when its time has come.
func (p *Pacer) observe(now time.Time) {
	if now.Before(p.epochEnds) {
		return
	}
	load := p.load()
	p.epochEnds = now.Add(paceEpoch)
	if load.Rate < quietRate && load.InFlight <= 0 {
		p.becomeIdle(now)
		return
	}
	switch {
	case !p.busy:
		p.busy, p.chunk, p.duty, p.baseline = true, firstChunk, dutyStep, 0
		p.restEvery = restEvery
		p.learn(now)
	case p.learning:
		p.learned(now, load)
	default:
		p.adapt(now, load)
	}
}

func (p *Pacer) becomeIdle(now time.Time) {
	p.epochEnds = now.Add(idleEpoch)
	p.busy, p.learning, p.duty, p.chunk = false, false, 1, bigChunk
	p.restUntil = time.Time{}
}

// learn rests for an epoch.
func (p *Pacer) learn(now time.Time) {
	p.learning = true
	p.rests++
	p.restUntil = p.epochEnds
	p.restFrom = now.Add(paceEpoch + p.restEvery)
}

func (p *Pacer) learned(now time.Time, load store.Load) {
	p.learning = false
	if p.baseline == 0 || load.P99 < p.baseline {
		p.baseline = load.P99
		return
	}
	p.baseline += (load.P99 - p.baseline) / 2
}

// adapt moves the duty after an epoch of work.
func (p *Pacer) adapt(now time.Time, load store.Load) {
	if float64(load.P99) <= headroom*float64(p.baseline) {
		p.duty = min(p.duty+dutyStep, 1)
		p.restEvery = min(p.restEvery+paceEpoch, restSpread)
	} else {
		suspect := p.duty <= dutyLeast // not the sweep's doing, it seems
		p.duty = max(p.duty/2, dutyLeast)
		if suspect {
			p.restFrom = now
		}
	}
	if !now.Before(p.restFrom) {
		p.learn(now)
	}
}

// Rests returns how often the sweep rested for the sake of requests.
func (p *Pacer) Rests() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rests
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
