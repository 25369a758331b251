package store

import (
	"context"
	"errors"

	"strongroom/envelope"
)

var errNext = errors.New("store: this step is not there yet")

// KeyDomains returns the key domains that are in use, by name: integrations
// that are not deleted, and the system domain last.
func (s *Store) KeyDomains(c Caller) ([]KeyDomain, error) { return nil, errNext }

// Keys returns the inventory of keys of the domains that the caller operates.
func (s *Store) Keys(ctx context.Context, c Caller) ([]DomainKeys, error) { return nil, errNext }

// AddKeysets makes a pending key for each purpose that has none.
func (s *Store) AddKeysets(ctx context.Context, c Caller, d KeyDomain, purposes []envelope.Purpose, rows ...Row) ([]envelope.KeyRef, error) {
	return nil, errNext
}

// PromoteKeysets makes keys the primaries of their purposes.
func (s *Store) PromoteKeysets(ctx context.Context, c Caller, d KeyDomain, refs []envelope.KeyRef, rows ...Row) error {
	return errNext
}

// DisableKeysets disables keys.
func (s *Store) DisableKeysets(ctx context.Context, c Caller, d KeyDomain, refs []envelope.KeyRef, rows ...Row) error {
	return errNext
}

// EnableKeysets enables disabled keys.
func (s *Store) EnableKeysets(ctx context.Context, c Caller, d KeyDomain, refs []envelope.KeyRef, rows ...Row) error {
	return errNext
}

// DestroyKeysets removes keys.
func (s *Store) DestroyKeysets(ctx context.Context, c Caller, d KeyDomain, refs []envelope.KeyRef, rows ...Row) error {
	return errNext
}

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

// KEKLatest returns the version of the domain's KEK that wraps.
func (s *Store) KEKLatest(ctx context.Context, c Caller, d KeyDomain) (int, error) {
	return 0, errNext
}

// RotateKEK adds a version to the domain's KEK when the latest is from.
func (s *Store) RotateKEK(ctx context.Context, c Caller, d KeyDomain, from int) (int, error) {
	return 0, errNext
}

// RewrapKeysets wraps the domain's keysets under the latest version of its KEK.
func (s *Store) RewrapKeysets(ctx context.Context, c Caller, d KeyDomain, rows ...Row) (moved int, err error) {
	return 0, errNext
}

// KEKLeft counts the domain's keysets under versions of its KEK below one.
func (s *Store) KEKLeft(ctx context.Context, d KeyDomain, version int) (int, error) {
	return 0, errNext
}

// RetireKEK makes a version of the domain's KEK the lowest that unwraps.
func (s *Store) RetireKEK(ctx context.Context, c Caller, d KeyDomain, version int) error {
	return errNext
}

// TrimKEK destroys the versions of the domain's KEK below one.
func (s *Store) TrimKEK(ctx context.Context, c Caller, d KeyDomain, version int) error {
	return errNext
}

// CoveredBy hands fn every record that a key has covered.
func (s *Store) CoveredBy(ctx context.Context, c Caller, keyID uint32, fn func(CoveredRecord) error) error {
	return errNext
}
