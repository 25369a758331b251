package store

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"slices"
)

// SigningKeys returns the keys that access tokens are signed with, the one to
// sign with first. The first call of a store makes one; they are kept sealed.
func (s *Store) SigningKeys(ctx context.Context) ([]SigningKey, error) {
	if keys := s.catalog.Load().signing; len(keys) > 0 {
		return newestFirst(keys), nil
	}
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	if keys := s.catalog.Load().signing; len(keys) > 0 {
		return newestFirst(keys), nil
	}
	return s.createSigningKey(ctx)
}

func (s *Store) createSigningKey(ctx context.Context) (keys []SigningKey, err error) {
	var id [9]byte
	rand.Read(id[:])
	key := SigningKey{ID: base64.RawURLEncoding.EncodeToString(id[:]), Seed: make([]byte, 32), CreatedAt: s.now().UTC()}
	rand.Read(key.Seed)
	op := s.startInternal("create", kindSigningKey+"/"+key.ID)
	defer func() { err = op.end(err) }()
	err = s.change(ctx, op, controlChange{
		writes:  []controlWrite{{kind: kindSigningKey, id: key.ID, doc: signingKeyDoc{Seed: key.Seed, CreatedAt: key.CreatedAt}}},
		publish: func(next *catalog) { next.signing = append(slices.Clone(next.signing), key) },
	})
	return []SigningKey{key}, err
}

func newestFirst(keys []SigningKey) []SigningKey {
	sorted := slices.Clone(keys)
	slices.SortFunc(sorted, func(a, b SigningKey) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return sorted
}
