package limits

import (
	"container/heap"
	"testing"
	"time"
)

// station is a simulated server: so many processors share what is under way.
type station struct {
	clock   *clock
	shedder *Shedder
	pace    Pace
	busy    finishes
	free    []time.Time // when each processor is free
	worst   time.Duration
	served  map[Class]int
	refused map[Class]int
}

type finish struct {
	at   time.Time
	took time.Duration
}

type finishes []finish

func (f finishes) Len() int           { return len(f) }
func (f finishes) Less(i, j int) bool { return f[i].at.Before(f[j].at) }
func (f finishes) Swap(i, j int)      { f[i], f[j] = f[j], f[i] }
func (f *finishes) Push(x any)        { *f = append(*f, x.(finish)) }
func (f *finishes) Pop() any          { last := (*f)[len(*f)-1]; *f = (*f)[:len(*f)-1]; return last }

func newStation() *station {
	c := newClock()
	s := &station{clock: c, shedder: NewShedder(c.now), free: make([]time.Time, 2), served: map[Class]int{}, refused: map[Class]int{}}
	s.shedder.least = 16
	return s
}

// come lets a request arrive that needs so long of a processor.
func (s *station) come(class Class, work time.Duration) {
	now := s.clock.now()
	for len(s.busy) > 0 && !s.busy[0].at.After(now) {
		f := heap.Pop(&s.busy).(finish)
		s.shedder.Leave(&s.pace, f.took)
		s.worst = max(s.worst, f.took)
	}
	if !s.shedder.Enter(class) {
		s.refused[class]++
		return
	}
	s.served[class]++
	first := 0
	if s.free[1].Before(s.free[0]) {
		first = 1
	}
	start := now
	if s.free[first].After(now) {
		start = s.free[first]
	}
	s.free[first] = start.Add(work)
	heap.Push(&s.busy, finish{s.free[first], s.free[first].Sub(now)})
}

// run lets classes arrive in turn, one every so long.
func (s *station) run(d, every time.Duration, classes ...Class) {
	for i := 0; d > 0; i++ {
		s.come(classes[i%len(classes)], time.Millisecond)
		s.clock.add(every)
		d -= every
	}
}

func TestQuietIsNotShed(t *testing.T) {
	s := newStation()
	s.run(20*time.Second, time.Millisecond, Interactive, Bulk, Anonymous) // half of what two processors can
	if len(s.refused) != 0 {
		t.Errorf("refused %v", s.refused)
	}
}

func TestOverloadIsShedBeforeLatencyCollapses(t *testing.T) {
	s := newStation()
	s.run(5*time.Second, time.Millisecond, Interactive)
	s.run(5*time.Second, 125*time.Microsecond, Interactive, Anonymous, Anonymous, Anonymous) // four times too much
	s.worst, s.served, s.refused = 0, map[Class]int{}, map[Class]int{}
	s.run(20*time.Second, 125*time.Microsecond, Interactive, Anonymous, Anonymous, Anonymous)
	if s.worst > 25*time.Millisecond {
		t.Errorf("an admitted request took %s", s.worst)
	}
	if got := s.served[Interactive] + s.served[Anonymous]; got < 35_000 {
		t.Errorf("%d were served, of the 40,000 that the processors can", got)
	}
	if s.refused[Interactive] > s.served[Interactive]/100 {
		t.Errorf("%d of %d interactive requests were refused before strangers", s.refused[Interactive], s.served[Interactive]+s.refused[Interactive])
	}
}

func TestVitalIsNeverRefused(t *testing.T) {
	s := newStation()
	s.run(5*time.Second, 100*time.Microsecond, Interactive, Vital)
	if s.refused[Vital] > 0 || s.refused[Interactive] == 0 {
		t.Errorf("refused %v", s.refused)
	}
}

func TestLatenessHoldsStrangersBack(t *testing.T) {
	c := newClock()
	s := NewShedder(c.now)
	late := func(d time.Duration) {
		for range 20 {
			c.add(lagEvery)
			s.Lag(d)
		}
	}
	strangersOf := func() (n int) {
		for range 1000 {
			if s.Stranger() {
				n++
			}
		}
		return n
	}
	late(time.Millisecond)
	if n := strangersOf(); n != 1000 {
		t.Errorf("%d of 1000 come in while it is quiet", n)
	}
	late(20 * time.Millisecond)
	if n := strangersOf(); n != strangers {
		t.Errorf("%d come in at once while it is late", n)
	}
	if !s.Enter(Interactive) {
		t.Error("a client is refused with the strangers")
	}
	late(0)
	if n := strangersOf(); n != 1000 {
		t.Errorf("%d of 1000 come in when it is over", n)
	}
}
