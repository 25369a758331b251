package store

import (
	"context"
	"time"

	"strongroom/envelope"
)

// AddKeysets makes a new key for each of the purposes. It is pending: it opens
// and never seals, until PromoteKeysets makes it the primary. A purpose that
// has a pending key keeps that one. The keys come back in the order of the
// purposes. Like all steps on keys it writes the rows in its transaction, and
// can be called again with the same arguments after a crash.
func (s *Store) AddKeysets(ctx context.Context, c Caller, d KeyDomain, purposes []envelope.Purpose, rows ...Row) (refs []envelope.KeyRef, err error) {
	err = s.changeKeys(ctx, c, "add-key", d, rows, func(ctx context.Context, p *keyPlan) error {
		refs = nil
		for _, purpose := range purposes {
			ref, err := p.add(ctx, purpose)
			if err != nil {
				return err
			}
			refs = append(refs, ref)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return refs, nil
}

// add plans a pending key, or finds the one that is there.
func (p *keyPlan) add(ctx context.Context, purpose envelope.Purpose) (envelope.KeyRef, error) {
	for _, k := range p.history.Keys {
		if k.Key.Purpose == purpose && p.state(k.Key) == envelope.StatePending {
			return withState(k.Key, envelope.StatePending), nil
		}
	}
	generation, avoid := p.history.next(purpose)
	set, id, err := envelope.NewKeyset(ctx, p.s.keys, p.s.id, p.d.UID, purpose, generation, avoid)
	if err != nil {
		return envelope.KeyRef{}, keyError(err)
	}
	ref := envelope.KeyRef{Purpose: purpose, Generation: generation, KeyID: id}
	p.puts = append(p.puts, set)
	p.set(ref, envelope.StatePending)
	p.history.Keys = append(p.history.Keys, keyLife{Key: ref, CreatedAt: p.now})
	return withState(ref, envelope.StatePending), nil
}

func withState(ref envelope.KeyRef, state envelope.KeyState) envelope.KeyRef {
	ref.State = state
	return ref
}

// PromoteKeysets makes keys the primaries of their purposes: those that were it
// are enabled from then on, and a sweep brings what they have sealed under the
// new ones. It makes a key that was primary before the primary again, too. A
// disabled key must be enabled first.
func (s *Store) PromoteKeysets(ctx context.Context, c Caller, d KeyDomain, refs []envelope.KeyRef, rows ...Row) error {
	return s.eachKey(ctx, c, "promote-key", d, refs, rows, func(p *keyPlan, ref envelope.KeyRef) error {
		switch p.state(ref) {
		case envelope.StatePrimary:
			return nil
		case envelope.StateDisabled:
			return p.conflict(ref, "is disabled")
		case 0:
			return p.conflict(ref, "was destroyed")
		}
		p.history.promote(ref, *p.next.primaryOf(ref.Purpose), p.now)
		p.set(ref, envelope.StatePrimary)
		return nil
	})
}

// DisableKeysets disables keys that have no values any more: they open nothing
// from then on, and EnableKeysets can undo it.
func (s *Store) DisableKeysets(ctx context.Context, c Caller, d KeyDomain, refs []envelope.KeyRef, rows ...Row) error {
	return s.eachKey(ctx, c, "disable-key", d, refs, rows, func(p *keyPlan, ref envelope.KeyRef) error {
		switch p.state(ref) {
		case envelope.StateDisabled:
			return nil
		case envelope.StatePrimary:
			return p.conflict(ref, "is the primary one")
		case 0:
			return p.conflict(ref, "was destroyed")
		}
		p.history.find(ref).DisabledAt = p.now
		p.empty = append(p.empty, p.history.find(ref).Key)
		p.set(ref, envelope.StateDisabled)
		return nil
	})
}

// EnableKeysets undoes DisableKeysets.
func (s *Store) EnableKeysets(ctx context.Context, c Caller, d KeyDomain, refs []envelope.KeyRef, rows ...Row) error {
	return s.eachKey(ctx, c, "enable-key", d, refs, rows, func(p *keyPlan, ref envelope.KeyRef) error {
		switch p.state(ref) {
		case 0:
			return p.conflict(ref, "was destroyed")
		case envelope.StateDisabled:
			p.history.find(ref).DisabledAt = time.Time{}
			p.set(ref, envelope.StateEnabled)
		}
		return nil
	})
}

// DestroyKeysets removes keys for good: the wrapped keysets from the store, and
// the keys from memory. What is left of them is their history. A primary key,
// or one that has values, is refused.
func (s *Store) DestroyKeysets(ctx context.Context, c Caller, d KeyDomain, refs []envelope.KeyRef, rows ...Row) error {
	return s.eachKey(ctx, c, "destroy-key", d, refs, rows, func(p *keyPlan, ref envelope.KeyRef) error {
		switch p.state(ref) {
		case 0:
			return nil // it is done
		case envelope.StatePrimary:
			return p.conflict(ref, "is the primary one")
		}
		p.history.find(ref).DestroyedAt = p.now
		p.empty = append(p.empty, p.history.find(ref).Key)
		p.drops = append(p.drops, envelope.WrappedKeyset{Purpose: ref.Purpose, Generation: ref.Generation})
		p.set(ref, 0)
		return nil
	})
}

// eachKey changes what several keys may do.
func (s *Store) eachKey(ctx context.Context, c Caller, action string, d KeyDomain, refs []envelope.KeyRef, rows []Row, plan func(p *keyPlan, ref envelope.KeyRef) error) error {
	return s.changeKeys(ctx, c, action, d, rows, func(_ context.Context, p *keyPlan) error {
		for _, ref := range refs {
			if err := p.known(ref); err != nil {
				return err
			}
			if err := plan(p, ref); err != nil {
				return err
			}
		}
		return nil
	})
}
