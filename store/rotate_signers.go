package store

import (
	"context"
	"time"

	"strongroom/envelope"
)

// renewSigners makes the keys anew that sign access tokens and statements, where
// they are older than the system's primary key: whoever has the older key may
// have them. What they have signed stays good, tokens until they expire, unless
// these are to end: then they are good no more from now on, and clients get new
// ones.
func (s *Store) renewSigners(ctx context.Context, endTokens bool) error {
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
	if endTokens {
		if err := s.endSigningKeys(ctx, primary.PromotedAt); err != nil {
			return err
		}
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

// endSigningKeys takes away the keys of access tokens that are older than an
// instant: those that sign, those that only verify, and those that were to sign.
func (s *Store) endSigningKeys(ctx context.Context, before time.Time) error {
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	for _, key := range s.catalog.Load().signing {
		if !key.CreatedAt.Before(before) {
			continue
		}
		if err := s.removeSigningKey(ctx, key); err != nil {
			return err
		}
	}
	return nil
}
