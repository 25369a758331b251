// Package store keeps integrations, collections, records and who may see
// them. Every method takes the caller first, authorises and audits it, and
// only then acts; what it writes is sealed by package envelope and kept by an
// engine of package kv.
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"strongroom/envelope"
	"strongroom/internal/audit"
	"strongroom/internal/ledger"
	"strongroom/internal/uid"
	"strongroom/store/kv"
	"strongroom/vaultkeys"
)

// Deps is what a store stands on.
type Deps struct {
	Engine kv.Engine
	Keys   vaultkeys.Provider
	Audit  *audit.Log
	Logger *slog.Logger     // nil: slog.Default
	Now    func() time.Time // nil: time.Now
	Leases envelope.Options
	Limits Limits
	// Signing says how the keys of access tokens follow one another.
	Signing SigningSchedule
	// Counting counts by the limits that the store keeps; nil: nothing does.
	Counting Counting
	// Ledger holds, outside of the engine, what a restore must not undo. Nil:
	// nothing does.
	Ledger *ledger.Ledger
	// RenewLedger is why a ledger that is not the one that the store has seen
	// may take its place; empty: such a one is refused.
	RenewLedger string
}

// Limits bound what a store holds. Zero values mean the defaults.
type Limits struct {
	Integrations int // default 1,000
	Fields       int // of a record; default 256
	RecordBytes  int // of a record's fields as JSON; default 1 MiB
}

func (l Limits) withDefaults() Limits {
	return Limits{
		Integrations: orDefault(l.Integrations, 1000),
		Fields:       orDefault(l.Fields, 256),
		RecordBytes:  orDefault(l.RecordBytes, 1<<20),
	}
}

func orDefault(n, fallback int) int {
	if n == 0 {
		return fallback
	}
	return n
}

// InitOptions go with Init.
type InitOptions struct {
	Dev bool // marks the store as one for development, for good
}

// Store is an open store. Its methods are safe for concurrent use.
type Store struct {
	engine  kv.Engine
	keys    vaultkeys.Provider
	audit   *audit.Log
	logger  *slog.Logger
	now     func() time.Time
	limits  Limits
	id      uid.UID
	dev     bool
	domains *envelope.Domains

	catalog    atomic.Pointer[catalog]
	controlMu  sync.Mutex  // held while the control plane changes
	behind     atomic.Bool // the catalog may not be what the disk holds
	lastChange atomic.Int64
	inFlight   sync.Map // idempotency keys under way
	decoys     sync.Map // integration uid: *decoy
	watchOpens func()   // told of every DEK that is opened; for tests
	stats      stats
	ended      endedTokens
	signing    SigningSchedule
	usesMu     sync.Mutex // held while last uses are written
	counting   Counting
	ledger     *ledger.Ledger // nil: there is none
	reapplied  Reapplied
	lastBackup atomic.Pointer[backupDoc]
	marked     ledgerMark  // guarded by controlMu
	unnoted    atomic.Bool // the ledger may lack what the Operations table has

	countsKept  map[string]keptCounts // guarded by controlMu
	countsSaved atomic.Int64          // when the counts of limits were, unix nanoseconds

	background chan struct{} // wakes Run
	foreground foreground
	keks       kekCache
}

// Stats counts since the start what an operator wants to see rise or not.
type Stats struct {
	IntegrityFailures uint64 `json:"integrity_failures"`
	Denials           uint64 `json:"denials"`
	StaleWrites       uint64 `json:"stale_writes"` // writes made again because what they were made from had changed
}

type stats struct {
	integrity, denials, stale atomic.Uint64
}

// Stats returns the counts.
func (s *Store) Stats() Stats {
	return Stats{
		IntegrityFailures: s.stats.integrity.Load(),
		Denials:           s.stats.denials.Load(),
		StaleWrites:       s.stats.stale.Load(),
	}
}

// UID returns the store's uid.
func (s *Store) UID() uid.UID { return s.id }

// Dev reports whether the store was made for development.
func (s *Store) Dev() bool { return s.dev }

// Init makes a new store on an empty engine. A store that exists is
// ErrExists. The key of its system domain is created first: a crash in
// between leaves a key that nothing uses, and no store.
func Init(ctx context.Context, d Deps, o InitOptions) error {
	s := bare(d)
	if err := s.engine.View(ctx, func(tx kv.ReadTx) error { return refuseExisting(tx) }); err != nil {
		return err
	}
	s.id = uid.New()
	key := vaultkeys.SystemKey(s.id)
	if err := s.keys.Create(ctx, key); err != nil {
		return keyError(fmt.Errorf("create the key of the system domain: %w", err))
	}
	if err := s.keys.SelfTest(ctx, key); err != nil {
		return keyError(err)
	}
	keysets, err := envelope.NewSystemKeysets(ctx, s.keys, s.id)
	if err != nil {
		return keyError(err)
	}
	return s.writeNew(ctx, keysets, settingsDoc{Dev: o.Dev, CreatedAt: s.now().UTC(), Governed: true})
}

func (s *Store) writeNew(ctx context.Context, keysets []envelope.WrappedKeyset, settings settingsDoc) error {
	s.domains = envelope.NewDomains(s.id, s.keys, fixedKeysets(keysets), envelope.Options{})
	defer s.domains.Close()
	writes := []controlWrite{
		{kind: kindSettings, id: "store", doc: settings},
		{kind: kindGovernance, id: twoPersonID, doc: governanceDoc{}},
	}
	if err := s.sealControl(ctx, writes); err != nil {
		return err
	}
	return s.engine.Update(ctx, kv.Interactive, 4096, func(tx kv.Tx) error {
		if err := refuseExisting(tx); err != nil {
			return err
		}
		putMeta(tx, s.id)
		putKeysets(tx, uid.Zero, keysets)
		putGeneration(tx, uid.Zero, generation{epoch: 1}.explicit(keysets))
		return applyControl(tx, writes)
	})
}

// Open opens a store that Init made. It needs the key service: a store whose
// keys cannot be had is refused with a sentence.
func Open(ctx context.Context, d Deps) (*Store, error) {
	s := bare(d)
	if err := s.engine.View(ctx, func(tx kv.ReadTx) (err error) { s.id, err = readMeta(tx); return err }); err != nil {
		return nil, err
	}
	if err := s.upgrade(ctx); err != nil {
		return nil, err
	}
	if err := s.keys.SelfTest(ctx, vaultkeys.SystemKey(s.id)); err != nil {
		return nil, fmt.Errorf("the keys of this store cannot be used: %s: %w", s.keys.Name(), keyError(err))
	}
	leases := d.Leases
	leases.OnEvent = s.keyEvent
	s.domains = envelope.NewDomains(s.id, s.keys, s, leases)
	err := s.load(ctx)
	if err == nil && s.ledger != nil {
		err = s.openLedger(ctx, d.RenewLedger)
	}
	if err != nil {
		s.domains.Close()
		return nil, err
	}
	return s, nil
}

// Close drops every opened key. The engine, the provider and the audit log
// belong to the caller.
func (s *Store) Close() error {
	s.domains.Close()
	return nil
}

func bare(d Deps) *Store {
	s := &Store{
		engine: d.Engine, keys: d.Keys, audit: d.Audit, logger: d.Logger, now: d.Now,
		limits: d.Limits.withDefaults(), signing: d.Signing.withDefaults(), counting: d.Counting, ledger: d.Ledger, background: make(chan struct{}, 1),
	}
	if s.logger == nil {
		s.logger = slog.Default()
	}
	if s.now == nil {
		s.now = time.Now
	}
	return s
}

// keyError turns what the key service and the envelope say into the store's
// errors, keeping the cause.
func keyError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, vaultkeys.ErrUnavailable):
		return fmt.Errorf("%w: %w", ErrKeyServiceUnavailable, err)
	case errors.Is(err, envelope.ErrIntegrity), errors.Is(err, errLayout):
		return fmt.Errorf("%w: %w", ErrIntegrity, err)
	case errors.Is(err, vaultkeys.ErrRefused), errors.Is(err, envelope.ErrKeyDisabled):
		return fmt.Errorf("%w: %w", ErrKeyRefused, err)
	}
	return err
}
