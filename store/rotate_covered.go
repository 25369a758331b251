package store

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"strongroom/envelope"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// CoveredBy hands fn every record that a key of a keyset has covered: of an
// integration's key each record that was there before the key was retired, since
// a sweep brought it under the key when it was promoted; of a key of the system
// domain every control-plane value. The key may be destroyed. What was erased
// meanwhile is not known any more. fn runs outside of any transaction, and its
// error ends the walk. A key id that no domain knows is ErrNotFound.
func (s *Store) CoveredBy(ctx context.Context, c Caller, keyID uint32, fn func(CoveredRecord) error) (err error) {
	op := s.start(c, "covered", target{control: kindKeys + "/" + envelope.FormatKeyID(keyID)})
	defer func() { err = op.end(err) }()
	domains, err := s.KeyDomains(c)
	if err != nil {
		return err
	}
	found := false
	for _, d := range domains {
		lives, err := s.livesOf(ctx, d, keyID)
		if err != nil {
			return err
		}
		for _, life := range lives {
			found = true
			walk := &coveredWalk{s: s, ctx: ctx, op: op, d: d, life: life, fn: fn}
			if err := walk.run(); err != nil {
				return engineError(err)
			}
		}
	}
	if !found {
		return fmt.Errorf("key %s: %w", envelope.FormatKeyID(keyID), ErrNotFound)
	}
	return nil
}

// livesOf returns the keys of a domain with a key id: nearly always one.
func (s *Store) livesOf(ctx context.Context, d KeyDomain, keyID uint32) (lives []keyLife, err error) {
	at, err := s.readKeys(ctx, d)
	if err != nil {
		return nil, err
	}
	if refs, err := s.openKeys(ctx, d); err == nil { // else the history alone tells
		at.history.adopt(refs, time.Time{})
	}
	for _, life := range at.history.Keys {
		if life.Key.KeyID == keyID {
			lives = append(lives, life)
		}
	}
	return lives, nil
}

// coveredMargin is how long after a key was retired, by the clock, a revision may
// say that it was made and yet have been under the key: the write that retired
// the key took a moment, and others were on their way.
const coveredMargin = time.Minute

// coveredWalk is a walk through what one key has covered.
type coveredWalk struct {
	s    *Store
	ctx  context.Context
	op   *operation
	d    KeyDomain
	life keyLife
	fn   func(CoveredRecord) error
	last *CoveredRecord // whose revisions are not all counted yet
}

func (w *coveredWalk) run() error {
	if w.life.PromotedAt.IsZero() && w.life.Key.Generation > 1 {
		return nil // it never sealed anything
	}
	if w.d.System() {
		return w.control()
	}
	cat := w.s.catalog.Load()
	for _, c := range cat.collectionsOf(w.d.UID) {
		if err := w.collection(cat, c); err != nil {
			return err
		}
	}
	return nil
}

// control lists control values: of a key for MACs too, since they are remembered
// for a day alone.
func (w *coveredWalk) control() error {
	return w.chunks(kv.Control, nil, nil, func(_ kv.ReadTx, key, value []byte) *CoveredRecord {
		stored, _ := decodeControlValue(value)
		id, err := envelope.KeyIDOf(stored.sealed)
		return &CoveredRecord{Control: placeOf(nil, sweepsControl, key), Under: err == nil && id == w.life.Key.KeyID}
	})
}

// collection lists the records of a collection, each once, with those of its
// revisions that the key has covered.
func (w *coveredWalk) collection(cat *catalog, c uid.UID) error {
	collection := cat.nameOf(c)
	if coll := cat.collectionByUID(c); coll != nil {
		collection = coll.name
	}
	err := w.chunks(kv.Revisions, c[:], after(c[:]), func(tx kv.ReadTx, key, value []byte) *CoveredRecord {
		_, id, _, ok := splitRevisionKey(key)
		raw, readable := rawHeaderOf(value)
		if !ok || !readable {
			return nil
		}
		h, err := decodeHeader(raw, nil)
		if err != nil || !w.life.RetiredAt.IsZero() && h.updated.After(w.life.RetiredAt.Add(coveredMargin)) {
			return nil
		}
		return &CoveredRecord{
			Integration: w.d.Integration, Collection: collection, Record: id, Revisions: 1, CreatedAt: h.updated,
			Under: w.under(tx, c, id, key),
		}
	})
	if err == nil {
		err = w.flush()
	}
	return err
}

// under reports whether a value of the revision is under the key now.
func (w *coveredWalk) under(tx kv.ReadTx, c uid.UID, id string, key []byte) bool {
	if w.life.Key.Purpose == envelope.PurposeWrapping {
		under, err := envelope.KeyIDOf(tx.Get(kv.DEKs, key))
		return err == nil && under == w.life.Key.KeyID
	}
	raw := tx.Get(kv.Tokens, recordKey(c, id))
	set, err := decodeTokenSet(raw)
	return raw != nil && err == nil && set.generation == w.life.Key.Generation
}

// chunks reads a range in short views and hands on what one makes of it.
func (w *coveredWalk) chunks(t kv.Table, from, to []byte, one func(tx kv.ReadTx, key, value []byte) *CoveredRecord) error {
	for more := true; more; {
		var some []CoveredRecord
		start := from
		until := time.Now().Add(viewTime)
		err := w.s.engine.View(w.ctx, func(tx kv.ReadTx) error {
			some, more = some[:0], false
			tx.Scan(t, start, to, func(key, value []byte) bool {
				if r := one(tx, key, value); r != nil {
					some = append(some, *r)
				}
				if more = len(some) >= viewItems || !time.Now().Before(until); more {
					from = append(bytes.Clone(key), 0)
				}
				return !more
			})
			return nil
		})
		if err != nil {
			return err
		}
		for i := range some {
			if err := w.add(&some[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// add joins the revisions of a record, and hands on those that are complete.
func (w *coveredWalk) add(r *CoveredRecord) error {
	if l := w.last; l != nil && r.Control == "" && l.Collection == r.Collection && l.Record == r.Record {
		l.Revisions++
		l.Under = l.Under || r.Under
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	if w.last = r; r.Control != "" {
		return w.flush()
	}
	return nil
}

func (w *coveredWalk) flush() error {
	r := w.last
	if r == nil {
		return nil
	}
	w.last = nil
	w.op.entry.Count++
	return w.fn(*r)
}
