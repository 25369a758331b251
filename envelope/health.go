package envelope

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"strongroom/internal/uid"
)

// Degraded is a domain that the key service does not answer for: it is held in
// memory while the key service is away, or refused.
type Degraded struct {
	Integration uid.UID // uid.Zero is the system domain
	Since       time.Time
	Until       time.Time // the hard cap: it serves before this instant, not after
	Serving     bool      // false once Until has passed, and for one that is refused
	Refused     bool      // the key service said no; it is asked again now and then
	Damaged     bool      // what it said no to is a stored keyset that was changed
	Reason      string    // what the key service's client said last
}

// refusal is when and why the key service refused a domain. Domains.mu guards it.
type refusal struct {
	since, tried time.Time
	err          error
	trying       bool // it is asked for again in the background
}

// Health tells which domains the key service does not answer for, and for how
// long they still serve, in the order of their uids. It is empty when all is
// well.
func (d *Domains) Health() []Degraded {
	var list []Degraded
	now := d.o.Now()
	for _, h := range *d.held.Load() {
		if g := h.grant.Load(); g.failing != nil {
			list = append(list, Degraded{
				Integration: h.integration, Since: g.since, Until: g.until, Serving: g.serves(now), Reason: g.failing.Error(),
			})
		}
	}
	d.mu.Lock()
	for integration, r := range d.refused {
		list = append(list, Degraded{
			Integration: integration, Since: r.since, Until: r.since,
			Refused: true, Damaged: errors.Is(r.err, ErrIntegrity), Reason: r.err.Error(),
		})
	}
	d.mu.Unlock()
	slices.SortFunc(list, func(a, b Degraded) int { return bytes.Compare(a.Integration[:], b.Integration[:]) })
	return list
}

// refuse notes a refusal. It needs mu.
func (d *Domains) refuse(integration uid.UID, f *flight) {
	r := d.refused[integration]
	if r == nil {
		r = &refusal{since: f.started}
		d.refused[integration] = r
	}
	r.tried, r.err = f.started, f.err
}

// askRefused asks again for the domains that were refused a while ago.
func (d *Domains) askRefused(now time.Time) {
	d.mu.Lock()
	due := map[uid.UID]*refusal{}
	for integration, r := range d.refused {
		if !r.trying && now.Sub(r.tried) >= d.o.Refresh {
			r.trying = true
			due[integration] = r
		}
	}
	d.mu.Unlock()
	for integration, r := range due {
		d.inBackground(integration, func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			r.trying = false
		})
	}
}
