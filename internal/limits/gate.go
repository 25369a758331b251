package limits

import (
	"context"
	"sync/atomic"
	"time"
)

// Gate is everything that stands between a caller and the work.
type Gate struct {
	*Limiter
	Guard   *Guard
	Shedder *Shedder
	Door    atomic.Pointer[Door] // of the listener, once there is one
}

// NewGate returns a gate with the default limits; tell hears of blocks.
func NewGate(now func() time.Time, tell func(GuardEvent)) *Gate {
	return &Gate{Limiter: New(now), Guard: NewGuard(now, tell), Shedder: NewShedder(now)}
}

// Run does what the gate does by itself, until the context ends.
func (g *Gate) Run(ctx context.Context) {
	go g.Shedder.Watch(ctx)
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			g.Guard.Sweep()
		}
	}
}
