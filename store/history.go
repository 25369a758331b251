package store

import (
	"context"
	"errors"
	"slices"

	"strongroom/envelope"
	"strongroom/internal/access"
	"strongroom/store/kv"
)

// history opens the DEK of every revision, so that what it tells of their
// headers is authentic.
func (s *Store) history(ctx context.Context, sc scope, id string) (out []RevisionInfo, err error) {
	coll := sc.collection
	err = s.view(ctx, coll.integration, func(tx kv.ReadTx, dom *envelope.Domain) error {
		out = nil
		f, err := findState(tx, coll, id)
		if err != nil {
			return err
		}
		if f.visibleRevision() == 0 {
			return s.absent(sc, dom, access.ActionHistory)
		}
		sc, err := s.sight(tx, sc, dom, id, access.ActionHistory)
		if err != nil {
			return err
		}
		for _, number := range revisionNumbers(tx, revisionsPrefix(coll.doc.UID, id)) {
			info, err := s.revisionInfo(tx, sc, dom, id, number)
			if errors.Is(err, ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			info.Current = number == f.state.revision
			out = append(out, info)
		}
		return nil
	})
	if err == nil && (len(out) == 0 || !out[len(out)-1].Current) {
		err = ErrNotFound // the current one has expired
	}
	slices.Reverse(out)
	return out, err
}

// sight settles the decision for the current revision, which is opened only
// where a condition asks for it.
func (s *Store) sight(tx kv.ReadTx, sc scope, dom *envelope.Domain, id string, a access.Action) (scope, error) {
	if sc.base.Settled() {
		return sc, nil
	}
	f, err := s.findCurrent(tx, sc.collection, dom, id)
	if err != nil {
		return sc, err
	}
	if sc = sc.on(id, f.revision.header.labels); !sc.allows(a) {
		return sc, errHidden
	}
	return sc, nil
}

func (s *Store) revisionInfo(tx kv.ReadTx, sc scope, dom *envelope.Domain, id string, number uint64) (RevisionInfo, error) {
	rev, _, err := s.openRevision(tx, sc.collection, dom, id, number)
	if err != nil {
		return RevisionInfo{}, err
	}
	if sc.collection.expired(&rev.header, s.now()) {
		return RevisionInfo{}, ErrNotFound
	}
	if sc = sc.onOld(id, rev.header.labels); !sc.allows(access.ActionHistory) {
		return RevisionInfo{}, errHidden
	}
	info := RevisionInfo{Revision: number, CreatedAt: rev.header.updated}
	for _, path := range rev.header.fields {
		if sc.read(access.ActionHistory, path).Kind != access.None {
			info.Fields = append(info.Fields, path)
		}
	}
	return info, nil
}
