package store

import (
	"context"
	"fmt"

	"strongroom/envelope"
	"strongroom/internal/access"
	"strongroom/internal/schema"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// upsertAction says what an upsert needs to be allowed; finding a record needs
// the right to search its key as well.
func upsertAction(how OnConflict) (access.Action, error) {
	switch how {
	case Replace, Merge:
		return access.ActionUpdate, nil
	case Ignore, Fail:
		return access.ActionCreate, nil
	}
	return "", invalid("/on_conflict", "want replace, merge, ignore or fail")
}

// UpsertRecord creates a record, or does with the one that has the same value
// of a unique field what OnConflict says.
func (s *Store) UpsertRecord(ctx context.Context, c Caller, ref CollectionRef, in RecordInput, o UpsertOptions) (res WriteResult, err error) {
	action, bad := upsertAction(o.OnConflict)
	if bad == nil && in.ID != "" {
		bad = checkRecordID("/id", in.ID)
	}
	op := s.start(c, action, target{integration: ref.Integration, collection: ref.Collection})
	defer func() { err = op.end(err) }()
	if bad != nil {
		return res, bad
	}
	u, err := s.upserter(op, ref, o.Key, o.OnConflict)
	if err != nil {
		return res, err
	}
	cl, err := s.claim(ctx, c, u.sc.collection.doc.UID, o.WriteOptions)
	if err != nil {
		return res, err
	}
	defer cl.release()
	w := u.write(in, cl)
	w.pre = o.Precondition
	if res, ok := w.replayed(); ok {
		return res, nil
	}
	res, err = w.run(ctx)
	op.entry.Record, op.entry.Revision = w.id, res.Revision
	return res, err
}

// upserter makes the writes of upserts on one key.
type upserter struct {
	s   *Store
	op  *operation
	ref CollectionRef
	sc  scope
	key schema.Field
	how OnConflict
}

func (s *Store) upserter(op *operation, ref CollectionRef, key string, how OnConflict) (*upserter, error) {
	sc, err := s.authorise(op.caller, op.action(), ref)
	if err != nil {
		return nil, err
	}
	if _, err := s.authorise(op.caller, access.ActionCreate, ref); err != nil {
		return nil, err
	}
	f, ok := sc.collection.indexedField(key)
	switch {
	case !sc.decision.CouldSearch(key) || sc.guardsSearch(key):
		return nil, &FieldsForbidden{Pointers: []string{"/key"}}
	case !ok || f.Index != schema.IndexUnique:
		return nil, invalid("/key", "an upsert needs a unique field (x-index: unique)")
	case sc.collection.filling[key]:
		return nil, fmt.Errorf("%w: the index of the key is being filled", ErrConflict)
	}
	return &upserter{s: s, op: op, ref: ref, sc: sc, key: f, how: how}, nil
}

func (u *upserter) write(in RecordInput, cl *claim) *write {
	fresh := in.ID
	if fresh == "" {
		fresh = uid.NewV7(u.s.now())
	}
	w := &write{s: u.s, op: u.op, ref: u.ref, sc: u.sc, claim: cl, needs: u.needs}
	proposed := false // by the index; else the id is the caller's or a new one
	w.find = func(tx kv.ReadTx, dom *envelope.Domain) (string, error) {
		id, err := u.find(tx, dom, w.sc.collection, in)
		if proposed = id != ""; !proposed {
			id = fresh
		}
		return id, err
	}
	w.draft = func(sc scope, f *found) (draft, error) {
		if err := sc.ownID(access.ActionCreate, in); err != nil {
			return draft{}, err
		}
		if err := u.confirm(sc, f, in, proposed); err != nil {
			return draft{}, err
		}
		d, err := u.draft(sc, f, w.id, in)
		if err == errUnchanged {
			h := &f.revision.header
			w.result = WriteResult{ID: w.id, Revision: f.state.revision, CreatedAt: h.created, UpdatedAt: h.updated, Unchanged: true, ETag: etag(f.state.revision, h.operation, sc, nil, false)}
		}
		return d, err
	}
	return w
}

// needs is what is needed of the record that is found: it is found by its key,
// so that must be allowed of it too.
func (u *upserter) needs(sc scope) bool {
	changes := u.how == Replace || u.how == Merge
	return sc.allows(access.ActionSearch) && sc.decision.MaySearch(u.key.Path) && (!changes || sc.allows(access.ActionUpdate))
}

// confirm opens the key of the record that the index proposed: the index is not
// authenticated, and must not send a write to another record. A record that it
// did not propose, but has the id that the caller gave, has another key.
func (u *upserter) confirm(sc scope, f *found, in RecordInput, proposed bool) error {
	switch {
	case f.hidden && proposed:
		return errTaken // as creating another would be told
	case !proposed && (f.visibleRevision() != 0 || f.hidden):
		return ErrExists
	case !proposed:
		return nil
	case !f.exists:
		return damaged("index", errMissing)
	}
	values, err := sc.collection.schema.Split(orEmptyObject(in.Fields))
	if err != nil {
		return asInvalid("/fields", err)
	}
	for _, v := range values {
		if v.Path != u.key.Path {
			continue
		}
		c, err := sc.collection.criterion(v)
		if err != nil {
			return err
		}
		holds, err := sc.collection.holds(&f.revision, f.opener, []criterion{c})
		if err == nil && !holds {
			err = damaged("index", errMissing)
		}
		return err
	}
	return nil
}

// find returns the id of the record that holds the key, "" when none does.
func (u *upserter) find(tx kv.ReadTx, dom *envelope.Domain, coll *collection, in RecordInput) (string, error) {
	values, err := coll.schema.Split(orEmptyObject(in.Fields))
	if err != nil {
		return "", asInvalid("/fields", err)
	}
	if err := indexCurrent(tx, coll, dom); err != nil {
		return "", err
	}
	id := ""
	for _, generation := range dom.IndexGenerations() {
		token, err := coll.token(dom, generation, u.key, values)
		if err != nil {
			return "", err
		}
		if token == nil {
			return "", invalid("/fields/"+u.key.Path, "the key of an upsert must have a value")
		}
		if id == "" {
			id = nextID(tx, indexPrefix(coll.doc.UID, u.key.Path, generation, token), "")
		}
	}
	return id, nil
}

func (u *upserter) draft(sc scope, f *found, id string, in RecordInput) (draft, error) {
	w := u.s.writer(sc, u.op)
	if f.visibleRevision() == 0 {
		w.action = access.ActionCreate
		return w.anew(id, f, in)
	}
	switch u.how {
	case Replace:
		return w.replacing(id, f, in)
	case Merge:
		return w.merging(id, f, in)
	case Ignore:
		return draft{}, errUnchanged
	}
	return draft{}, &UniqueConflict{Path: u.key.Path}
}
