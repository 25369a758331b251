package limits

import (
	"context"
	"sync/atomic"
	"time"
)

// eventsHeld is how many events of the guard wait to be told at most; what comes
// when so many wait is counted and not told.
const eventsHeld = 4096

// Gate is everything that stands between a caller and the work.
type Gate struct {
	*Limiter
	Guard   *Guard
	Shedder *Shedder
	Door    atomic.Pointer[Door] // of the listener, once there is one

	tell   func(GuardEvent)
	events chan GuardEvent
	untold atomic.Uint64
}

// NewGate returns a gate with the default limits; tell hears of blocks, one
// after the other, while Run runs.
func NewGate(now func() time.Time, tell func(GuardEvent)) *Gate {
	g := &Gate{Limiter: New(now), Shedder: NewShedder(now), tell: tell, events: make(chan GuardEvent, eventsHeld)}
	g.Guard = NewGuard(now, g.hold)
	return g
}

// hold takes an event without making whoever caused it wait.
func (g *Gate) hold(e GuardEvent) {
	select {
	case g.events <- e:
	default:
		g.untold.Add(1)
	}
}

// Untold returns how many events were too many to be told.
func (g *Gate) Untold() uint64 { return g.untold.Load() }

// Run does what the gate does by itself, until the context ends.
func (g *Gate) Run(ctx context.Context) {
	go g.Shedder.Watch(ctx)
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			g.tellAll()
			return
		case e := <-g.events:
			if g.tell != nil {
				g.tell(e)
			}
		case <-tick.C:
			g.Guard.Sweep()
		}
	}
}

// tellAll tells what still waits.
func (g *Gate) tellAll() {
	for {
		select {
		case e := <-g.events:
			if g.tell != nil {
				g.tell(e)
			}
		default:
			return
		}
	}
}
