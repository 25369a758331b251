package store

import (
	"context"
	"errors"
	"time"

	"strongroom/envelope"
)

var errNext = errors.New("store: this step is not there yet")

// Sweeper is a sweep under way.
type Sweeper struct{}

// Sweeper begins a sweep of a domain.
func (s *Store) Sweeper(c Caller, d KeyDomain, o SweepOptions) *Sweeper { return &Sweeper{} }

// Step does the next chunk.
func (w *Sweeper) Step(ctx context.Context, b Budget, rows func(SweepDelta) []Row) (SweepDelta, error) {
	return SweepDelta{}, errNext
}

// VerifyKeysets looks for values under old keys.
func (s *Store) VerifyKeysets(ctx context.Context, c Caller, d KeyDomain, old []envelope.KeyRef, progress func(done, all uint64)) (Scan, error) {
	return Scan{}, errNext
}

// CoveredBy hands fn every record that a key has covered.
func (s *Store) CoveredBy(ctx context.Context, c Caller, keyID uint32, fn func(CoveredRecord) error) error {
	return errNext
}

func (s *Store) verifiedBackupAfter(ctx context.Context, t time.Time) (bool, error) {
	return false, errNext
}
