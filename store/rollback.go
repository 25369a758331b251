package store

import (
	"context"
	"errors"

	"strongroom/envelope"
	"strongroom/internal/access"
	"strongroom/internal/schema"
	"strongroom/store/kv"
)

// oldRevision is an earlier revision, opened: what a rollback copies.
type oldRevision struct {
	header header
	values []schema.Value
}

// readOld opens an earlier revision of a record that is there.
func (s *Store) readOld(ctx context.Context, sc scope, id string, number uint64) (old oldRevision, err error) {
	coll := sc.collection
	err = s.view(ctx, coll.integration, func(tx kv.ReadTx, dom *envelope.Domain) error {
		f, err := findState(tx, coll, id)
		if err != nil {
			return err
		}
		if f.visibleRevision() == 0 {
			return s.absent(sc, dom, access.ActionRollback)
		}
		sc, err := s.sight(tx, sc, dom, id, access.ActionRollback)
		if err != nil {
			return err
		}
		rev, opener, err := s.openRevision(tx, coll, dom, id, number)
		if errors.Is(err, ErrNotFound) {
			return s.absent(sc, dom, access.ActionRollback)
		}
		if err != nil {
			return err
		}
		if !sc.onOld(id, rev.header.labels).allows(access.ActionRollback) {
			return errHidden
		}
		if coll.expired(&rev.header, s.now()) {
			return ErrNotFound
		}
		old.header = rev.header
		old.values, err = openAll(&rev, opener)
		return err
	})
	return old, err
}

// rolledBack drafts the content of an earlier revision, which the current
// schema must still accept. A record that was erased and made anew since the
// revision was read is another one: what was erased does not come back. Labels
// and times come back with it, but not an erase_at that has since been brought forward. The labels that come back must
// pass as those that are there do.
func (s *Store) rolledBack(sc scope, op *operation, f *found, id string, old oldRevision) (draft, error) {
	if f.visibleRevision() == 0 || !f.revision.header.created.Equal(old.header.created) {
		return draft{}, ErrNotFound
	}
	after := sc.on(id, old.header.labels)
	if !after.allows(access.ActionRollback) {
		return draft{}, errHidden
	}
	values, err := sc.collection.schema.Check(schema.Join(old.values))
	if err != nil {
		return draft{}, invalid("/revision", "the current schema does not accept that revision")
	}
	w := s.writer(sc, op)
	d := draft{
		id: id, values: values, labels: old.header.labels, created: f.revision.header.created, updated: w.now,
		validUntil: old.header.validUntil, eraseAt: f.revision.header.eraseAt, decision: after.decision,
	}
	return d, nil
}
