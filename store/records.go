package store

import (
	"context"
	"time"

	"strongroom/internal/access"
	"strongroom/internal/uid"
)

// CreateRecord stores a new record. Its id is a UUIDv7 unless the caller gives
// one, which needs that creating is not tied to a condition.
func (s *Store) CreateRecord(ctx context.Context, c Caller, ref CollectionRef, in RecordInput, o WriteOptions) (res WriteResult, err error) {
	op := s.start(c, access.ActionCreate, target{integration: ref.Integration, collection: ref.Collection, record: in.ID})
	defer func() { err = op.end(err) }()
	id := in.ID
	if id == "" {
		id = uid.NewV7(s.now())
	} else if err := checkRecordID("/id", id); err != nil {
		return res, err
	}
	return s.write(ctx, op, ref, id, o, nil, func(sc scope, f *found) (draft, error) {
		if err := sc.ownID(access.ActionCreate, in); err != nil {
			return draft{}, err
		}
		if f.visibleRevision() != 0 {
			return draft{}, ErrExists
		}
		return s.writer(sc, op).anew(id, f, in)
	})
}

// ownID refuses an id of the caller's where it depends on the record whether
// the caller may create it: a record of that id that it may not see could not be
// kept secret.
func (sc scope) ownID(a access.Action, in RecordInput) error {
	if in.ID != "" && !sc.base.Allows(a) {
		return &FieldsForbidden{Pointers: []string{"/id"}}
	}
	return nil
}

func (s *Store) writer(sc scope, op *operation) *writer {
	return &writer{s: s, sc: sc, action: op.action(), now: s.now().UTC().Truncate(time.Microsecond)}
}

// write authorises, claims the idempotency key and runs a write of one record.
// needs says what is needed of a record that is there.
func (s *Store) write(ctx context.Context, op *operation, ref CollectionRef, id string, o WriteOptions, needs func(scope) bool, make func(scope, *found) (draft, error)) (res WriteResult, err error) {
	sc, err := s.authorise(op.caller, op.action(), ref)
	if err != nil {
		return res, err
	}
	cl, err := s.claim(ctx, op.caller, sc.collection.doc.UID, o)
	if err != nil {
		return res, err
	}
	defer cl.release()
	w := &write{s: s, op: op, ref: ref, sc: sc, claim: cl, pre: o.Precondition, draft: make, needs: needs, id: id}
	if res, ok := w.replayed(); ok {
		return res, nil
	}
	res, err = w.run(ctx)
	op.entry.Record, op.entry.Revision = w.id, res.Revision
	return res, err
}

// PutRecord replaces what the caller may write of a record, or creates it when
// the caller may create.
func (s *Store) PutRecord(ctx context.Context, c Caller, ref RecordRef, in RecordInput, o WriteOptions) (res WriteResult, err error) {
	action, err := s.putAction(c, ref, o)
	op := s.start(c, action, recordTarget(ref))
	defer func() { err = op.end(err) }()
	if err != nil {
		return res, err
	}
	if err := checkRecordID("", ref.Record); err != nil {
		return res, err
	}
	needs := op.changing
	if action == access.ActionCreate {
		needs = nil
	}
	return s.write(ctx, op, ref.CollectionRef, ref.Record, o, needs, func(sc scope, f *found) (draft, error) {
		return s.put(sc, op, f, ref.Record, in)
	})
}

// putAction says what a PUT may be: an update, a creation for whoever may only
// create, of any record: the id is the caller's.
func (s *Store) putAction(c Caller, ref RecordRef, o WriteOptions) (access.Action, error) {
	_, err := s.authorise(c, access.ActionUpdate, ref.CollectionRef)
	if err == nil && !o.Absent {
		return access.ActionUpdate, nil
	}
	if sc, again := s.authorise(c, access.ActionCreate, ref.CollectionRef); again == nil && sc.decision.Allows(access.ActionCreate) {
		return access.ActionCreate, nil
	}
	return access.ActionUpdate, err
}

func (s *Store) put(sc scope, op *operation, f *found, id string, in RecordInput) (draft, error) {
	w := s.writer(sc, op)
	if f.visibleRevision() == 0 {
		if !sc.base.Allows(access.ActionCreate) {
			return draft{}, ErrNotFound
		}
		if f.hidden {
			return draft{}, ErrExists
		}
		w.action = access.ActionCreate
		return w.anew(id, f, in)
	}
	if w.action == access.ActionCreate {
		return draft{}, ErrExists
	}
	return w.replacing(id, f, in)
}

// PatchRecord merges changes into a record (RFC 7396).
func (s *Store) PatchRecord(ctx context.Context, c Caller, ref RecordRef, in RecordInput, o WriteOptions) (res WriteResult, err error) {
	op := s.start(c, access.ActionUpdate, recordTarget(ref))
	defer func() { err = op.end(err) }()
	return s.write(ctx, op, ref.CollectionRef, ref.Record, o, op.changing, func(sc scope, f *found) (draft, error) {
		if f.visibleRevision() == 0 {
			return draft{}, ErrNotFound
		}
		return s.writer(sc, op).merging(ref.Record, f, in)
	})
}

// RollbackRecord makes an earlier revision the content of a new one. Its values
// are copied inside the store; the caller does not get to see them.
func (s *Store) RollbackRecord(ctx context.Context, c Caller, ref RecordRef, revision uint64, o WriteOptions) (res WriteResult, err error) {
	op := s.start(c, access.ActionRollback, recordTarget(ref))
	defer func() { err = op.end(err) }()
	sc, err := s.authorise(c, access.ActionRollback, ref.CollectionRef)
	if err != nil {
		return res, err
	}
	old, err := s.readOld(ctx, sc, ref.Record, revision)
	if err != nil {
		return res, err
	}
	return s.write(ctx, op, ref.CollectionRef, ref.Record, o, op.changing, func(sc scope, f *found) (draft, error) {
		return s.rolledBack(sc, op, f, ref.Record, old)
	})
}
