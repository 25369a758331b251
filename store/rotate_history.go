package store

import (
	"fmt"
	"slices"
	"time"

	"strongroom/envelope"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// kindKeys is the kind of the histories of keys. Its id is the uid of the
// integration, or uid.Zero's of the system domain.
const kindKeys = "keys"

// keysDoc is the history of a domain's keys. It changes in the transactions
// that change the keys, and remembers those that were destroyed: neither a
// generation nor a key id is ever given again.
type keysDoc struct {
	Keys []keyLife `json:"keys"`
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

// contradicts says in words what keys are said to be allowed, in the open, that
// the history, which is sealed, does not allow: whoever can write the disk could
// have values sealed under an old key again, or a disabled one open them. Empty
// when there is nothing. A domain whose keys never changed has no history.
func (h *keysDoc) contradicts(g generation) string {
	if len(h.Keys) == 0 || g.states == "" {
		return ""
	}
	for _, k := range g.keys() {
		life := h.find(envelope.KeyRef{Purpose: k.purpose, Generation: k.generation})
		is := ""
		switch {
		case life == nil:
			is = "is not known to their history"
		case !life.DestroyedAt.IsZero():
			is = "was destroyed"
		case k.state == envelope.StatePrimary && !life.RetiredAt.IsZero():
			is = "was replaced"
		case (k.state == envelope.StateDisabled) == life.DisabledAt.IsZero():
			is = "was disabled or enabled by nobody"
		}
		if is != "" {
			return fmt.Sprintf("the %s key of generation %d is said to be %s and %s", k.purpose, k.generation, k.state, is)
		}
	}
	return ""
}

// checkHistory holds what the keys of a domain are said to be allowed against
// their history. One that does not open tells nothing here; fsck tells of it.
func checkHistory(tx kv.ReadTx, system *envelope.System, domain uid.UID) error {
	raw := tx.Get(kv.Control, controlKey(kindKeys, domain.String()))
	stored := tx.Get(kv.Generations, domain[:])
	if raw == nil || stored == nil {
		return nil
	}
	history, _, err := openControlValue[keysDoc](system, kindKeys, domain.String(), raw)
	g, bad := decodeGeneration(stored)
	if err != nil || bad != nil {
		return nil
	}
	if why := history.contradicts(g); why != "" {
		return fmt.Errorf("%w: %s", ErrIntegrity, why)
	}
	return nil
}
