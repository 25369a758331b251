package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"strongroom/internal/access"
	"strongroom/internal/ledger"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// EraseTarget says what is to be erased: one record, every record with all of
// some labels in one collection or in all of them, or, without any of those, the
// whole integration.
type EraseTarget struct {
	Integration string            `json:"integration"`
	Collection  string            `json:"collection,omitempty"`
	Record      string            `json:"record,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
}

// Whole reports whether the integration goes as a whole.
func (t *EraseTarget) Whole() bool {
	return t.Collection == "" && t.Record == "" && len(t.Labels) == 0
}

// ErasePlan is an EraseTarget that was authorised: what it names, by uids, which
// no namesake of later has.
type ErasePlan struct {
	EraseTarget
	UID         uid.UID   `json:"integration_uid"`
	Collections []uid.UID `json:"collections"`
}

// PlanErase judges an erasure, and says what it is of. Records take the action
// erase on every collection that is named, and not by a rule that depends on the
// record; the whole integration takes the right to manage integrations. With
// keys, the keys that covered them are to be destroyed too, which takes the
// right to operate keys.
func (s *Store) PlanErase(ctx context.Context, c Caller, t EraseTarget, keys bool) (plan ErasePlan, err error) {
	op := s.start(c, access.ActionErase, target{integration: t.Integration, collection: t.Collection, record: t.Record})
	op.entry.Detail = "an erasure is asked for"
	defer func() { err = op.end(err) }()
	if err := t.check(); err != nil {
		return plan, err
	}
	if keys {
		if err := authoriseKeys(c); err != nil {
			return plan, err
		}
	}
	plan = ErasePlan{EraseTarget: t}
	if t.Whole() {
		err = s.planWhole(c, &plan)
	} else {
		err = s.planRecords(c, &plan)
	}
	return plan, err
}

func (t *EraseTarget) check() error {
	switch {
	case t.Integration == "":
		return invalid("/integration", "name the integration")
	case t.Record != "" && t.Collection == "":
		return invalid("/collection", "name the collection of the record")
	case t.Record != "" && len(t.Labels) > 0:
		return invalid("/labels", "a record goes without labels")
	case t.Collection != "" && t.Record == "" && len(t.Labels) == 0:
		return invalid("/labels", "name a record, or labels; a whole collection is deleted instead")
	}
	return checkLabels(t.Labels)
}

func (s *Store) planWhole(c Caller, plan *ErasePlan) error {
	if err := authoriseControl(c, access.ManageIntegrations); err != nil {
		return err
	}
	in := s.catalog.Load().integrations[plan.Integration]
	if in == nil {
		return ErrNotFound
	}
	plan.UID = in.doc.UID
	for _, coll := range in.collections {
		plan.Collections = append(plan.Collections, coll.doc.UID)
	}
	return nil
}

func (s *Store) planRecords(c Caller, plan *ErasePlan) error {
	names := []string{plan.Collection}
	if plan.Collection == "" {
		if in := s.catalog.Load().integrations[plan.Integration]; in != nil {
			names = sortedNames(in.collections)
		}
	}
	if len(names) == 0 {
		return fmt.Errorf("%w: the integration has no collections", ErrConflict)
	}
	whole := plan.Collection == ""
	for _, name := range names {
		sc, err := s.authorise(c, access.ActionErase, CollectionRef{plan.Integration, name})
		if err != nil {
			return err
		}
		if sc.base.Depends(access.ActionErase) {
			return ErrForbidden
		}
		plan.UID = sc.collection.integration.doc.UID
		plan.Collections = append(plan.Collections, sc.collection.doc.UID)
	}
	if whole {
		return s.catalog.Load().sighted(plan)
	}
	return nil
}

// sighted refuses an erasure that would pass by records: those of collections
// whose definitions do not open. It would be certified all the same.
func (c *catalog) sighted(plan *ErasePlan) error {
	if detail := c.unseen(KeyDomain{Integration: plan.Integration, UID: plan.UID}); detail != "" {
		return fmt.Errorf("%w: %s", ErrIntegrity, detail)
	}
	return nil
}

// eraseChunk bounds the records that are erased in one transaction.
const eraseChunk = 256

// EraseSome erases some of the records of a plan, and returns how many; none
// when none is left. The rows that are made of that number are written in the
// same transaction. It is for who carries out what PlanErase allowed.
func (s *Store) EraseSome(ctx context.Context, c Caller, plan ErasePlan, rows func(erased int) []Row) (int, error) {
	if !isInternal(c) {
		return 0, ErrForbidden
	}
	for _, id := range plan.Collections {
		coll := s.catalog.Load().collectionByUID(id)
		if coll == nil {
			if err := s.catalog.Load().sighted(&plan); err != nil {
				return 0, err
			}
			continue // it was deleted, and its records with it
		}
		n, err := s.eraseIn(ctx, c, coll, &plan.EraseTarget, rows)
		if n > 0 || err != nil {
			return n, err
		}
	}
	return 0, nil
}

func (s *Store) eraseIn(ctx context.Context, c Caller, coll *collection, t *EraseTarget, rows func(int) []Row) (n int, err error) {
	for try := 0; ; try++ {
		ids, err := s.erasableIn(ctx, coll, t)
		if err != nil || len(ids) == 0 {
			return 0, err
		}
		n, err := s.eraseThese(ctx, c, coll, t, ids, rows)
		if !errors.Is(err, errStale) || try >= totalTries {
			return n, finalError(err)
		}
		s.awaitChange()
		if coll = s.catalog.Load().collectionByUID(coll.doc.UID); coll == nil {
			return 0, nil
		}
	}
}

// erasableIn finds the next records of a collection that a target names.
func (s *Store) erasableIn(ctx context.Context, coll *collection, t *EraseTarget) (ids []string, err error) {
	if t.Record != "" {
		err = s.engine.View(ctx, func(tx kv.ReadTx) error {
			if ids = nil; tx.Get(kv.Records, recordKey(coll.doc.UID, t.Record)) != nil {
				ids = []string{t.Record}
			}
			return nil
		})
		return ids, engineError(err)
	}
	position := ""
	for more := true; more && len(ids) == 0 && err == nil; {
		err = s.engine.View(ctx, func(tx kv.ReadTx) error {
			ids, more = nil, false
			seen := 0
			byLabel(coll, t.Labels)(tx, nil, position, func(at, id string) bool {
				if hasLabels(tx, coll.doc.UID, id, t.Labels) {
					ids = append(ids, strings.Clone(id))
				}
				position = strings.Clone(at)
				seen++
				more = seen >= 16*eraseChunk
				return len(ids) < eraseChunk && !more
			})
			return nil
		})
	}
	return ids, engineError(err)
}

// hasLabels reports whether the index of labels has a record under all of some.
func hasLabels(tx kv.ReadTx, c uid.UID, id string, labels map[string]string) bool {
	for key, value := range labels {
		if tx.Get(kv.Labels, labelKey(c, key, value, id)) == nil {
			return false
		}
	}
	return true
}

// eraseThese erases records that a target names; errStale when it does not name
// all of them any longer.
func (s *Store) eraseThese(ctx context.Context, c Caller, coll *collection, t *EraseTarget, ids []string, rows func(int) []Row) (n int, err error) {
	op := s.start(c, access.ActionErase, target{integration: coll.integration.name, collection: coll.name})
	op.entry.Records, op.entry.Count = slices.Clone(ids), uint64(len(ids))
	defer func() { err = op.end(err) }()
	writes, err := rowWrites(rows(len(ids)))
	if err != nil {
		return 0, err
	}
	if err := s.sealControl(ctx, writes); err != nil {
		return 0, err
	}
	if err := op.intent(); err != nil {
		return 0, err
	}
	err = s.updateSealed(ctx, kv.Bulk, writes, nil, func(tx kv.Tx) error {
		if err := errors.Join(standing(tx, coll), standsBefore(tx, writes)); err != nil {
			return err
		}
		for _, id := range ids {
			if tx.Get(kv.Records, recordKey(coll.doc.UID, id)) == nil || !hasLabels(tx, coll.doc.UID, id, t.Labels) {
				return errStale
			}
		}
		if err := applyControl(tx, writes); err != nil {
			return err
		}
		return op.expungeAll(tx, coll.doc.UID, ids)
	})
	return len(ids), engineError(err)
}

// expungeAll erases records that are there, and has the ledger told.
func (op *operation) expungeAll(tx kv.Tx, c uid.UID, ids []string) error {
	var counts tally
	erased := make([]ledger.Record, len(ids))
	for i, id := range ids {
		if err := expunge(tx, c, id, &counts); err != nil {
			return err
		}
		erased[i] = ledger.Record{ID: id, Revision: counter(tx, c, counterFloor)}
	}
	counts.add(tx, c)
	op.notes = []ledger.Note{{Kind: ledger.Erased, Collection: c, Records: erased}}
	op.put(tx, c.String())
	return nil
}

// EraseIntegration destroys an integration's key-encryption key and its
// definitions, now, and reports whether its values are gone from the live tree
// too: these are swept away afterwards. Called again it only reports. It is for
// who carries out what PlanErase allowed.
func (s *Store) EraseIntegration(ctx context.Context, c Caller, plan ErasePlan) (gone bool, err error) {
	if !isInternal(c) {
		return false, ErrForbidden
	}
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	in := s.catalog.Load().integrations[plan.Integration]
	if in != nil && in.doc.UID == plan.UID {
		if in.doc.DestroyAt == nil || s.now().Before(*in.doc.DestroyAt) {
			op := s.start(c, "delete", target{integration: in.name, control: kindIntegration + "/" + in.name})
			at := s.now().UTC()
			in, err = s.changeIntegration(ctx, op, in, func(doc *integrationDoc) { doc.DestroyAt = &at })
			if err = op.end(err); err != nil {
				return false, err
			}
		}
		if err := s.destroyIntegration(ctx, in); err != nil {
			return false, err
		}
	}
	for _, p := range s.catalog.Load().purges {
		if p.doc.Integration == plan.UID {
			s.wake()
			return false, nil
		}
	}
	return true, nil
}

// KeyService names where the key-encryption keys are, and reports whether a key
// that is destroyed there is gone: not with a local keyring, of whose file there
// may be copies.
func (s *Store) KeyService() (name string, proves bool) {
	name = s.keys.Name()
	return name, !strings.HasPrefix(name, "local keyring")
}

// IntegrationGone reports whether an integration's keys are destroyed and its
// definition removed.
func (s *Store) IntegrationGone(id uid.UID) bool {
	for _, in := range s.catalog.Load().integrations {
		if in.doc.UID == id {
			return false
		}
	}
	return true
}
