package store

import (
	"slices"
	"time"

	"strongroom/envelope"
)

// kindKeys is the kind of the histories of keys. Its id is the uid of the
// integration, or uid.Zero's of the system domain.
const kindKeys = "keys"

// keysDoc is the history of a domain's keys. It changes in the transactions
// that change the keys, and remembers those that were destroyed: neither a
// generation nor a key id is ever given again.
type keysDoc struct {
	Keys []keyLife `json:"keys"`
	// Moved is when keysets were last wrapped under a newer version of the KEK.
	Moved *time.Time `json:"kek_moved_at,omitempty"`
}

// keyLife is the history of one key. A key that is rolled back to is promoted
// again, and then not retired.
type keyLife struct {
	Key         envelope.KeyRef `json:"key"` // without a state
	CreatedAt   time.Time       `json:"created_at,omitzero"`
	PromotedAt  time.Time       `json:"promoted_at,omitzero"`
	RetiredAt   time.Time       `json:"retired_at,omitzero"`
	DisabledAt  time.Time       `json:"disabled_at,omitzero"`
	DestroyedAt time.Time       `json:"destroyed_at,omitzero"`
}

// adopt takes in the keys that the history does not know: those that the domain
// began with, at that time.
func (h *keysDoc) adopt(refs []envelope.KeyRef, began time.Time) {
	for _, ref := range refs {
		if h.find(ref) != nil {
			continue
		}
		life := keyLife{Key: stateless(ref)}
		if ref.Generation == 1 {
			life.CreatedAt, life.PromotedAt = began, began
		}
		h.Keys = append(h.Keys, life)
	}
	slices.SortFunc(h.Keys, func(a, b keyLife) int {
		if a.Key.Purpose != b.Key.Purpose {
			return int(a.Key.Purpose) - int(b.Key.Purpose)
		}
		return int(int64(a.Key.Generation) - int64(b.Key.Generation))
	})
}

func stateless(ref envelope.KeyRef) envelope.KeyRef {
	ref.State = 0
	return ref
}

// find returns a key by purpose and generation, nil when it was never there.
func (h *keysDoc) find(ref envelope.KeyRef) *keyLife {
	for i := range h.Keys {
		if k := &h.Keys[i]; k.Key.Purpose == ref.Purpose && k.Key.Generation == ref.Generation {
			return k
		}
	}
	return nil
}

// next returns the generation that the next key of a purpose gets, and the key
// ids that it must not have.
func (h *keysDoc) next(p envelope.Purpose) (generation uint32, avoid []uint32) {
	for _, k := range h.Keys {
		if k.Key.Purpose == p {
			generation = max(generation, k.Key.Generation)
			avoid = append(avoid, k.Key.KeyID)
		}
	}
	return generation + 1, avoid
}

// promote notes which keys are primary from now on.
func (h *keysDoc) promote(ref envelope.KeyRef, was uint32, at time.Time) {
	if old := h.find(envelope.KeyRef{Purpose: ref.Purpose, Generation: was}); old != nil && was != ref.Generation {
		old.RetiredAt = at
	}
	if k := h.find(ref); k != nil {
		k.PromotedAt, k.RetiredAt = at, time.Time{}
	}
}

// clone returns a copy to be changed.
func (h *keysDoc) clone() keysDoc {
	next := *h
	next.Keys = slices.Clone(h.Keys)
	return next
}
