package store

import (
	"context"
	"errors"
	"slices"
	"strings"

	"strongroom/envelope"
	"strongroom/internal/access"
	"strongroom/internal/schema"
	"strongroom/store/kv"
)

// GetRecord returns what the caller may see of a record. Fields that it may
// not see are not decrypted, and named as withheld.
func (s *Store) GetRecord(ctx context.Context, c Caller, ref RecordRef, o ReadOptions) (rec Record, err error) {
	op := s.start(c, readAction(o), recordTarget(ref))
	defer func() { err = op.end(err) }()
	sc, err := s.authorise(c, access.ActionRead, ref.CollectionRef)
	if err != nil {
		return rec, err
	}
	if err := checkRecordID("", ref.Record); err != nil {
		return rec, ErrNotFound
	}
	if sc.permit, err = s.permitFor(ctx, op, sc, ref.Record, o); err != nil {
		return rec, err
	}
	err = s.view(ctx, sc.collection.integration, func(tx kv.ReadTx, dom *envelope.Domain) error {
		rec, err = s.read(tx, sc, dom, ref.Record, o)
		return err
	})
	if err == nil {
		err = sc.spending.settle(ctx)
	}
	if err != nil {
		return Record{}, err
	}
	op.disclose(&rec)
	return rec, nil
}

func readAction(o ReadOptions) access.Action {
	if o.Revision != 0 || o.Previous {
		return access.ActionHistory
	}
	return access.ActionRead
}

func recordTarget(ref RecordRef) target {
	return target{integration: ref.Integration, collection: ref.Collection, record: ref.Record}
}

// disclose notes in the audit entry what the caller gets to see.
func (op *operation) disclose(rec *Record) {
	e := &op.entry
	e.Record, e.Revision, e.Withheld, e.Masked = rec.ID, rec.Revision, rec.Withheld, rec.Masked
	if rec.NotModified {
		return
	}
	e.Fields = make([]string, 0, len(rec.Fields))
	for i := range rec.Fields {
		if path := rec.Fields[i].Path; len(rec.Masked) == 0 || !slices.Contains(rec.Masked, path) {
			e.Fields = append(e.Fields, path)
		}
	}
}

// read finds a revision and opens what the caller may see of it.
func (s *Store) read(tx kv.ReadTx, sc scope, dom *envelope.Domain, id string, o ReadOptions) (Record, error) {
	f, err := findState(tx, sc.collection, id)
	if err != nil {
		return Record{}, err
	}
	if !f.exists || f.state.life == deleted {
		return Record{}, s.absent(sc, dom, access.ActionRead)
	}
	number, sc, err := s.pick(tx, sc, dom, id, &f, o)
	if err != nil {
		return Record{}, err
	}
	rev, opener, err := s.openRevision(tx, sc.collection, dom, id, number)
	current := number == f.state.revision
	switch {
	case current && errors.Is(err, ErrNotFound):
		return Record{}, damaged("revision", errMissing)
	case errors.Is(err, ErrNotFound):
		return Record{}, s.absent(sc, dom, access.ActionHistory)
	case err != nil:
		return Record{}, err
	case sc.collection.expired(&rev.header, s.now()):
		return Record{}, ErrNotFound
	}
	if sc, err = sc.reading(id, rev.header.labels, current); err != nil {
		return Record{}, err
	}
	rec := describe(sc.collection, id, number, &rev.header, &f.state)
	return rec, s.reveal(&rec, sc, &rev, opener, dom, o)
}

// reading settles the decision for the revision that a read is about.
func (sc scope) reading(id string, labels []Label, current bool) (scope, error) {
	if !current {
		if sc = sc.onOld(id, labels); !sc.allows(access.ActionHistory) {
			return sc, errHidden
		}
		return sc, nil
	}
	if sc = sc.on(id, labels); !sc.allows(access.ActionRead) {
		return sc, errHidden
	}
	return sc, nil
}

// pick chooses the revision that a read is about. One that is not current
// needs the action history, and that the current one is not erased and not
// kept from the caller.
func (s *Store) pick(tx kv.ReadTx, sc scope, dom *envelope.Domain, id string, f *found, o ReadOptions) (uint64, scope, error) {
	current := f.state.revision
	if !o.Previous && (o.Revision == 0 || o.Revision == current) {
		return current, sc, nil
	}
	if !sc.decision.Could(access.ActionHistory) {
		return 0, sc, ErrForbidden
	}
	rev, _, err := s.openRevision(tx, sc.collection, dom, id, current)
	if errors.Is(err, ErrNotFound) {
		return 0, sc, damaged("revision", errMissing)
	}
	if err != nil {
		return 0, sc, err
	}
	if sc.collection.expired(&rev.header, s.now()) {
		return 0, sc, ErrNotFound
	}
	if sc = sc.on(id, rev.header.labels); !sc.allows(access.ActionRead) || !sc.allows(access.ActionHistory) {
		return 0, sc, errHidden
	}
	if !o.Previous {
		return o.Revision, sc, nil
	}
	return previousRevision(tx, sc, id, current)
}

func previousRevision(tx kv.ReadTx, sc scope, id string, current uint64) (uint64, scope, error) {
	previous := uint64(0)
	prefix := revisionsPrefix(sc.collection.doc.UID, id)
	tx.ScanBack(kv.Revisions, prefix, revisionKey(sc.collection.doc.UID, id, current), func(key, _ []byte) bool {
		previous = revisionOfKey(key, prefix)
		return previous == 0
	})
	if previous == 0 {
		return 0, sc, ErrNotFound
	}
	return previous, sc, nil
}

func describe(coll *collection, id string, number uint64, h *header, st *state) Record {
	return Record{
		ID: id, Revision: number, CreatedAt: h.created, UpdatedAt: h.updated, ValidUntil: h.validUntil,
		EraseAt: coll.eraseTime(h), Labels: h.labels, Current: number == st.revision, DeletedAt: st.deletedAt,
		Flat: coll.schema.Flat(),
	}
}

// reveal opens the fields that the caller may see into the record.
func (s *Store) reveal(rec *Record, sc scope, rev *revision, opener envelope.Opener, dom *envelope.Domain, o ReadOptions) error {
	action := access.ActionRead
	if !rec.Current {
		action = access.ActionHistory
	}
	return s.revealAs(action, rec, sc, rev, opener, dom, o)
}

func (s *Store) revealAs(action access.Action, rec *Record, sc scope, rev *revision, opener envelope.Opener, dom *envelope.Domain, o ReadOptions) error {
	rec.ETag = etag(rec.Revision, rev.header.operation, sc, o.Fields, o.Metadata)
	if slices.Contains(o.IfNone, rec.ETag) {
		rec.NotModified = true
		return nil
	}
	if o.Metadata {
		return nil
	}
	rec.HasFields = true
	v := viewer{action: action, sc: sc, wanted: o.Fields, rec: rec}
	old, paths, err := v.paths(rev, opener)
	if err != nil {
		return err
	}
	masked, err := sc.spending.claim(&v, paths)
	switch {
	case err != nil:
		return err
	case masked:
		rec.ETag = maskedTag(rec, rev, sc, o.Fields)
		v.redact(paths)
		return nil
	case old != nil:
		v.resplit(old, dom)
		return nil
	}
	return v.direct(rev, opener, dom)
}

// paths returns the fields of a revision as the current schema has them. One
// that was written under an older schema is opened for it: its parents are
// split before any rule or budget applies, since a field may since have become
// one of its own.
func (v *viewer) paths(rev *revision, opener envelope.Opener) (old []schema.Value, paths []string, err error) {
	if rev.header.schemaVersion == v.sc.collection.doc.SchemaVersion {
		return nil, rev.header.fields, nil
	}
	values, err := openAll(rev, opener)
	if err != nil {
		return nil, nil, err
	}
	old = v.sc.collection.schema.Resplit(values)
	for _, value := range old {
		paths = append(paths, value.Path)
	}
	return old, paths, nil
}

// viewer applies the caller's grants to the fields of a revision.
type viewer struct {
	action access.Action
	sc     scope
	wanted []string
	rec    *Record
}

// direct judges each field by its name first, and opens only what may be seen.
func (v *viewer) direct(rev *revision, opener envelope.Opener, dom *envelope.Domain) error {
	size := 0
	for _, sealed := range rev.sealed {
		size += len(sealed)
	}
	buf := make([]byte, 0, size)
	v.rec.Fields = make([]schema.Value, 0, len(rev.sealed))
	for i, path := range rev.header.fields {
		grant, wanted := v.grant(path)
		if !wanted || grant.Kind == access.None {
			continue
		}
		from := len(buf)
		next, err := opener.Field(buf, path, rev.sealed[i])
		if err != nil {
			return openError(err)
		}
		buf = next
		v.add(path, buf[from:len(buf):len(buf)], grant, dom)
	}
	return nil
}

// resplit shows the values of a revision that was written under an older schema.
func (v *viewer) resplit(old []schema.Value, dom *envelope.Domain) {
	for _, value := range old {
		if grant, wanted := v.grant(value.Path); wanted && grant.Kind != access.None {
			v.add(value.Path, value.JSON, grant, dom)
		}
	}
}

// grant returns what the caller may see of a field, and whether it asked for
// it; a field that it may not see is noted as withheld.
func (v *viewer) grant(path string) (access.Grant, bool) {
	if v.wanted != nil && !selected(v.wanted, path) {
		return access.Grant{}, false
	}
	grant := v.may(path)
	if grant.Kind == access.None {
		v.rec.Withheld = append(v.rec.Withheld, path)
	}
	return grant, true
}

// may returns how the caller may see a field.
func (v *viewer) may(path string) access.Grant { return v.sc.restrain(path, v.sc.read(v.action, path)) }

func (v *viewer) add(path string, json []byte, grant access.Grant, dom *envelope.Domain) {
	if grant.Kind == access.Masked {
		v.rec.Masked = append(v.rec.Masked, path)
		json = access.Mask(nil, grant.Mask, json, dom)
	}
	v.rec.Fields = append(v.rec.Fields, schema.Value{Path: path, JSON: json})
}

// selected reports whether a path, or a parent of it, was asked for.
func selected(fields []string, path string) bool {
	for _, f := range fields {
		if path == f || len(path) > len(f) && path[len(f)] == '/' && strings.HasPrefix(path, f) {
			return true
		}
	}
	return false
}

// openAll opens every field of a revision.
func openAll(rev *revision, opener envelope.Opener) ([]schema.Value, error) {
	values := make([]schema.Value, len(rev.sealed))
	for i, path := range rev.header.fields {
		json, err := opener.Field(nil, path, rev.sealed[i])
		if err != nil {
			return nil, openError(err)
		}
		values[i] = schema.Value{Path: path, JSON: json}
	}
	return values, nil
}

// GetField returns one value of a record.
func (s *Store) GetField(ctx context.Context, c Caller, ref RecordRef, path string, o ReadOptions) (out FieldValue, err error) {
	op := s.start(c, readAction(o), recordTarget(ref))
	defer func() { err = op.end(err) }()
	sc, err := s.authorise(c, access.ActionRead, ref.CollectionRef)
	if err != nil {
		return out, err
	}
	if sc.decision.CouldRead(readAction(o), path).Kind == access.None && sc.decision.CouldRead(access.ActionRead, path).Kind == access.None {
		if _, declared := sc.collection.names[path]; declared {
			op.entry.Withheld = []string{path}
		}
		return out, ErrForbidden
	}
	o.Fields = []string{path}
	if sc.permit, err = s.permitFor(ctx, op, sc, ref.Record, o); err != nil {
		return out, err
	}
	var rec Record
	err = s.view(ctx, sc.collection.integration, func(tx kv.ReadTx, dom *envelope.Domain) error {
		rec, err = s.read(tx, sc, dom, ref.Record, o)
		return err
	})
	if err == nil {
		err = sc.spending.settle(ctx)
	}
	if err != nil {
		return out, err
	}
	op.disclose(&rec)
	return pickField(sc, readAction(o), &rec, path)
}

func pickField(sc scope, action access.Action, rec *Record, path string) (FieldValue, error) {
	out := FieldValue{Revision: rec.Revision, ETag: rec.ETag}
	if rec.NotModified {
		return out, nil
	}
	if f, ok := sc.collection.schema.Field(path); ok {
		out.Base64 = f.Base64
	}
	out.Masked = slices.Contains(rec.Masked, path)
	for _, v := range rec.Fields {
		if v.Path == path {
			out.JSON = v.JSON
			return out, nil
		}
	}
	if slices.Contains(rec.Withheld, path) {
		return FieldValue{}, sc.whyWithheld(action, path)
	}
	return FieldValue{}, ErrNotFound
}
