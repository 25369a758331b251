package store

import (
	"context"

	"strongroom/envelope"
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
			return ErrNotFound
		}
		rev, opener, err := s.openRevision(tx, coll, dom, id, number)
		if err != nil {
			return err
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
// revision was read is another one: what was erased does not come back. Labels and times come back with it, but not an
// erase_at that has since been brought forward.
func (s *Store) rolledBack(sc scope, op *operation, f *found, id string, old oldRevision) (draft, error) {
	if f.visibleRevision() == 0 || !f.revision.header.created.Equal(old.header.created) {
		return draft{}, ErrNotFound
	}
	values, err := sc.collection.schema.Check(schema.Join(old.values))
	if err != nil {
		return draft{}, invalid("/revision", "the current schema does not accept that revision")
	}
	w := s.writer(sc, op)
	d := draft{
		id: id, values: values, labels: old.header.labels, created: f.revision.header.created, updated: w.now,
		validUntil: old.header.validUntil, eraseAt: f.revision.header.eraseAt,
	}
	return d, nil
}
