package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"strongroom/envelope"
	"strongroom/internal/access"
	"strongroom/internal/ledger"
	"strongroom/internal/schema"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// tokenBits returns how many bits of a blind index token are kept for a
// collection of that size.
func tokenBits(expected uint64) int {
	if expected == 0 {
		expected = defaultExpectedRecords
	}
	return envelope.IndexBits(expected)
}

// PutCollection makes a collection or changes the definition of one. A new
// index on a collection that has records is filled in the background; until
// then searching the field is refused.
func (s *Store) PutCollection(ctx context.Context, c Caller, ref CollectionRef, spec CollectionSpec, p Precondition) (out Collection, res PutResult, err error) {
	op := s.start(c, "put", collectionTarget(ref))
	defer func() { err = op.end(err) }()
	if err := authoriseControl(c, access.ManageCollections); err != nil {
		return out, res, err
	}
	if err := checkName("collection", ref.Collection); err != nil {
		return out, res, err
	}
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	next, res, ready, err := s.collectionChange(ctx, ref, spec, p)
	if err != nil {
		return out, PutResult{}, err
	}
	old := s.catalog.Load().collectionOf(ref)
	if s.waits(c, s.catalog.Load(), func() bool { return old != nil && lessGuarded(old, next) }) {
		return out, PutResult{}, s.holdCollection(ctx, op, ref, spec, old)
	}
	err = s.carryOut(ctx, op, ready, func() (ready controlChange, err error) {
		next, res, ready, err = s.collectionChange(ctx, ref, spec, p)
		return ready, err
	})
	if err != nil {
		return out, PutResult{}, err
	}
	if res.Backfill {
		s.wake()
	}
	return next.describe(), res, nil
}

// collectionChange makes ready what saves a definition.
func (s *Store) collectionChange(ctx context.Context, ref CollectionRef, spec CollectionSpec, p Precondition) (*collection, PutResult, controlChange, error) {
	in, coll, err := s.place(ref)
	if err == nil {
		err = p.check(collectionVersion(coll))
	}
	if err != nil {
		return nil, PutResult{}, controlChange{}, err
	}
	next, res, err := s.define(ctx, in, coll, ref.Collection, spec)
	if err != nil {
		return nil, res, controlChange{}, err
	}
	var check func(tx kv.ReadTx) error
	if coll != nil && !res.Backfill && len(unfilled(coll, next)) > 0 {
		check = func(tx kv.ReadTx) error {
			if !isEmpty(tx, coll) {
				return errNotEmpty
			}
			return nil
		}
	}
	return next, res, definitionChange(in, coll, next, check), nil
}

// errNotEmpty comes when a definition was made ready for an empty collection
// that is so no more: its new indexes have to be filled.
var errNotEmpty = errors.New("store: the collection is not empty any more")

func isEmpty(tx kv.ReadTx, coll *collection) bool {
	empty := true
	prefix := coll.doc.UID[:]
	tx.Scan(kv.Records, prefix, after(prefix), func(_, _ []byte) bool { empty = false; return false })
	return empty
}

func (s *Store) holdCollection(ctx context.Context, op *operation, ref CollectionRef, spec CollectionSpec, old *collection) error {
	doc, err := json.Marshal(spec)
	if err != nil {
		return fmt.Errorf("store: encode collection: %w", err)
	}
	return s.hold(ctx, op, changeDoc{
		Kind: changePutCollection, Integration: ref.Integration, Name: ref.Collection, Document: doc, Base: old.version,
	}, controlChange{})
}

func collectionTarget(ref CollectionRef) target {
	return target{integration: ref.Integration, collection: ref.Collection, control: kindCollection + "/" + ref.Collection}
}

// place finds where a definition goes: its integration, and the collection
// that has the name already.
func (s *Store) place(ref CollectionRef) (*integration, *collection, error) {
	cat := s.catalog.Load()
	in := cat.integrations[ref.Integration]
	switch {
	case cat.damage(kindIntegration, ref.Integration) != nil:
		return nil, nil, fmt.Errorf("%w: the definition of integration %s", ErrIntegrity, ref.Integration)
	case in == nil:
		return nil, nil, fmt.Errorf("integration: %w", ErrNotFound)
	case in.doc.DestroyAt != nil:
		return nil, nil, ErrDisabled
	case cat.damage(kindCollection, collectionID(in, ref.Collection)) != nil:
		return nil, nil, fmt.Errorf("%w: the definition of collection %s", ErrIntegrity, ref.Collection)
	}
	return in, in.collections[ref.Collection], nil
}

func collectionVersion(coll *collection) uint64 {
	if coll == nil {
		return 0
	}
	return coll.version
}

// define checks a definition and compiles what the collection becomes.
func (s *Store) define(ctx context.Context, in *integration, old *collection, name string, spec CollectionSpec) (*collection, PutResult, error) {
	raw, err := spec.check()
	if err != nil {
		return nil, PutResult{}, err
	}
	now := s.now().UTC()
	doc := collectionDoc{UID: uid.New(), Spec: spec, Schema: raw, SchemaVersion: 1, CreatedAt: now, UpdatedAt: now}
	if old != nil {
		doc.UID, doc.CreatedAt, doc.SchemaVersion = old.doc.UID, old.doc.CreatedAt, old.doc.SchemaVersion
		if !bytes.Equal(raw, old.doc.Schema) {
			doc.SchemaVersion++
		}
	}
	next, err := newCollection(in, name, doc, collectionVersion(old)+1)
	if err != nil {
		return nil, PutResult{}, asInvalid("/schema", err)
	}
	res := PutResult{Created: old == nil}
	if old != nil {
		err = s.succeed(ctx, old, next, &res)
	}
	return next, res, err
}

// succeed says what the change of a definition means for the records there
// are: which indexes have to be filled, and which fields go on being guarded.
func (s *Store) succeed(ctx context.Context, old, next *collection, res *PutResult) error {
	res.Warnings = schema.Compatible(old.schema, next.schema)
	next.doc.Retired = retired(old, next)
	pending, err := s.toFill(ctx, old, next)
	if err != nil {
		return err
	}
	if len(pending) > 0 {
		next.doc.Backfill = &backfillPending{Fields: pending}
		res.Backfill = true
	}
	rebuilt, err := newCollection(next.integration, next.name, next.doc, next.version)
	if err == nil {
		*next = *rebuilt
	}
	return err
}

// retired returns the fields that records may still hold and the new schema
// does not declare.
func retired(old, next *collection) []retiredField {
	var list []retiredField
	for _, f := range old.fields {
		if _, declared := next.schema.Field(f.Path); !declared {
			g := old.guards[f.Path]
			list = append(list, retiredField{Path: f.Path, Mask: f.Mask, High: f.High, Approval: g.approval, Purpose: g.purpose})
		}
	}
	return list
}

// unfilled returns the indexed fields whose index is not complete: those that
// were not before, those that compare differently now, and all when the size
// of the tokens changed.
func unfilled(old, next *collection) (pending []string) {
	for _, f := range next.indexed {
		was, ok := old.indexedField(f.Path)
		same := ok && was.Index == f.Index && was.Normalise == f.Normalise
		if !same || old.filling[f.Path] || f.Index != schema.IndexUnique && old.tokenBits != next.tokenBits {
			pending = append(pending, f.Path)
		}
	}
	return pending
}

// toFill returns what has to be filled: nothing of an empty collection.
func (s *Store) toFill(ctx context.Context, old, next *collection) ([]string, error) {
	pending := unfilled(old, next)
	if len(pending) == 0 {
		return nil, nil
	}
	empty := false
	err := s.engine.View(ctx, func(tx kv.ReadTx) error { empty = isEmpty(tx, old); return nil })
	if err != nil || empty {
		return nil, engineError(err)
	}
	return pending, nil
}

// check refuses a definition that makes no sense and returns its schema.
func (spec *CollectionSpec) check() ([]byte, error) {
	if (len(spec.Schema) > 0) == (spec.Preset != "") {
		return nil, invalid("", "give either schema or preset")
	}
	if r := spec.Retention; r != nil && (r.Revisions < 1 || r.Revisions > 1000) {
		return nil, invalid("/retention/revisions", "at least 1 and at most 1000 revisions are kept")
	}
	if spec.ExpectedRecords > 1<<40 {
		return nil, invalid("/expected_records", "at most 2^40 records are expected")
	}
	err := errors.Join(checkDuration("/ttl", spec.TTL, time.Second), checkDuration("/undelete_for", spec.UndeleteFor, 0))
	if err != nil {
		return nil, firstInvalid(err)
	}
	if spec.Preset == "" {
		return spec.Schema, nil
	}
	raw, ok := schema.Preset(spec.Preset)
	if !ok {
		return nil, invalid("/preset", "there is no such preset; there are "+joinWords(schema.Presets()))
	}
	return raw, nil
}

// checkDuration refuses a duration member below least; empty is none.
func checkDuration(pointer, text string, least time.Duration) error {
	d, err := parseDuration(text)
	if err != nil || text != "" && d < least || d > 100*365*24*time.Hour {
		return invalid(pointer, "want a duration such as 90s, 15m or 168h")
	}
	return nil
}

func joinWords(words []string) string {
	var b bytes.Buffer
	for i, w := range words {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(w)
	}
	return b.String()
}

// asInvalid moves the issues of a member's own document under the member.
func asInvalid(member string, err error) error {
	var bad *schema.Invalid
	if !errors.As(err, &bad) {
		return err
	}
	moved := &Invalid{Issues: slices.Clone(bad.Issues)}
	for i := range moved.Issues {
		moved.Issues[i].Pointer = member + moved.Issues[i].Pointer
	}
	return moved
}

// definitionChange writes a definition and the epoch of its integration, which
// makes every write that was made under the old one look again. check says what
// else must hold of the tables; it may be nil.
func definitionChange(in *integration, old, next *collection, check func(tx kv.ReadTx) error) controlChange {
	changed := in.changed()
	changed.generation.epoch++
	next.integration = changed
	changed.collections[next.name] = next
	return controlChange{
		writes:  []controlWrite{{kind: kindCollection, id: collectionID(in, next.name), replaces: collectionVersion(old), doc: next.doc}},
		check:   check,
		also:    func(tx kv.Tx) { putGeneration(tx, in.doc.UID, changed.generation) },
		publish: func(cat *catalog) { cat.replaceIntegration(changed) },
	}
}

// ValidateCollection says what PutCollection would do, and does nothing.
func (s *Store) ValidateCollection(ctx context.Context, c Caller, ref CollectionRef, spec CollectionSpec) (res PutResult, err error) {
	op := s.start(c, "validate", collectionTarget(ref))
	defer func() { err = op.end(err) }()
	if err := authoriseControl(c, access.ManageCollections); err != nil {
		return res, err
	}
	in, coll, err := s.place(ref)
	if err != nil {
		return res, err
	}
	_, res, err = s.define(ctx, in, coll, ref.Collection, spec)
	return res, err
}

// DeleteCollection removes a collection at once; its records are erased in
// the background, and nothing reaches them from now on.
func (s *Store) DeleteCollection(ctx context.Context, c Caller, ref CollectionRef) (err error) {
	op := s.start(c, "delete", collectionTarget(ref))
	defer func() { err = op.end(err) }()
	if err := authoriseControl(c, access.ManageCollections); err != nil {
		return err
	}
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	in, coll, err := s.place(ref)
	if err != nil {
		return err
	}
	if coll == nil {
		return fmt.Errorf("collection: %w", ErrNotFound)
	}
	err = s.change(ctx, op, s.collectionRemoval(in, coll))
	if err == nil {
		s.wake()
	}
	return err
}

// collectionRemoval makes ready what removes a collection.
func (s *Store) collectionRemoval(in *integration, coll *collection) controlChange {
	changed := in.changed()
	changed.generation.epoch++
	delete(changed.collections, coll.name)
	name := in.name + "/" + coll.name
	doc := purgeDoc{Collection: name, Integration: in.doc.UID, CreatedAt: s.now().UTC()}
	return controlChange{
		writes: []controlWrite{
			{kind: kindCollection, id: collectionID(in, coll.name), replaces: coll.version},
			{kind: kindPurge, id: coll.doc.UID.String(), doc: doc},
		},
		notes: []ledger.Note{{Kind: ledger.CollectionDeleted, Integration: in.doc.UID, Collection: coll.doc.UID, Name: name}},
		also:  func(tx kv.Tx) { putGeneration(tx, in.doc.UID, changed.generation) },
		publish: func(cat *catalog) {
			cat.replaceIntegration(changed)
			cat.purges[coll.doc.UID] = &purge{doc: doc, version: 1}
		},
	}
}
