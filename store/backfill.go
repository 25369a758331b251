package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"strongroom/envelope"
	"strongroom/internal/schema"
	"strongroom/store/kv"
)

// backfill fills the indexes that are not complete, collection by collection.
// Writes keep the index of their record from the moment that the field was
// declared; what was written before is walked once. A fill that was interrupted
// starts again.
func (s *Store) backfill(ctx context.Context) error {
	for _, in := range s.catalog.Load().integrations {
		for _, coll := range in.collections {
			b := coll.doc.Backfill
			if b == nil || b.Problem != "" || in.doc.DestroyAt != nil {
				continue
			}
			if err := s.fill(ctx, coll); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) fill(ctx context.Context, coll *collection) error {
	for position := ""; ; {
		ids, err := s.idsAfter(ctx, coll, position)
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			return s.filled(ctx, coll, "")
		}
		err = s.fillSome(ctx, coll, ids)
		var conflict *UniqueConflict
		switch {
		case errors.As(err, &conflict):
			return s.filled(ctx, coll, "two records hold the same value of the unique field "+strconv.Quote(conflict.Path))
		case errors.Is(err, errStale):
			return nil // the definition changed: the next pass sees the new one
		case err != nil:
			return err
		}
		position = ids[len(ids)-1]
	}
}

func (s *Store) idsAfter(ctx context.Context, coll *collection, position string) (ids []string, err error) {
	prefix := coll.doc.UID[:]
	err = s.engine.View(ctx, func(tx kv.ReadTx) error {
		ids = nil
		tx.Scan(kv.Records, from(prefix, position), after(prefix), func(key, _ []byte) bool {
			ids = append(ids, string(key[len(prefix):]))
			return len(ids) < sweepBatch
		})
		return nil
	})
	return ids, engineError(err)
}

// refill is the new set of tokens of one record.
type refill struct {
	id       string
	revision uint64 // whose fields they are of
	set      sealedDraft
}

// fillSome makes the tokens of some records outside of a transaction, and
// stores those of the records that still have the same revision: who wrote
// another has stored its tokens with it. One that was deleted for a time has
// not, and may come back.
func (s *Store) fillSome(ctx context.Context, coll *collection, ids []string) error {
	var refills []refill
	final := false // a key that is not known is damage: the keysets were just refreshed
	err := s.view(ctx, coll.integration, func(tx kv.ReadTx, dom *envelope.Domain) error {
		refills = refills[:0]
		if err := indexCurrent(tx, coll, dom); err != nil {
			return err
		}
		defer func() { final = true }()
		for _, id := range ids {
			r, err := s.refillOf(tx, coll, dom, id)
			if err != nil && !(final && errors.Is(err, errUnknownKey)) {
				return err
			}
			if err != nil {
				s.noteDamage(coll, id, err)
			}
			if r != nil {
				refills = append(refills, *r)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return engineError(s.engine.Update(ctx, kv.Bulk, 256*len(refills), func(tx kv.Tx) error {
		return storeRefills(tx, coll, refills)
	}))
}

// refillOf makes the tokens of one record. A damaged record gets none: it is
// noted, and found by nothing.
func (s *Store) refillOf(tx kv.ReadTx, coll *collection, dom *envelope.Domain, id string) (*refill, error) {
	f, err := s.findCurrent(tx, coll, dom, id)
	if errors.Is(err, errUnknownKey) {
		return nil, err
	}
	if err != nil {
		s.noteDamage(coll, id, err)
		return nil, nil
	}
	if !f.exists {
		return nil, nil
	}
	values, err := openAll(&f.revision, f.opener)
	if err != nil {
		s.noteDamage(coll, id, err)
		return nil, nil
	}
	if f.revision.header.schemaVersion != coll.doc.SchemaVersion {
		values = coll.schema.Resplit(values)
	}
	r := &refill{id: id, revision: f.state.revision}
	r.set = sealedDraft{draft: draft{id: id, values: indexable(coll, values)}, base: found{exists: true}}
	r.set.generation = coll.integration.generation
	if err := r.set.index(dom, coll); err != nil {
		return nil, err
	}
	r.set.values = nil
	return r, nil
}

// indexable drops values of a kind that the index cannot hold: an older schema
// may have allowed them.
func indexable(coll *collection, values []schema.Value) []schema.Value {
	var out []schema.Value
	for _, v := range values {
		if f, ok := coll.indexedField(v.Path); ok {
			if _, err := schema.Normalise(f.Normalise, v.JSON); err == nil {
				out = append(out, v)
			}
		}
	}
	return out
}

func storeRefills(tx kv.Tx, coll *collection, refills []refill) error {
	if err := inForce(tx, coll, coll.integration.generation); err != nil {
		return err
	}
	var t tally
	for i := range refills {
		r := &refills[i]
		st, err := decodeState(tx.Get(kv.Records, recordKey(coll.doc.UID, r.id)))
		if err != nil || st.revision != r.revision {
			continue
		}
		if err := r.set.checkUnique(tx, coll); err != nil {
			return err
		}
		r.set.reindex(tx, coll.doc.UID, &t)
	}
	t.add(tx, coll.doc.UID)
	return nil
}

// filled marks the indexes of a collection as complete, or says why they
// cannot be.
func (s *Store) filled(ctx context.Context, coll *collection, problem string) (err error) {
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	ref := CollectionRef{Integration: coll.integration.name, Collection: coll.name}
	in, now, err := s.place(ref)
	if err != nil || now == nil || now.version != coll.version {
		return nil // it changed or went away meanwhile
	}
	doc := now.doc
	doc.Backfill = nil
	if problem != "" {
		doc.Backfill = &backfillPending{Fields: now.doc.Backfill.Fields, Problem: problem}
	}
	next, err := newCollection(in, now.name, doc, now.version+1)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	op := s.startInternal("backfill", kindCollection+"/"+ref.Integration+"/"+ref.Collection)
	return op.end(s.change(ctx, op, definitionChange(in, now, next, nil)))
}
