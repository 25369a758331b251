package store

import (
	"context"
	"fmt"

	"strongroom/internal/access"
	"strongroom/store/kv"
)

func (coll *collection) describe() Collection {
	out := Collection{
		Name: coll.name, Integration: coll.integration.name, UID: coll.doc.UID, CollectionSpec: coll.doc.Spec,
		SchemaVersion: coll.doc.SchemaVersion, Version: coll.version, CreatedAt: coll.doc.CreatedAt, UpdatedAt: coll.doc.UpdatedAt,
	}
	out.Schema = coll.doc.Schema
	if b := coll.doc.Backfill; b != nil {
		out.Backfill = &Backfill{Fields: b.Fields, State: "running", Problem: b.Problem}
		if b.Problem != "" {
			out.Backfill.State = "failed"
		}
	}
	return out
}

// GetCollection describes a collection, with the number of its records.
func (s *Store) GetCollection(ctx context.Context, c Caller, ref CollectionRef) (out Collection, err error) {
	op := s.start(c, "describe", collectionTarget(ref))
	defer func() { err = op.end(err) }()
	if !mayDescribe(c, ref.Integration) {
		return out, ErrForbidden
	}
	in, coll, err := s.place(ref)
	if err != nil {
		return out, err
	}
	if !mayDescribeCollection(c, in, ref.Collection) {
		return out, ErrForbidden
	}
	if coll == nil {
		return out, fmt.Errorf("collection: %w", ErrNotFound)
	}
	out = coll.describe()
	if !mayCount(c, coll) {
		return out, nil
	}
	err = s.engine.View(ctx, func(tx kv.ReadTx) error {
		n := counter(tx, coll.doc.UID, counterRecords)
		out.Records = &n
		return nil
	})
	return out, engineError(err)
}

// mayCount reports whether the caller may learn how many records there are:
// whoever runs the store, and whoever could count them all.
func mayCount(c Caller, coll *collection) bool {
	if canAny(c, access.ManageCollections, access.OperateKeys, access.ReadAudit) {
		return true
	}
	d := c.Policy.For(coll.integration.name, coll.name, nil)
	return d.Allows(access.ActionList) || d.Allows(access.ActionExport)
}

func mayDescribeCollection(c Caller, in *integration, name string) bool {
	return canAny(c, access.ManageCollections, access.OperateKeys, access.ReadAudit) || c.Policy.For(in.name, name, nil).Any()
}

// ListCollections describes the collections of an integration that the caller
// has anything to do with.
func (s *Store) ListCollections(ctx context.Context, c Caller, name string) (out []Collection, err error) {
	op := s.start(c, "describe", target{integration: name, control: kindCollection})
	defer func() { err = op.end(err) }()
	if !mayDescribe(c, name) {
		return nil, ErrForbidden
	}
	in, _, err := s.place(CollectionRef{Integration: name})
	if err != nil {
		return nil, err
	}
	for _, n := range sortedNames(in.collections) {
		if mayDescribeCollection(c, in, n) {
			out = append(out, in.collections[n].describe())
		}
	}
	op.entry.Count = uint64(len(out))
	return out, nil
}
