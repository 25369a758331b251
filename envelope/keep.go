package envelope

import (
	"time"

	"strongroom/internal/uid"
)

// keep refreshes the domains in use and lets go of those whose term is over,
// until Domains is closed.
func (d *Domains) keep() {
	defer d.background.Done()
	tick := time.NewTicker(max(d.o.Refresh/4, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			d.sweep()
		case <-d.ctx.Done():
			return
		}
	}
}

// sweep looks at every held domain once. One that is degraded is tried again
// whether it is in use or not, so that Health tells when all is well again.
func (d *Domains) sweep() {
	for _, h := range *d.held.Load() {
		g, now := h.grant.Load(), d.o.Now()
		if !g.serves(now) {
			d.letGo(h, g, now)
		}
		wanted := h.integration.IsZero() || h.usedSince(g.tried)
		if now.Sub(g.tried) >= d.o.Refresh && (g.failing != nil || g.serves(now) && wanted) {
			d.refreshAhead(h)
		}
	}
	d.askRefused(d.o.Now())
}

// letGo takes the keys of a domain whose term is over out of memory. One that
// failed closed stays listed in Health, without keys, while it is asked for;
// the system domain, which everything needs, stays listed whatever happens.
func (d *Domains) letGo(h *held, g *grant, now time.Time) {
	d.mu.Lock()
	if h.grant.Load() != g || (*d.held.Load())[h.integration] != h { // it changed meanwhile
		d.mu.Unlock()
		return
	}
	if g.failing == nil || !h.integration.IsZero() && !h.usedSince(now.Add(-d.o.Lease)) {
		d.remove(h.integration)
	}
	expired := g.failing != nil && g.keys.all != nil
	next := *g
	next.keys = opened{}
	h.grant.Store(&next)
	d.mu.Unlock()
	if expired {
		d.o.OnEvent(Event{Kind: EventExpired, Integration: h.integration, At: now, Until: g.until, Err: g.failing})
	}
}

// refreshAhead opens a held domain anew in the background; what is held serves
// meanwhile. It returns at once, and does nothing when that is under way.
func (d *Domains) refreshAhead(h *held) {
	if h.refreshing.CompareAndSwap(false, true) {
		d.inBackground(h.integration, func() { h.refreshing.Store(false) })
	}
}

// inBackground opens a domain when a slot is free. Its outcome is settled where
// it is known.
func (d *Domains) inBackground(integration uid.UID, done func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	d.background.Add(1)
	go func() {
		defer d.background.Done()
		defer done()
		select {
		case d.slots <- struct{}{}:
			defer func() { <-d.slots }()
			_, _ = d.load(d.ctx, integration)
		case <-d.ctx.Done():
		}
	}()
}
