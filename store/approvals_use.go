package store

import (
	"context"
	"slices"

	"strongroom/internal/access"
	"strongroom/store/kv"
)

// permit is what a request may read in clear of the fields that ask for more
// than a role: what it says it reads for, and the fields of an approval of which
// one use was spent for it. The zero permit is good for no such field.
type permit struct {
	purpose bool
	fields  []string
}

// restrain is the one place where a field's guard counts: it takes from a grant
// what this request has no permit for. The value is then masked by the schema's
// own mask, redacted where the role gives another one, or withheld.
func (sc *scope) restrain(path string, grant access.Grant) access.Grant {
	g, guarded := sc.collection.guards[path]
	if !guarded || grant.Kind == access.None {
		return grant
	}
	if (!g.purpose || sc.permit.purpose) && (!g.approval || slices.Contains(sc.permit.fields, path)) {
		return grant
	}
	return access.Restrained(grant, sc.collection.maskOf(path))
}

func (coll *collection) maskOf(path string) string {
	for _, f := range coll.fields {
		if f.Path == path {
			return f.Mask
		}
	}
	return ""
}

// allowsPurpose says what a request may read for the purpose that it names.
func allowsPurpose(c Caller) permit { return permit{purpose: ValidPurpose(c.Purpose)} }

// guardsSearch reports whether a field's guard keeps it from being searched by:
// what a value equals is as good as the value.
func (sc *scope) guardsSearch(path string) bool {
	g := sc.collection.guards[path]
	return g.approval || g.purpose && !sc.permit.purpose
}

// whyWithheld says why a read does not show a field.
func (sc *scope) whyWithheld(action access.Action, path string) error {
	if _, guarded := sc.collection.guards[path]; guarded && sc.decision.CouldRead(action, path).Kind != access.None {
		return ErrApprovalRequired
	}
	return ErrForbidden
}

// permitFor spends a use of the approval that a request names, when it is good
// for a field of the record that would be read. It is called before the record
// is opened: a use that comes to nothing, by a crash or because the record is
// gone, is spent. Earlier revisions are not what was approved.
func (s *Store) permitFor(ctx context.Context, op *operation, sc scope, record string, o ReadOptions) (permit, error) {
	c := op.caller
	if sc.collection.guards == nil || !sc.permit.purpose || c.Approval == "" || o.Metadata || o.Previous || o.Revision != 0 {
		return sc.permit, nil
	}
	fields, err := s.spendUse(ctx, c, sc, record, o.Fields)
	if len(fields) > 0 {
		op.entry.Approval = c.Approval
	}
	return permit{purpose: true, fields: fields}, err
}

// spendUse counts one use in the store, and only then returns the fields that it
// is good for. One read after the other does so.
func (s *Store) spendUse(ctx context.Context, c Caller, sc scope, record string, wanted []string) ([]string, error) {
	book := sc.catalog.approvals
	book.mu.Lock()
	defer book.mu.Unlock()
	a := book.byID[c.Approval]
	if a == nil || !a.goodFor(s, c, sc, record) {
		return nil, nil
	}
	fields := a.fieldsOf(sc, wanted)
	if len(fields) == 0 {
		return nil, nil
	}
	next := &approval{id: a.id, doc: a.doc, version: a.version + 1}
	next.doc.Used++
	writes := []controlWrite{{kind: kindApproval, id: a.id, replaces: a.version, doc: next.doc}}
	if err := s.sealControl(ctx, writes); err != nil {
		return nil, err
	}
	err := s.updateSealed(ctx, kv.Interactive, writes, nil, func(tx kv.Tx) error { return applyControl(tx, writes) })
	if err != nil {
		return nil, s.spendFailed(context.WithoutCancel(ctx), a.id, book, err)
	}
	book.byID[a.id] = next
	return fields, nil
}

// spendFailed takes the approval as the disk has it, where it is not known how
// often it was used. The read that wanted the use fails.
func (s *Store) spendFailed(ctx context.Context, id string, book *approvalBook, err error) error {
	system, again := s.domains.System(ctx)
	if again == nil {
		delete(book.byID, id)
		again = s.engine.View(ctx, func(tx kv.ReadTx) error {
			raw := tx.Get(kv.Control, controlKey(kindApproval, id))
			doc, version, err := openControlValue[approvalDoc](system, kindApproval, id, raw)
			if err == nil {
				book.byID[id] = &approval{id: id, doc: doc, version: version}
			}
			return err
		})
	}
	if again != nil {
		s.logger.Warn("an approval could not be read again after a use that was not counted", "approval", id, "error", again)
	}
	return finalError(err)
}

func (a *approval) goodFor(s *Store, c Caller, sc scope, record string) bool {
	d := &a.doc
	return a.state(s.now()) == stateApproved && d.ClientUID == c.ClientUID && d.Client == c.Client && d.Purpose == c.Purpose &&
		d.CollectionUID == sc.collection.doc.UID && slices.Contains(d.Records, record)
}

// fieldsOf returns the fields of an approval that a read would show: that it
// asks for, and that a role gives.
func (a *approval) fieldsOf(sc scope, wanted []string) (fields []string) {
	for _, path := range a.doc.Fields {
		asked := wanted == nil || selected(wanted, path)
		if asked && sc.collection.guards[path].approval && sc.decision.CouldRead(access.ActionRead, path).Kind != access.None {
			fields = append(fields, path)
		}
	}
	return fields
}
