package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"time"

	"strongroom/internal/access"
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
		s.sweepCounts(ctx),
		s.backfill(ctx),
	)
	return stats, err
}

// sweepExpiry erases what the Expiry table says is due, in batches.
func (s *Store) sweepExpiry(ctx context.Context, stats *SweepStats) error {
	for {
		due, err := s.due(ctx)
		if err != nil || len(due) == 0 {
			return err
		}
		op := s.startInternal(access.ActionErase, "expiry")
		op.entry.Count = uint64(len(due))
		if err := op.intent(); err != nil {
			return err
		}
		var batch SweepStats
		err = s.engine.Update(ctx, kv.Bulk, len(due)*256, func(tx kv.Tx) error {
			batch = SweepStats{}
			return s.eraseDue(tx, op, due, &batch)
		})
		if err = op.end(engineError(err)); err != nil {
			return err
		}
		stats.Erased += batch.Erased
		stats.Revisions += batch.Revisions
		stats.Idempotency += batch.Idempotency
	}
}

// due returns the keys of the Expiry table whose time has come.
func (s *Store) due(ctx context.Context) (keys [][]byte, err error) {
	until := expiryKey(s.now(), 255, nil)
	err = s.engine.View(ctx, func(tx kv.ReadTx) error {
		keys = nil
		tx.Scan(kv.Expiry, nil, until, func(key, _ []byte) bool {
			keys = append(keys, bytes.Clone(key))
			return len(keys) < sweepBatch
		})
		return nil
	})
	return keys, engineError(err)
}

func (s *Store) eraseDue(tx kv.Tx, op *operation, due [][]byte, stats *SweepStats) error {
	for _, key := range due {
		if tx.Get(kv.Expiry, key) == nil {
			continue
		}
		what := key[9:]
		switch key[8] {
		case expiryIdempotency:
			// A key that was used again after its day has a later entry of its own.
			if m, err := decodeRemembered(tx.Get(kv.Idempotency, what)); err != nil || !s.now().Before(m.expires) {
				tx.Delete(kv.Idempotency, what)
				stats.Idempotency++
			}
		case expiryPurge:
			s.eraseRecord(tx, op, what, stats)
		case expiryRevision:
			s.eraseRevision(tx, op, what, stats)
		}
		tx.Delete(kv.Expiry, key)
	}
	return nil
}

// eraseRecord erases a record by its key in the Records table.
func (s *Store) eraseRecord(tx kv.Tx, op *operation, key []byte, stats *SweepStats) {
	var c uid.UID
	if copy(c[:], key) < len(c) {
		return
	}
	id := string(key[len(c):])
	var t tally
	if expunge(tx, c, id, &t) == nil {
		t.add(tx, c)
		putOperation(tx, op.id, "erase", c.String()+"/"+id)
		stats.Erased++
	}
}

// eraseRevision erases a record when the revision that is due is its current
// one, else that revision alone.
func (s *Store) eraseRevision(tx kv.Tx, op *operation, key []byte, stats *SweepStats) {
	c, id, number, ok := splitRevisionKey(key)
	if !ok {
		return
	}
	st, err := decodeState(tx.Get(kv.Records, recordKey(c, id)))
	if err == nil && st.revision != number {
		if tx.Get(kv.Revisions, key) != nil {
			removeRevision(tx, c, id, number)
			(&tally{revisions: -1}).add(tx, c)
			stats.Revisions++
		}
		return
	}
	s.eraseRecord(tx, op, recordKey(c, id), stats)
}

// sweepTTL erases the records of collections with a time to live. They are
// found by the time of their last change, oldest first.
func (s *Store) sweepTTL(ctx context.Context, stats *SweepStats) error {
	for _, in := range s.catalog.Load().integrations {
		for _, coll := range in.collections {
			if coll.ttl == 0 || in.doc.DestroyAt != nil {
				continue
			}
			if err := s.sweepOld(ctx, coll, stats); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) sweepOld(ctx context.Context, coll *collection, stats *SweepStats) error {
	for {
		old, err := s.unchangedSince(ctx, coll, s.now().Add(-coll.ttl))
		if err != nil || len(old) == 0 {
			return err
		}
		ids := make([]string, len(old))
		for i := range old {
			ids[i] = old[i].id
		}
		op := s.startInternal(access.ActionErase, "ttl")
		op.entry.Integration, op.entry.Collection = coll.integration.name, coll.name
		op.entry.Records, op.entry.Count = ids, uint64(len(ids))
		if err := op.intent(); err != nil {
			return err
		}
		var batch SweepStats
		err = s.engine.Update(ctx, kv.Bulk, len(ids)*256, func(tx kv.Tx) error {
			batch = SweepStats{}
			return s.eraseOld(tx, op, coll, old, &batch)
		})
		if err = op.end(engineError(err)); err != nil {
			if errors.Is(err, errStale) {
				return nil // the definition changed: the next pass sees the new one
			}
			return err
		}
		stats.Erased += batch.Erased
	}
}

// oldChange is an entry of the change index: a record was last written then.
type oldChange struct {
	key []byte
	id  string
}

// eraseOld erases the records whose entry in the change index still stands: a
// record that was written since it was looked at has another.
func (s *Store) eraseOld(tx kv.Tx, op *operation, coll *collection, old []oldChange, stats *SweepStats) error {
	if err := standing(tx, coll); err != nil {
		return err
	}
	for _, o := range old {
		if tx.Get(kv.Changes, o.key) == nil {
			continue
		}
		s.eraseRecord(tx, op, recordKey(coll.doc.UID, o.id), stats)
		tx.Delete(kv.Changes, o.key)
	}
	return nil
}

// unchangedSince returns records whose current revision is not younger than an
// instant. A change of state alone (an undelete) moves a record in the change
// index: what counts is the header.
func (s *Store) unchangedSince(ctx context.Context, coll *collection, at time.Time) (old []oldChange, err error) {
	prefix := coll.doc.UID[:]
	err = s.engine.View(ctx, func(tx kv.ReadTx) error {
		old = nil
		tx.Scan(kv.Changes, prefix, after(prefix), func(key, value []byte) bool {
			ch, err := decodeChange(value)
			if err != nil {
				return true
			}
			if ch.at.After(at) {
				return false
			}
			old = append(old, oldChange{bytes.Clone(key), ch.id})
			return len(old) < sweepBatch
		})
		return nil
	})
	return old, engineError(err)
}

// sweepIntegrations destroys the integrations whose time has come.
func (s *Store) sweepIntegrations(ctx context.Context, stats *SweepStats) error {
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	for _, in := range s.catalog.Load().integrations {
		if at := in.doc.DestroyAt; at == nil || s.now().Before(*at) {
			continue
		}
		if err := s.destroyIntegration(ctx, in); err != nil {
			return err
		}
		stats.Integrations++
	}
	return nil
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
				more = dropSome(tx, table, c[:])
				return nil
			})
			if err != nil {
				return engineError(err)
			}
		}
	}
	return s.purgeExpiry(ctx, c)
}

// dropSome deletes a batch of keys and reports whether there may be more.
func dropSome(tx kv.Tx, table kv.Table, prefix []byte) bool {
	var keys [][]byte
	tx.Scan(table, prefix, after(prefix), func(key, _ []byte) bool {
		keys = append(keys, bytes.Clone(key))
		return len(keys) < sweepBatch
	})
	for _, key := range keys {
		tx.Delete(table, key)
	}
	return len(keys) == sweepBatch
}

// purgeExpiry removes what waits for a time that no longer matters: a walk
// through the whole table, in chunks.
func (s *Store) purgeExpiry(ctx context.Context, c uid.UID) error {
	var from []byte
	for done := false; !done; {
		err := s.engine.Update(ctx, kv.Bulk, 64*sweepBatch, func(tx kv.Tx) error {
			var keys [][]byte
			seen := 0
			next := from
			done = true
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
			from = next
			return nil
		})
		if err != nil {
			return engineError(err)
		}
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
