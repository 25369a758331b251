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
			return ErrNotFound
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

func (s *Store) revisionInfo(tx kv.ReadTx, sc scope, dom *envelope.Domain, id string, number uint64) (RevisionInfo, error) {
	rev, _, err := s.openRevision(tx, sc.collection, dom, id, number)
	if err != nil {
		return RevisionInfo{}, err
	}
	if sc.collection.expired(&rev.header, s.now()) {
		return RevisionInfo{}, ErrNotFound
	}
	info := RevisionInfo{Revision: number, CreatedAt: rev.header.updated}
	for _, path := range rev.header.fields {
		if sc.decision.Read(access.ActionHistory, path).Kind != access.None {
			info.Fields = append(info.Fields, path)
		}
	}
	return info, nil
}
