package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"strongroom/envelope"
	"strongroom/internal/access"
	"strongroom/internal/ledger"
	"strongroom/store/kv"
)

// DeleteRecord hides a record until its collection's undelete time has passed,
// and erases it then; at once where that time is 0.
func (s *Store) DeleteRecord(ctx context.Context, c Caller, ref RecordRef, o WriteOptions) (res WriteResult, err error) {
	op := s.start(c, access.ActionDelete, recordTarget(ref))
	defer func() { err = op.end(err) }()
	return s.changeState(ctx, op, ref, o, func(sc scope, st *state, now time.Time) (bool, error) {
		if st.life == deleted {
			return false, ErrNotFound
		}
		if sc.collection.undeleteFor == 0 {
			return true, nil
		}
		st.life, st.deletedAt, st.purgeAt = deleted, now, now.Add(sc.collection.undeleteFor)
		return false, nil
	})
}

// UndeleteRecord brings a deleted record back.
func (s *Store) UndeleteRecord(ctx context.Context, c Caller, ref RecordRef, o WriteOptions) (res WriteResult, err error) {
	op := s.start(c, access.ActionDelete, recordTarget(ref))
	op.entry.Detail = "undelete"
	defer func() { err = op.end(err) }()
	return s.changeState(ctx, op, ref, o, func(_ scope, st *state, now time.Time) (bool, error) {
		if st.life != deleted {
			return false, fmt.Errorf("%w: the record is not deleted", ErrConflict)
		}
		if !now.Before(st.purgeAt) {
			return false, ErrNotFound
		}
		st.life, st.deletedAt, st.purgeAt = live, time.Time{}, time.Time{}
		return false, nil
	})
}

// ExpungeRecord erases a record now, deleted or not, damaged or not. It needs
// no key.
func (s *Store) ExpungeRecord(ctx context.Context, c Caller, ref RecordRef) (err error) {
	op := s.start(c, access.ActionErase, recordTarget(ref))
	defer func() { err = op.end(err) }()
	sc, err := s.authorise(c, access.ActionErase, ref.CollectionRef)
	if err != nil {
		return err
	}
	if err := op.intent(); err != nil {
		return err
	}
	w := &write{s: s, op: op, ref: ref.CollectionRef, sc: sc, id: ref.Record}
	return w.change(ctx, func(tx kv.Tx, dom *envelope.Domain) error {
		if err := w.judgeState(tx, dom); err != nil {
			return err
		}
		return s.expungeIn(tx, op, w.sc.collection, w.id)
	})
}

// change runs a write that needs nothing but the tables, under the definitions
// that it was judged by: when these change meanwhile it is judged anew. Only
// where it depends on the record whether it is allowed are keys needed too.
func (w *write) change(ctx context.Context, fn func(tx kv.Tx, dom *envelope.Domain) error) error {
	for try := 0; ; try++ {
		dom, err := w.judging(ctx, try)
		if err != nil {
			return err
		}
		err = w.s.engine.Update(ctx, kv.Interactive, 1024, func(tx kv.Tx) error {
			if err := standing(tx, w.sc.collection); err != nil {
				return err
			}
			if err := w.claim.stands(tx); err != nil {
				return err
			}
			return fn(tx, dom)
		})
		unknown := errors.Is(err, errUnknownKey) && try == 0 // a refresh may cure it
		if !errors.Is(err, errStale) && !unknown || try >= totalTries {
			return finalError(err)
		}
		w.s.stats.stale.Add(1)
		if err := w.renewClaim(ctx, err); err != nil {
			return err
		}
		w.s.awaitChange()
		if w.sc, err = w.s.authorise(w.op.caller, w.op.action(), w.ref); err != nil {
			return err
		}
	}
}

// judging returns the keys that the record is judged with, nil where it need
// not be. The first try takes those that are held, the next ones fresh ones.
func (w *write) judging(ctx context.Context, try int) (*envelope.Domain, error) {
	if !w.sc.base.Depends(w.op.action()) {
		return nil, nil
	}
	in := w.sc.collection.integration.doc.UID
	if try > 0 {
		if err := w.s.domains.Restate(ctx, in); err != nil {
			return nil, keyError(err)
		}
	}
	dom, err := w.s.domains.Open(ctx, in)
	return dom, keyError(err)
}

func (s *Store) expungeIn(tx kv.Tx, op *operation, coll *collection, id string) error {
	var t tally
	if err := expunge(tx, coll.doc.UID, id, &t); err != nil {
		return err
	}
	t.add(tx, coll.doc.UID)
	op.notes = []ledger.Note{erasedNote(tx, coll.doc.UID, id)}
	op.put(tx, coll.doc.UID.String()+"/"+id)
	return nil
}

// changeState runs a write that changes a record's state and makes no
// revision. edit reports whether the record is to be erased instead.
func (s *Store) changeState(ctx context.Context, op *operation, ref RecordRef, o WriteOptions, edit func(scope, *state, time.Time) (bool, error)) (res WriteResult, err error) {
	sc, err := s.authorise(op.caller, op.action(), ref.CollectionRef)
	if err != nil {
		return res, err
	}
	cl, err := s.claim(ctx, op.caller, sc.collection.doc.UID, o)
	if err != nil {
		return res, err
	}
	defer cl.release()
	w := &write{s: s, op: op, ref: ref.CollectionRef, sc: sc, claim: cl, id: ref.Record}
	if res, ok := w.replayed(); ok {
		return res, nil
	}
	if err := op.intent(); err != nil {
		return res, err
	}
	err = w.change(ctx, func(tx kv.Tx, dom *envelope.Domain) (err error) {
		if err = w.judgeState(tx, dom); err == nil {
			res, err = w.commitState(tx, o.Precondition, edit)
		}
		return err
	})
	op.entry.Revision = res.Revision
	return res, err
}

func (w *write) commitState(tx kv.Tx, pre Precondition, edit func(scope, *state, time.Time) (bool, error)) (WriteResult, error) {
	coll, now := w.sc.collection, w.s.now().UTC()
	f, err := findState(tx, coll, w.id)
	if err != nil {
		return WriteResult{}, err
	}
	if !f.exists {
		return WriteResult{}, ErrNotFound
	}
	f.rawState = bytes.Clone(f.rawState)
	if err := pre.check(f.visibleRevision()); err != nil {
		return WriteResult{}, err
	}
	next := f.state
	erase, err := edit(w.sc, &next, now)
	if err != nil {
		return WriteResult{}, err
	}
	res := WriteResult{ID: w.id, Revision: f.state.revision, UpdatedAt: now}
	if erase {
		err = w.s.expungeIn(tx, w.op, coll, w.id)
	} else {
		w.op.notes = nil // of a try that was undone
		next.operation, next.sequence = w.op.id, nextSequence(tx, 1)
		putState(tx, coll.doc.UID, w.id, f, next, w.s.changeTime(now))
		var t tally
		t.count(f, next)
		t.add(tx, coll.doc.UID)
		if !next.purgeAt.IsZero() {
			res.PurgeAt = &next.purgeAt
		}
	}
	if err == nil {
		err = w.claim.remember(tx, remembered{id: w.id, revision: res.Revision, updated: now}, now)
	}
	return res, err
}

// ListRevisions tells of a record's revisions, newest first.
func (s *Store) ListRevisions(ctx context.Context, c Caller, ref RecordRef) (out []RevisionInfo, err error) {
	op := s.start(c, access.ActionHistory, recordTarget(ref))
	defer func() { err = op.end(err) }()
	sc, err := s.authorise(c, access.ActionHistory, ref.CollectionRef)
	if err != nil {
		return nil, err
	}
	return s.history(ctx, sc, ref.Record)
}
