package store

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"strongroom/internal/access"
	"strongroom/internal/ledger"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// sweepExpiry erases what the Expiry table says is due, in batches.
func (s *Store) sweepExpiry(ctx context.Context, stats *SweepStats) error {
	for {
		due, err := s.due(ctx)
		if err != nil || len(due) == 0 {
			return err
		}
		op := s.startInternal(access.ActionErase, "expiry")
		s.nameDue(op, due)
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

// due returns keys of the Expiry table whose time has come: all of one
// collection, or all of idempotency keys.
func (s *Store) due(ctx context.Context) (keys [][]byte, err error) {
	until := expiryKey(s.now(), 255, nil)
	err = s.engine.View(ctx, func(tx kv.ReadTx) error {
		keys = nil
		seen := 0
		tx.Scan(kv.Expiry, nil, until, func(key, _ []byte) bool {
			if len(key) > 9 && (len(keys) == 0 || dueIn(key) == dueIn(keys[0])) {
				keys = append(keys, bytes.Clone(key))
			}
			seen++
			return len(keys) < sweepBatch && seen < 16*sweepBatch
		})
		return nil
	})
	return keys, engineError(err)
}

// dueIn returns the collection that an entry of the Expiry table is about;
// uid.Zero for an idempotency key.
func dueIn(key []byte) (c uid.UID) {
	if key[8] != expiryIdempotency {
		copy(c[:], key[9:])
	}
	return c
}

// nameDue says in the audit entry what is about to be erased.
func (s *Store) nameDue(op *operation, due [][]byte) {
	c := dueIn(due[0])
	op.entry.Count = uint64(len(due))
	if coll := s.catalog.Load().collectionByUID(c); coll != nil {
		op.entry.Integration, op.entry.Collection = coll.integration.name, coll.name
	}
	for _, key := range due {
		what := key[9:]
		_, id, _, ok := splitRevisionKey(what)
		if key[8] == expiryPurge && len(what) > len(c) {
			id, ok = string(what[len(c):]), true
		}
		if ok && key[8] != expiryIdempotency && !slices.Contains(op.entry.Records, id) {
			op.entry.Records = append(op.entry.Records, id)
		}
	}
}

func (s *Store) eraseDue(tx kv.Tx, op *operation, due [][]byte, stats *SweepStats) error {
	e := eraser{tx: tx, collection: dueIn(due[0]), stats: stats}
	var macs keyTally
	for _, key := range due {
		if tx.Get(kv.Expiry, key) == nil {
			continue
		}
		what := key[9:]
		switch key[8] {
		case expiryIdempotency:
			// A key that was used again after its day has a later entry of its own.
			if m, err := decodeRemembered(tx.Get(kv.Idempotency, what)); err != nil || !s.now().Before(m.expires) {
				forgetRequest(tx, what, &macs)
				stats.Idempotency++
			}
		case expiryPurge:
			e.record(what)
		case expiryRevision:
			e.revision(what)
		}
		tx.Delete(kv.Expiry, key)
	}
	macs.add(tx, uid.Zero)
	e.note(op)
	return nil
}

// eraser erases records of one collection in one transaction.
type eraser struct {
	tx         kv.Tx
	collection uid.UID
	stats      *SweepStats
	erased     []ledger.Record
}

// note stores, under the operation's id, which records it erased.
func (e *eraser) note(op *operation) {
	op.notes = nil // of a try that was undone
	if len(e.erased) > 0 {
		op.notes = []ledger.Note{{Kind: ledger.Erased, Collection: e.collection, Records: e.erased}}
		op.put(e.tx, e.collection.String())
	}
}

// record erases a record by its key in the Records table.
func (e *eraser) record(key []byte) {
	if len(key) <= len(e.collection) {
		return
	}
	id := string(key[len(e.collection):])
	var t tally
	if expunge(e.tx, e.collection, id, &t) == nil {
		t.add(e.tx, e.collection)
		e.erased = append(e.erased, ledger.Record{ID: id, Revision: counter(e.tx, e.collection, counterFloor)})
		e.stats.Erased++
	}
}

// revision erases a record when the revision that is due is its current one,
// else that revision alone.
func (e *eraser) revision(key []byte) {
	c, id, number, ok := splitRevisionKey(key)
	if !ok {
		return
	}
	st, err := decodeState(e.tx.Get(kv.Records, recordKey(c, id)))
	if err == nil && st.revision != number {
		if e.tx.Get(kv.Revisions, key) != nil {
			var t tally
			removeRevision(e.tx, c, id, number, &t)
			t.add(e.tx, c)
			e.stats.Revisions++
		}
		return
	}
	e.record(recordKey(c, id))
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
	e := eraser{tx: tx, collection: coll.doc.UID, stats: stats}
	for _, o := range old {
		if tx.Get(kv.Changes, o.key) == nil {
			continue
		}
		e.record(recordKey(coll.doc.UID, o.id))
		tx.Delete(kv.Changes, o.key)
	}
	e.note(op)
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
