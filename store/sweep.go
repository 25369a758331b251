package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"strongroom/internal/uid"
	"strongroom/store/kv"
)

const (
	sweepEvery     = 15 * time.Second
	sweepBatch     = 256
	keepOperations = 30 * 24 * time.Hour
)

// Run does what the store does by itself, until the context ends: erase what
// is due, fill indexes, remove what deleted collections held.
func (s *Store) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if _, err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.logger.Warn("the background sweep did not finish and will be tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-s.background:
		}
	}
}

// Sweep is one pass of Run's work.
func (s *Store) Sweep(ctx context.Context) (stats SweepStats, err error) {
	err = errors.Join(
		s.catchUp(ctx),
		s.sweepExpiry(ctx, &stats),
		s.sweepTTL(ctx, &stats),
		s.sweepIntegrations(ctx, &stats),
		s.sweepPurges(ctx),
		s.sweepOperations(ctx),
		s.sweepEnded(ctx),
		s.sweepUses(ctx),
		s.sweepSigning(ctx),
		s.sweepCounts(ctx),
		s.sweepRecounts(ctx),
		s.backfill(ctx),
		s.sweepLedger(ctx),
	)
	return stats, err
}

// sweepIntegrations destroys the integrations whose time has come. One whose key
// the key service refuses to destroy does not hold up the others; while it is
// away, none is tried.
func (s *Store) sweepIntegrations(ctx context.Context, stats *SweepStats) error {
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	var errs []error
	for _, in := range s.catalog.Load().integrations {
		if at := in.doc.DestroyAt; at == nil || s.now().Before(*at) {
			continue
		}
		if err := s.destroyIntegration(ctx, in); err != nil {
			errs = append(errs, fmt.Errorf("integration %s: %w", in.name, err))
			if errors.Is(err, ErrKeyServiceUnavailable) {
				break
			}
			continue
		}
		stats.Integrations++
	}
	return errors.Join(errs...)
}

// sweepPurges removes what deleted collections held, table by table, and then
// the note that says so.
func (s *Store) sweepPurges(ctx context.Context) error {
	for id, p := range s.catalog.Load().purges {
		if err := s.purge(ctx, id); err != nil {
			return err
		}
		s.controlMu.Lock()
		op := s.startInternal("purge", kindCollection+"/"+p.doc.Collection)
		err := op.end(s.change(ctx, op, controlChange{
			writes:  []controlWrite{{kind: kindPurge, id: id.String(), replaces: p.version}},
			publish: func(next *catalog) { delete(next.purges, id) },
		}))
		s.controlMu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// collectionTables are the tables whose keys begin with a collection's uid.
// The wrapped DEKs and index tokens go first.
var collectionTables = []kv.Table{
	kv.DEKs, kv.Index, kv.Tokens, kv.Revisions, kv.Labels, kv.Changes, kv.Records, kv.Counters,
}

func (s *Store) purge(ctx context.Context, c uid.UID) error {
	for _, table := range collectionTables {
		for more := true; more; {
			err := s.engine.Update(ctx, kv.Bulk, 64*sweepBatch, func(tx kv.Tx) error {
				more = dropSome(tx, table, c)
				return nil
			})
			if err != nil {
				return engineError(err)
			}
		}
	}
	return s.purgeExpiry(ctx, c)
}

// dropSome deletes a batch of what a collection has in a table, and reports
// whether there may be more.
func dropSome(tx kv.Tx, table kv.Table, c uid.UID) bool {
	var keys [][]byte
	var t keyTally
	tx.Scan(table, c[:], after(c[:]), func(key, value []byte) bool {
		keys = append(keys, bytes.Clone(key))
		switch table {
		case kv.DEKs:
			t.dek(value, -1)
		case kv.Tokens:
			t.tokens(value, -1)
		}
		return len(keys) < sweepBatch
	})
	for _, key := range keys {
		tx.Delete(table, key)
	}
	t.add(tx, c)
	return len(keys) == sweepBatch
}

// purgeExpiry removes what waits for a time that no longer matters: a walk
// through the whole table, in chunks.
func (s *Store) purgeExpiry(ctx context.Context, c uid.UID) error {
	var from []byte
	for done := false; !done; {
		var next []byte
		err := s.engine.Update(ctx, kv.Bulk, 64*sweepBatch, func(tx kv.Tx) error {
			var keys [][]byte
			seen := 0
			next, done = from, true // it can run more than once
			tx.Scan(kv.Expiry, from, nil, func(key, _ []byte) bool {
				next = append(bytes.Clone(key), 0)
				if len(key) > 9 && key[8] != expiryIdempotency && bytes.HasPrefix(key[9:], c[:]) {
					keys = append(keys, bytes.Clone(key))
				}
				seen++
				done = seen < 4*sweepBatch
				return done
			})
			for _, key := range keys {
				tx.Delete(kv.Expiry, key)
			}
			return nil
		})
		if err != nil {
			return engineError(err)
		}
		from = next
	}
	return nil
}

// sweepOperations forgets the operations of the control plane that are older
// than the time in which log and store are reconciled.
func (s *Store) sweepOperations(ctx context.Context) error {
	var until [16]byte
	binary.BigEndian.PutUint64(until[:], uint64(s.now().Add(-keepOperations).UnixMilli())<<16)
	for more := true; more; {
		old := false
		err := s.engine.View(ctx, func(tx kv.ReadTx) error {
			tx.Scan(kv.Operations, nil, until[:], func(_, _ []byte) bool { old = true; return false })
			return nil
		})
		if err != nil || !old {
			return engineError(err)
		}
		err = s.engine.Update(ctx, kv.Bulk, 64*sweepBatch, func(tx kv.Tx) error {
			var keys [][]byte
			tx.Scan(kv.Operations, nil, until[:], func(key, _ []byte) bool {
				keys = append(keys, bytes.Clone(key))
				return len(keys) < sweepBatch
			})
			for _, key := range keys {
				tx.Delete(kv.Operations, key)
			}
			more = len(keys) == sweepBatch
			return nil
		})
		if err != nil {
			return engineError(err)
		}
	}
	return nil
}
