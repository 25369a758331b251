package envelope

import (
	"context"
	"errors"
	"fmt"
	"time"

	"strongroom/internal/uid"
	"strongroom/vaultkeys"
)

// flight is one opening of a domain, which any number of callers wait for. It
// runs on a context of its own, so no caller's end ends it for the others.
type flight struct {
	done    chan struct{}
	started time.Time
	dropped bool            // Drop came while it was under way; guarded by Domains.mu
	sets    []WrappedKeyset // that were stored
	keys    opened
	err     error
}

// load joins the opening that is under way, or begins one, and waits for it.
func (d *Domains) load(ctx context.Context, integration uid.UID) (opened, error) {
	f, err := d.join(integration)
	if err != nil {
		return opened{}, err
	}
	select {
	case <-f.done:
		return f.keys, f.err
	case <-ctx.Done():
		return opened{}, ctx.Err()
	}
}

// waitOut waits for an opening that is under way, if there is one.
func (d *Domains) waitOut(ctx context.Context, integration uid.UID) error {
	d.mu.Lock()
	f := d.flights[integration]
	d.mu.Unlock()
	if f == nil {
		return nil
	}
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *Domains) join(integration uid.UID) (*flight, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, ErrClosed
	}
	if f := d.flights[integration]; f != nil {
		return f, nil
	}
	f := &flight{done: make(chan struct{}), started: d.o.Now()}
	d.flights[integration] = f
	d.background.Add(1)
	go d.fly(integration, f)
	return f, nil
}

func (d *Domains) fly(integration uid.UID, f *flight) {
	defer d.background.Done()
	ctx, cancel := context.WithTimeout(d.ctx, d.o.Deadline)
	defer cancel()
	f.sets, f.keys, f.err = d.fetch(ctx, integration)
	if f.err != nil {
		f.keys = opened{}
		f.err = asUnavailable(ctx, f.err)
	}
	event := d.settle(integration, f)
	close(f.done)
	if event.Kind != "" {
		d.o.OnEvent(event)
	}
}

// asUnavailable makes the end of an opening's own deadline the unavailability
// that it is, whoever reported it.
func asUnavailable(ctx context.Context, err error) error {
	if ctx.Err() == nil || definite(err) || errors.Is(err, vaultkeys.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", vaultkeys.ErrUnavailable, err)
}

// definite reports whether an error ends a domain at once: the key service
// refused or is not to be trusted, or the stored keysets are damaged.
func definite(err error) bool {
	return errors.Is(err, vaultkeys.ErrRefused) || errors.Is(err, vaultkeys.ErrUnfit) || errors.Is(err, ErrIntegrity)
}

// settle makes an opening's outcome the state of its domain, and says what is
// to be told.
func (d *Domains) settle(integration uid.UID, f *flight) Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.flights, integration)
	if f.dropped || d.closed {
		return Event{}
	}
	h := (*d.held.Load())[integration]
	switch {
	case f.err == nil:
		delete(d.refused, integration)
		return d.confirm(h, integration, f)
	case definite(f.err):
		d.refuse(integration, f)
		if h == nil {
			return Event{}
		}
		d.remove(integration)
		return Event{Kind: EventRefused, Integration: integration, At: d.o.Now(), Err: f.err}
	case h == nil:
		return Event{}
	case errors.Is(f.err, vaultkeys.ErrUnavailable):
		return d.degrade(h, f)
	}
	g := *h.grant.Load() // the Source failed: the lease runs on, and is not renewed
	g.tried = f.started
	h.grant.Store(&g)
	return Event{}
}

// confirm grants a new lease, counted from before the key service was asked.
func (d *Domains) confirm(h *held, integration uid.UID, f *flight) Event {
	g := &grant{keys: f.keys, confirmed: f.started, tried: f.started, until: f.started.Add(d.o.Lease)}
	if h == nil {
		h = &held{integration: integration}
		h.used.Store(f.started.UnixNano())
		h.grant.Store(g)
		d.insert(h)
		return Event{}
	}
	old := h.grant.Swap(g)
	if old.failing == nil {
		return Event{}
	}
	return Event{Kind: EventRecovered, Integration: integration, At: d.o.Now()}
}

// degrade lets a domain serve until the hard cap, if it was within its term
// when the key service was asked. One whose lease was over has lapsed already:
// the key service being away does not bring it back. What is held is put
// together anew when that is all that the stored keysets ask for.
func (d *Domains) degrade(h *held, f *flight) Event {
	g := *h.grant.Load()
	first := g.failing == nil
	if first && !g.serves(f.started) {
		d.remove(h.integration)
		return Event{}
	}
	if first {
		g.since = f.started
		g.until = g.confirmed.Add(d.o.HardCap)
	}
	g.tried, g.failing = f.started, f.err
	d.reassemble(h, &g, f)
	h.grant.Store(&g)
	if !first {
		return Event{}
	}
	return Event{Kind: EventDegraded, Integration: h.integration, At: f.started, Until: g.until, Err: g.failing}
}

// reassemble brings the stored states of a domain into force while the key
// service is away, if every stored keyset is held. The term stays as it is.
func (d *Domains) reassemble(h *held, g *grant, f *flight) {
	if g.keys.from == nil || len(f.sets) == 0 || !g.serves(d.o.Now()) {
		return
	}
	all, ok := again(*g.keys.from, f.sets)
	if !ok {
		return
	}
	if k, err := d.assemble(h.integration, all); err == nil {
		g.keys, f.keys, f.err = k, k, nil
	}
}
