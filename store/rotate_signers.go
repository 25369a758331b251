package store

import (
	"context"
	"time"

	"strongroom/envelope"
)

// renewSigners makes the keys anew that sign access tokens and statements, where
// they are older than the system's primary key: whoever has the older key may
// have them. What they have signed stays good, tokens until they expire.
func (s *Store) renewSigners(ctx context.Context) error {
	at, err := s.readKeys(ctx, KeyDomain{})
	if err != nil {
		return err
	}
	primary := at.history.find(envelope.KeyRef{Purpose: envelope.PurposeSystem, Generation: at.inForce.wrapping})
	if primary == nil {
		return nil // it is the first one
	}
	if err := s.renewSigningKey(ctx, primary.PromotedAt); err != nil {
		return err
	}
	return s.RotateAttestKey(ctx, primary.PromotedAt)
}

// renewSigningKey makes a key for access tokens that signs at once, unless the
// one that signs was made since.
func (s *Store) renewSigningKey(ctx context.Context, since time.Time) error {
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	keys := lastFirst(s.catalog.Load().signing)
	if len(keys) == 0 {
		return nil // no token was ever asked for
	}
	for _, key := range keys {
		if !key.CreatedAt.Before(since) && !key.SignsFrom.After(s.now()) {
			return nil // it was made by an earlier call
		}
	}
	return s.createSigningKey(ctx, s.now())
}
