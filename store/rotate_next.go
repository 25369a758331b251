package store

import (
	"context"
	"errors"
)

var errNext = errors.New("store: this step is not there yet")

// CoveredBy hands fn every record that a key has covered.
func (s *Store) CoveredBy(ctx context.Context, c Caller, keyID uint32, fn func(CoveredRecord) error) error {
	return errNext
}
