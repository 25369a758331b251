package store

import (
	"context"

	"strongroom/envelope"
)

// renewSigners makes a key that access tokens are signed with from now on, when
// the one that does so is older than the system's primary key: whoever has the
// older key may have it. Tokens that it has signed are good until they expire.
func (s *Store) renewSigners(ctx context.Context) error {
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	keys := lastFirst(s.catalog.Load().signing)
	if len(keys) == 0 {
		return nil // no token was ever asked for
	}
	at, err := s.readKeys(ctx, KeyDomain{})
	if err != nil {
		return err
	}
	primary := at.history.find(envelope.KeyRef{Purpose: envelope.PurposeSystem, Generation: at.inForce.wrapping})
	if primary == nil {
		return nil // it is the first one
	}
	for _, key := range keys {
		if !key.CreatedAt.Before(primary.PromotedAt) && !key.SignsFrom.After(s.now()) {
			return nil // it was made by an earlier call
		}
	}
	return s.createSigningKey(ctx, s.now())
}
