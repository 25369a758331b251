package rotate

import (
	"context"
	"time"

	"strongroom/store"
)

// sweepForward moves values under the new keys. Where a key of the system may be
// known, so may be what access tokens are signed with: that ends first, not when
// everything was moved.
func (p *part) sweepForward(ctx context.Context) (Next, error) {
	if p.sweeper == nil && p.r.doc.Compromised != "" && p.doc.has(purposeSystem) {
		if err := p.m.store.RenewSigners(ctx, true); err != nil {
			return Next{}, err
		}
	}
	return p.sweep(ctx, StepVerify, StepDrain)
}

func (p *part) sweepBack(ctx context.Context) (Next, error) {
	return p.sweep(ctx, StepBackVerify, StepBackDrain)
}

// sweep moves a chunk of values, when requests and the operator's rate leave
// room for one. The row is written with it: counts and cursor are never ahead
// of the values, nor behind.
func (p *part) sweep(ctx context.Context, then, drain Step) (Next, error) {
	wait, budget := p.m.pacer.Turn(p.m.now())
	if wait > 0 {
		return Next{Wait: wait}, nil
	}
	if l := p.r.limiter; l != nil {
		budget.Entries = min(budget.Entries, l.Burst())
	}
	if p.doc.has(purposeMAC) {
		then = drain
	}
	if p.sweeper == nil {
		p.sweeper = p.m.store.Sweep(internal, p.doc.KeyDomain, p.sweepOptions())
	}
	var next Part
	written := false
	delta, err := p.sweeper.Step(ctx, budget, func(d store.SweepDelta) []store.Row {
		next, written = p.swept(d, then), true
		return []store.Row{p.row(&next)}
	})
	if err != nil {
		return Next{}, err
	}
	if err := p.took(ctx, delta, then, next, written); err != nil {
		return Next{}, err
	}
	return Next{Wait: p.pace(delta)}, nil
}

func (p *part) sweepOptions() store.SweepOptions {
	return store.SweepOptions{
		Reseal:  p.r.doc.Depth == DepthData && p.doc.Step == StepSweep,
		Reindex: p.doc.has(purposeIndex), From: p.doc.Cursor,
	}
}

// swept is the part's document after a chunk.
func (p *part) swept(d store.SweepDelta, then Step) Part {
	step := p.doc.Step
	if d.Done {
		step = then
	}
	return p.to(step, func(next *Part) {
		c := &next.Counts
		c.Scanned += d.Scanned
		c.Rewrapped += d.Rewrapped
		c.Resealed += d.Resealed
		c.Reindexed += d.Reindexed
		c.Stale += d.Stale
		c.Damaged += d.Damaged
		c.Bytes += d.Bytes
		next.Cursor = d.Cursor
		if d.Done {
			next.Cursor = ""
			next.Sweeps++
		}
	})
}

// took takes a chunk over. One that wrote nothing has not written the row
// either: it is written when the sweep is done, or with the next chunk.
func (p *part) took(ctx context.Context, d store.SweepDelta, then Step, next Part, written bool) error {
	if d.Done {
		p.sweeper = nil
	}
	switch {
	case written:
		p.commit(next)
	case d.Done:
		next = p.swept(d, then)
		return p.advance(ctx, next.Step, func(doc *Part) { *doc = next })
	default:
		next = p.swept(d, then)
		p.m.mu.Lock()
		p.doc = next
		p.m.mu.Unlock()
	}
	return nil
}

// pace returns how long the sweep rests after a chunk.
func (p *part) pace(d store.SweepDelta) time.Duration {
	now := p.m.now()
	moved := d.Rewrapped + d.Resealed + d.Reindexed
	p.m.mu.Lock()
	p.r.meter.add(now, moved)
	p.m.moved += moved
	p.m.mu.Unlock()
	p.m.pacer.Did(now, d)
	if l := p.r.limiter; l != nil && moved > 0 {
		// A chunk of a sweep with an index moves more than its entries.
		return l.ReserveN(now, int(min(moved, uint64(l.Burst())))).DelayFrom(now)
	}
	return 0
}
