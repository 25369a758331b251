package store

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"slices"
	"time"
)

// SigningSchedule says how the keys that access tokens are signed with follow
// one another. Zero values mean the defaults.
type SigningSchedule struct {
	Every time.Duration // a key signs for so long; default 30 days
	Ahead time.Duration // a key is shown so long before it signs; default a day, at most half of Every
	Keep  time.Duration // a key verifies so long after it signed last; default a day, the longest life of a token
}

func (c SigningSchedule) withDefaults() SigningSchedule {
	if c.Every <= 0 {
		c.Every = 30 * 24 * time.Hour
	}
	if c.Ahead <= 0 {
		c.Ahead = 24 * time.Hour
	}
	if c.Keep <= 0 {
		c.Keep = 24*time.Hour + endedGrace
	}
	c.Ahead = min(c.Ahead, c.Every/2)
	return c
}

// SigningKeys returns the keys that access tokens are verified with, in the
// order in which they sign, the last one first: at each moment the one signs
// that began last. The first call of a store makes one; they are kept sealed.
func (s *Store) SigningKeys(ctx context.Context) ([]SigningKey, error) {
	if keys := s.catalog.Load().signing; len(keys) > 0 {
		return lastFirst(keys), nil
	}
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	if keys := s.catalog.Load().signing; len(keys) > 0 {
		return lastFirst(keys), nil
	}
	if err := s.createSigningKey(ctx, s.now()); err != nil {
		return nil, err
	}
	return lastFirst(s.catalog.Load().signing), nil
}

// createSigningKey makes a key that signs from an instant on. The caller holds
// controlMu.
func (s *Store) createSigningKey(ctx context.Context, from time.Time) (err error) {
	var id [9]byte
	rand.Read(id[:])
	key := SigningKey{
		ID: base64.RawURLEncoding.EncodeToString(id[:]), Seed: make([]byte, 32),
		CreatedAt: s.now().UTC(), SignsFrom: from.UTC(), version: 1,
	}
	rand.Read(key.Seed)
	op := s.startInternal("create", kindSigningKey+"/"+key.ID)
	defer func() { err = op.end(err) }()
	return s.change(ctx, op, controlChange{
		writes: []controlWrite{{kind: kindSigningKey, id: key.ID, doc: signingKeyDoc{
			Seed: key.Seed, CreatedAt: key.CreatedAt, SignsFrom: &key.SignsFrom,
		}}},
		publish: func(next *catalog) { next.signing = append(slices.Clone(next.signing), key) },
	})
}

// sweepSigning makes the next key when its time nears, and removes those whose
// tokens have all expired.
func (s *Store) sweepSigning(ctx context.Context) error {
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	keys := lastFirst(s.catalog.Load().signing)
	if len(keys) == 0 {
		return nil // no token was ever asked for
	}
	now := s.now()
	if from := keys[0].SignsFrom.Add(s.signing.Every); !now.Add(s.signing.Ahead).Before(from) {
		if from.Before(now.Add(s.signing.Ahead)) {
			from = now.Add(s.signing.Ahead) // the store was closed meanwhile: it is shown first all the same
		}
		return s.createSigningKey(ctx, from)
	}
	for i, key := range keys[1:] {
		if successor := keys[i]; successor.SignsFrom.Add(s.signing.Keep).Before(now) {
			return s.removeSigningKey(ctx, key)
		}
	}
	return nil
}

func (s *Store) removeSigningKey(ctx context.Context, key SigningKey) error {
	op := s.startInternal("delete", kindSigningKey+"/"+key.ID)
	return op.end(s.change(ctx, op, controlChange{
		writes: []controlWrite{{kind: kindSigningKey, id: key.ID, replaces: key.version}},
		publish: func(next *catalog) {
			next.signing = slices.DeleteFunc(slices.Clone(next.signing), func(k SigningKey) bool { return k.ID == key.ID })
		},
	}))
}

func lastFirst(keys []SigningKey) []SigningKey {
	sorted := slices.Clone(keys)
	slices.SortFunc(sorted, func(a, b SigningKey) int { return b.SignsFrom.Compare(a.SignsFrom) })
	return sorted
}

// signedWith reports whether a token that a key signed may count: the key is
// there.
func (c *catalog) signedWith(id string) bool {
	return slices.ContainsFunc(c.signing, func(k SigningKey) bool { return k.ID == id })
}
