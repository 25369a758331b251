package rotate

import (
	"context"

	"strongroom/envelope"
	"strongroom/internal/uid"
	"strongroom/store"
)

// Store is what a Manager needs of a store: rows, and the primitives that the
// steps of a rotation are. Each of those can be called again with the same
// arguments after a crash. Rows that are handed to one are written in its
// transaction. Of makes one of a store.
type Store interface {
	Domains
	Keysets
	KEKs

	UID() uid.UID
	Rows(ctx context.Context, kind store.RowKind) ([]store.Row, error)
	PutRows(ctx context.Context, c store.Caller, action string, rows ...store.Row) error
	// DescribeRow authorises and audits a look at a row, or at all of a kind.
	DescribeRow(c store.Caller, kind store.RowKind, id string) error
	// AuthoriseRow judges a change of a row before it is made ready.
	AuthoriseRow(c store.Caller, action string, kind store.RowKind, id string) error
	// RenewSigners replaces keys that sign and lay under a replaced key of the
	// system. With endTokens the tokens that they have signed are good no more.
	RenewSigners(ctx context.Context, endTokens bool) error
	Attest(ctx context.Context, kind string, doc any) ([]byte, error)
	Foreground() store.Load
}

// Domains tells of key domains and the keys in them.
type Domains interface {
	KeyDomains(c store.Caller) ([]store.KeyDomain, error)
	Keys(ctx context.Context, c store.Caller) ([]store.DomainKeys, error)
	KeysOf(ctx context.Context, c store.Caller, d store.KeyDomain) (store.DomainKeys, error)
}

// Keysets is what is done with the keys of keysets, and with what is under them.
type Keysets interface {
	AddKeysets(ctx context.Context, c store.Caller, d store.KeyDomain, purposes []envelope.Purpose, rows ...store.Row) ([]envelope.KeyRef, error)
	PromoteKeysets(ctx context.Context, c store.Caller, d store.KeyDomain, refs []envelope.KeyRef, rows ...store.Row) error
	DisableKeysets(ctx context.Context, c store.Caller, d store.KeyDomain, refs []envelope.KeyRef, rows ...store.Row) error
	EnableKeysets(ctx context.Context, c store.Caller, d store.KeyDomain, refs []envelope.KeyRef, rows ...store.Row) error
	DestroyKeysets(ctx context.Context, c store.Caller, d store.KeyDomain, refs []envelope.KeyRef, rows ...store.Row) error
	Sweep(c store.Caller, d store.KeyDomain, o store.SweepOptions) Sweeper
	VerifyKeysets(ctx context.Context, c store.Caller, d store.KeyDomain, old []envelope.KeyRef, progress func(done, all uint64)) (store.Scan, error)
}

// Sweeper moves values, a chunk a step.
type Sweeper interface {
	Step(ctx context.Context, b store.Budget, rows func(store.SweepDelta) []store.Row) (store.SweepDelta, error)
}

// KEKs is what is done with key-encryption keys.
type KEKs interface {
	KEKLatest(ctx context.Context, c store.Caller, d store.KeyDomain) (int, error)
	RotateKEK(ctx context.Context, c store.Caller, d store.KeyDomain, from int) (int, error)
	RewrapKeysets(ctx context.Context, c store.Caller, d store.KeyDomain, rows ...store.Row) (moved int, err error)
	KEKLeft(ctx context.Context, d store.KeyDomain, version int) (int, error)
	RetireKEK(ctx context.Context, c store.Caller, d store.KeyDomain, version int) error
	TrimKEK(ctx context.Context, c store.Caller, d store.KeyDomain, version int) error
}

// Of makes a Store of a store.
func Of(s *store.Store) Store { return opened{s} }

type opened struct{ *store.Store }

// Sweep begins a sweep, or goes on with one.
func (o opened) Sweep(c store.Caller, d store.KeyDomain, opts store.SweepOptions) Sweeper {
	return o.Sweeper(c, d, opts)
}
