package rotate

import (
	"context"
	"slices"
	"time"

	"strongroom/envelope"
	"strongroom/store"
)

// Cryptoperiods are for how long keys are meant to be used, by what they do
// (NIST SP 800-57 part 1, section 5.3.6).
type Cryptoperiods struct {
	KEK      time.Duration // wraps keysets
	Wrapping time.Duration // seals data-encryption keys, and values of the control plane
	Index    time.Duration // computes index tokens and MACs
}

// of returns the cryptoperiod of a key of a purpose.
func (p Cryptoperiods) of(purpose string) time.Duration {
	if purpose == purposeWrapping || purpose == purposeSystem {
		return p.Wrapping
	}
	return p.Index
}

// Inventory tells which keys there are, how old they are, what is under them and
// when they are rotated next.
type Inventory struct {
	Store     Keyed
	Schedules func(context.Context, store.Caller) ([]Schedule, error) // nil: when keys are rotated next is not told
	Periods   Cryptoperiods
	Now       func() time.Time
}

// Keyed is what an inventory asks of a store. Its methods authorise and audit
// their caller.
type Keyed interface {
	Keys(ctx context.Context, c store.Caller) ([]store.DomainKeys, error)
	CoveredBy(ctx context.Context, c store.Caller, keyID uint32, fn func(store.CoveredRecord) error) error
}

// DomainKeys is the inventory of one key domain.
type DomainKeys struct {
	store.KeyDomain
	KEK  KEK        `json:"kek"`
	Keys []KeyState `json:"keys"`
	// NextRotation is when the next schedule that covers the domain starts one.
	NextRotation *time.Time `json:"next_rotation,omitempty"`
	Schedule     string     `json:"schedule,omitempty"`
}

// KEK is a key-encryption key; its life is that of the version that wraps.
type KEK struct {
	store.KEKState
	Life
}

// KeyState is one key of a keyset; only the primary one has a life.
type KeyState struct {
	store.KeyState
	Life
}

// Life is for how long a key has been in use, and what is left of its
// cryptoperiod: less than nothing when it was passed. Both are nil when it is
// not known since when the key is in use.
type Life struct {
	Age  *int64 `json:"age_seconds,omitempty"`
	Left *int64 `json:"cryptoperiod_left_seconds,omitempty"`
}

func lifeOf(since, now time.Time, period time.Duration) Life {
	if since.IsZero() {
		return Life{}
	}
	age := max(0, now.Sub(since))
	age, left := age/time.Second, (period-age)/time.Second
	seconds, rest := int64(age), int64(left)
	return Life{&seconds, &rest}
}

// List returns the keys of all domains, by name, the system domain last.
func (i *Inventory) List(ctx context.Context, c store.Caller) ([]DomainKeys, error) {
	domains, err := i.Store.Keys(ctx, c)
	if err != nil {
		return nil, err
	}
	var schedules []Schedule
	if i.Schedules != nil {
		if schedules, err = i.Schedules(ctx, c); err != nil {
			return nil, err
		}
	}
	now, list := i.Now(), make([]DomainKeys, len(domains))
	for n, d := range domains {
		list[n] = i.describe(d, now)
		list[n].NextRotation, list[n].Schedule = next(schedules, d.KeyDomain)
	}
	return list, nil
}

// Covered hands fn everything that a key has ever covered.
func (i *Inventory) Covered(ctx context.Context, c store.Caller, keyID uint32, fn func(store.CoveredRecord) error) error {
	return i.Store.CoveredBy(ctx, c, keyID, fn)
}

func (i *Inventory) describe(d store.DomainKeys, now time.Time) DomainKeys {
	out := DomainKeys{KeyDomain: d.KeyDomain, KEK: KEK{KEKState: d.KEK}, Keys: make([]KeyState, len(d.Keys))}
	for _, v := range d.KEK.Versions {
		if v.Version == d.KEK.Latest {
			out.KEK.Life = lifeOf(v.CreatedAt, now, i.Periods.KEK)
		}
	}
	for n, k := range d.Keys {
		k.Purpose = nameOf(purposeOf(k.Purpose))
		out.Keys[n].KeyState = k
		if k.State == "primary" {
			out.Keys[n].Life = lifeOf(inUseSince(k), now, i.Periods.of(k.Purpose))
		}
	}
	return out
}

// nameOf is the name of a purpose in documents.
func nameOf(p envelope.Purpose) string {
	for name, purpose := range purposes {
		if purpose == p {
			return name
		}
	}
	return p.String()
}

// inUseSince is when a key was promoted; the first of a domain was made as the
// primary one.
func inUseSince(k store.KeyState) time.Time {
	if k.PromotedAt.IsZero() {
		return k.CreatedAt
	}
	return k.PromotedAt
}

// next finds the schedule that rotates a domain next.
func next(schedules []Schedule, d store.KeyDomain) (at *time.Time, name string) {
	for n := range schedules {
		s := &schedules[n]
		due := s.Run.NextStart
		if s.Paused || due == nil || !s.Request.covers(d) || at != nil && !due.Before(*at) {
			continue
		}
		at, name = due, s.Name
	}
	return at, name
}

// covers reports whether a request is about a domain.
func (r *Request) covers(d store.KeyDomain) bool {
	return d.System() && r.System || slices.ContainsFunc(r.Integrations, func(glob string) bool { return matches(glob, d) })
}
