package store

import (
	"context"
	"slices"
	"sync"
	"time"

	"strongroom/envelope"
	"strongroom/internal/uid"
	"strongroom/store/kv"
	"strongroom/vaultkeys"
)

// Bounds of what the inventory asks the key service.
const (
	kekKept    = time.Minute
	kekTimeout = 2 * time.Second
)

// kekCache keeps what the key service says of KEKs, so that the inventory can be
// asked for as often as metrics are.
type kekCache struct {
	mu    sync.Mutex
	known map[uid.UID]kekFact
}

type kekFact struct {
	info vaultkeys.KeyInfo
	err  error
	at   time.Time
}

func (k *kekCache) forget(d uid.UID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.known, d)
}

func (k *kekCache) get(d uid.UID, now time.Time) (kekFact, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f, ok := k.known[d]
	return f, ok && now.Sub(f.at) < kekKept
}

func (k *kekCache) put(d uid.UID, f kekFact) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known == nil {
		k.known = map[uid.UID]kekFact{}
	}
	k.known[d] = f
}

// Keys returns the inventory of keys, domain by domain as KeyDomains has them.
// What the key service says of a KEK is at most a minute old; when it cannot be
// asked within a moment, that is told, and the rest is told all the same.
func (s *Store) Keys(ctx context.Context, c Caller) (all []DomainKeys, err error) {
	if !isInternal(c) {
		op := s.start(c, "describe", target{control: kindKeys})
		defer func() { err = op.end(err) }()
	}
	domains, err := s.KeyDomains(c)
	if err != nil {
		return nil, err
	}
	deadline, cancel := context.WithTimeout(ctx, kekTimeout)
	defer cancel()
	for _, d := range domains {
		keys, err := s.keysOf(ctx, deadline, d)
		if err != nil {
			return nil, err
		}
		all = append(all, keys)
	}
	return all, nil
}

func (s *Store) keysOf(ctx, deadline context.Context, d KeyDomain) (DomainKeys, error) {
	at, err := s.readKeys(ctx, d)
	if err != nil {
		return DomainKeys{}, err
	}
	if refs, err := s.openKeys(deadline, d); err == nil {
		in, _ := s.catalog.Load().domainOf(d)
		began, err := s.beganAt(ctx, in)
		if err != nil {
			return DomainKeys{}, err
		}
		at.history.adopt(refs, began)
	}
	out := DomainKeys{KeyDomain: d, KEK: s.kekState(deadline, d, at.keysets)}
	collections := s.catalog.Load().collectionsOf(d.UID)
	err = s.engine.View(ctx, func(tx kv.ReadTx) error {
		out.Keys = nil
		for _, life := range at.history.Keys {
			out.Keys = append(out.Keys, s.keyState(tx, &at, collections, life))
		}
		return nil
	})
	slices.SortStableFunc(out.Keys, func(a, b KeyState) int {
		if a.Purpose != b.Purpose {
			return 0 // they are in the order of purposes
		}
		return int(int64(b.Generation) - int64(a.Generation))
	})
	return out, engineError(err)
}

// keyState describes one key.
func (s *Store) keyState(tx kv.ReadTx, at *keysAt, collections []uid.UID, life keyLife) KeyState {
	k := KeyState{
		Purpose: life.Key.Purpose.String(), Generation: life.Key.Generation, KeyID: envelope.FormatKeyID(life.Key.KeyID),
		State: KeyDestroyed, CreatedAt: life.CreatedAt, PromotedAt: life.PromotedAt, RetiredAt: life.RetiredAt,
		DisabledAt: life.DisabledAt, DestroyedAt: life.DestroyedAt,
	}
	if state := at.inForce.state(life.Key.Purpose, life.Key.Generation); state != 0 {
		k.State = state.String()
	}
	for _, set := range at.keysets {
		if set.Purpose == life.Key.Purpose && set.Generation == life.Key.Generation {
			k.KEKVersion, _ = set.KEKVersion(s.keys)
		}
	}
	k.Values = valuesUnder(tx, collections, life.Key)
	return k
}

// kekState describes the KEK of a domain.
func (s *Store) kekState(ctx context.Context, d KeyDomain, keysets []envelope.WrappedKeyset) KEKState {
	now := s.now()
	fact, known := s.keks.get(d.UID, now)
	if !known {
		fact = kekFact{at: now}
		fact.info, fact.err = s.keys.Describe(ctx, s.kekName(d))
		s.keks.put(d.UID, fact)
	}
	k := KEKState{Name: string(s.kekName(d)), Latest: fact.info.Latest, Minimum: fact.info.Minimum, Available: fact.info.Available}
	if fact.err != nil {
		k.Unknown = keyError(fact.err).Error()
	}
	for _, v := range fact.info.Versions {
		one := KEKVersion{Version: v.Version, CreatedAt: v.CreatedAt}
		for _, set := range keysets {
			if under, err := set.KEKVersion(s.keys); err == nil && under == v.Version {
				one.Keysets++
			}
		}
		k.Versions = append(k.Versions, one)
	}
	return k
}
