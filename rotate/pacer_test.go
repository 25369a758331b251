package rotate

import (
	"testing"
	"time"

	"strongroom/store"
)

// machine is a model of a machine that serves requests and a sweep: the p99 of
// requests grows with the share of the last second in which the sweep worked and
// with how long it held the write lock at once, as measured ones do.
type machine struct {
	clock   time.Time
	pacer   *Pacer
	rate    float64       // of requests
	alone   time.Duration // p99 without a sweep
	perItem time.Duration // that the sweep takes for a value
	fsync   time.Duration

	worked []spell // lately
	moved  uint64
}

type spell struct {
	from, to time.Time
	held     time.Duration
}

func newMachine(rate float64) *machine {
	m := &machine{clock: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), rate: rate, alone: 4 * time.Millisecond, perItem: 4 * time.Microsecond, fsync: time.Millisecond}
	m.pacer = NewPacer(m.look)
	m.pacer.workers = 2
	return m
}

// look is what requests met over the last second.
func (m *machine) look() store.Load {
	from := m.clock.Add(-time.Second)
	busy, held := time.Duration(0), time.Duration(0)
	for _, w := range m.worked {
		if w.to.After(from) {
			busy += w.to.Sub(later(w.from, from))
			held = max(held, w.held)
		}
	}
	if m.rate == 0 {
		return store.Load{}
	}
	return store.Load{Rate: m.rate, InFlight: 2, P99: m.p99(busy.Seconds(), held)}
}

// p99 is that of a queue whose server is also busy with the sweep: it grows
// without bounds as both together use the machine up.
func (m *machine) p99(duty float64, held time.Duration) time.Duration {
	used := min(m.rate/20_000+duty*0.6, 0.99)
	alone := m.rate / 20_000
	return time.Duration(float64(m.alone)*(1-alone)/(1-used)) + held/2
}

// run lets time pass, and returns the p99 of each second.
func (m *machine) run(d time.Duration) (p99s []time.Duration) {
	from, second := m.clock, m.clock
	for m.clock.Sub(from) < d {
		wait, budget := m.pacer.Turn(m.clock)
		if wait == 0 {
			m.work(budget)
		} else {
			m.clock = m.clock.Add(min(wait, 50*time.Millisecond))
		}
		if m.clock.Sub(second) >= time.Second {
			second = m.clock
			p99s = append(p99s, m.look().P99)
			m.worked = m.worked[max(0, len(m.worked)-2000):]
		}
	}
	return p99s
}

func (m *machine) work(b store.Budget) {
	took := m.fsync + time.Duration(b.Entries)*m.perItem/time.Duration(b.Workers)
	held := m.fsync + time.Duration(b.Entries)*m.perItem/4
	m.worked = append(m.worked, spell{m.clock, m.clock.Add(took), held})
	m.clock = m.clock.Add(took)
	m.moved += uint64(b.Entries)
	m.pacer.Did(m.clock, store.SweepDelta{Took: took, Held: held, Rewrapped: uint64(b.Entries)})
}

func TestPacerTakesAnIdleMachine(t *testing.T) {
	m := newMachine(0)
	m.run(time.Minute)
	if most := uint64(time.Minute / (m.fsync + bigChunk*m.perItem/2) * bigChunk); m.moved < most*95/100 {
		t.Fatalf("%d values were moved on an idle machine that could move %d", m.moved, most)
	}
	if m.pacer.Rests() != 0 {
		t.Fatalf("it rested %d times for nobody", m.pacer.Rests())
	}
}

func TestPacerYieldsToRequests(t *testing.T) {
	for _, rate := range []float64{200, 5_000, 10_000, 15_000} {
		m := newMachine(rate)
		m.run(time.Minute)
		m.moved = 0
		p99s := m.run(10 * time.Minute)
		over := 0
		for _, p := range p99s {
			if p > 2*m.alone {
				over++
			}
		}
		if over*20 > len(p99s) {
			t.Errorf("%.0f requests a second: their p99 was more than doubled in %d of %d seconds", rate, over, len(p99s))
		}
		if perSecond := m.moved / 600; perSecond < 1000 {
			t.Errorf("%.0f requests a second: the sweep moved only %d values a second", rate, perSecond)
		}
	}
}

// Requests that come while the sweep takes the whole machine are noticed soon,
// and so is that they are gone.
func TestPacerFollowsTheLoad(t *testing.T) {
	m := newMachine(0)
	m.run(10 * time.Second)
	m.rate = 10_000
	m.run(idleEpoch + 100*time.Millisecond)
	if wait, _ := m.pacer.Turn(m.clock); wait == 0 {
		t.Fatal("it did not rest when requests came")
	}
	m.run(2 * time.Minute)
	m.rate = 0
	m.run(paceEpoch + time.Second)
	m.moved = 0
	m.run(10 * time.Second)
	if m.moved < 10*100_000 {
		t.Fatalf("%d values in 10 s after requests had gone", m.moved)
	}
}

// When requests grow slow by themselves, the sweep learns that it is not the
// cause, and never stands still.
func TestPacerLearnsAnotherBaseline(t *testing.T) {
	m := newMachine(8_000)
	m.run(2 * time.Minute)
	m.alone *= 10
	m.run(3 * time.Minute)
	m.moved = 0
	m.run(time.Minute)
	if m.moved < 60*1000 {
		t.Fatalf("%d values in a minute on a machine that is slow by itself", m.moved)
	}
	m.alone /= 10
	m.run(10 * time.Minute)
	over := 0
	p99s := m.run(5 * time.Minute)
	for _, p := range p99s {
		if p > 2*m.alone {
			over++
		}
	}
	if over*20 > len(p99s) {
		t.Fatalf("after it was fast again, the p99 was more than doubled in %d of %d seconds", over, len(p99s))
	}
}

// The write lock is held for about as long as it may be under load, whatever a
// value costs.
func TestPacerSizesChunks(t *testing.T) {
	for _, perItem := range []time.Duration{time.Microsecond, 20 * time.Microsecond, 400 * time.Microsecond} {
		m := newMachine(5_000)
		m.perItem = perItem
		m.run(10 * time.Second) // the first chunks are a guess
		m.worked = nil
		m.run(2 * time.Minute)
		longest := time.Duration(0)
		for _, w := range m.worked {
			longest = max(longest, w.held)
		}
		if longest > 2*lockBusy {
			t.Errorf("a value takes %s: the lock was held for %s", perItem, longest)
		}
	}
}
