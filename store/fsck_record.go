package store

import (
	"bytes"
	"fmt"
	"slices"

	"strongroom/internal/schema"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// recordCheck judges one record in one transaction.
type recordCheck struct {
	f     *fsck
	tx    kv.ReadTx
	coll  *collection
	id    string
	state state
	found []Damage
}

func (r *recordCheck) add(kind, format string, args ...any) {
	r.found = append(r.found, Damage{kind, r.coll.where() + "/" + r.id, fmt.Sprintf(format, args...)})
}

// record judges an entry of the Records table: what it says, and that the
// current revision and every index agree with it.
func (f *fsck) record(tx kv.ReadTx, key, value []byte) []Damage {
	f.count(&f.report.Records, 1)
	f.count(&f.done, 1)
	r := &recordCheck{f: f, tx: tx, coll: f.coll, id: string(key[len(uid.Zero):])}
	var err error
	if checkRecordID("", r.id) != nil {
		r.add(damagedRecord, "this is not the id of a record")
	} else if r.state, err = decodeState(value); err != nil {
		r.add(damagedRecord, "its state has not the layout that it should have")
	} else {
		r.checkState()
		r.checkChange()
		r.checkCurrent()
	}
	return r.found
}

func (r *recordCheck) checkState() {
	st := &r.state
	if last := lastSequence(r.tx); st.sequence > last || st.revision == 0 { // an import may leave gaps before its revisions
		r.add(damagedRecord, "its state has numbers that were never given (the last commit is %d)", last)
	}
	if st.life == live && !(st.deletedAt.IsZero() && st.purgeAt.IsZero()) {
		r.add(damagedRecord, "it is there, and has the times of a deleted one")
	}
	if st.life != deleted {
		return
	}
	if st.deletedAt.IsZero() || !st.purgeAt.After(st.deletedAt) {
		r.add(damagedRecord, "it is deleted, and its times do not say when and until when")
	} else if r.tx.Get(kv.Expiry, expiryKey(st.purgeAt, expiryPurge, recordKey(r.coll.doc.UID, r.id))) == nil {
		r.add(damagedExpiry, "it is deleted, and nothing will erase it when its time comes")
	}
}

func (r *recordCheck) checkChange() {
	raw := r.tx.Get(kv.Changes, changeKey(r.coll.doc.UID, r.state.sequence))
	if raw == nil {
		r.add(damagedChange, "the change index has no entry for its last change, commit %d", r.state.sequence)
		return
	}
	if ch, err := decodeChange(raw); err == nil && ch.id != r.id {
		r.add(damagedChange, "the change index has another record under its last change, commit %d", r.state.sequence)
	}
}

// checkCurrent judges the current revision against the indexes. What is wrong
// with the revision itself is told where the revisions are walked.
func (r *recordCheck) checkCurrent() {
	c := r.coll.doc.UID
	prefix := revisionsPrefix(c, r.id)
	newest := uint64(0)
	r.tx.ScanBack(kv.Revisions, prefix, after(prefix), func(key, _ []byte) bool {
		newest = revisionOfKey(key, prefix)
		return newest == 0
	})
	if newest != r.state.revision {
		r.add(damagedRevision, "its current revision should be %d, and the newest one that is there is %d (0: none)", r.state.revision, newest)
	}
	rev, wrapped, err := readRevision(r.tx, r.coll, r.id, r.state.revision)
	if err != nil && rev.rawHeader == nil {
		return
	}
	r.checkLabels(&rev.header)
	r.checkTimes(&rev.header)
	r.checkTokens(&rev, wrapped)
}

func (r *recordCheck) checkLabels(h *header) {
	for _, l := range h.labels {
		if r.tx.Get(kv.Labels, labelKey(r.coll.doc.UID, l.Key, l.Value, r.id)) == nil {
			r.add(damagedLabel, "the label index has no entry for its label %q", l.Key)
		}
	}
}

// checkTimes holds the time of the last change against the header's.
func (r *recordCheck) checkTimes(h *header) {
	ch, err := decodeChange(r.tx.Get(kv.Changes, changeKey(r.coll.doc.UID, r.state.sequence)))
	if err == nil && ch.at.Before(h.updated) {
		r.add(damagedChange, "the change index says that it changed before its current revision was made")
	}
}

// checkTokens judges the record's list of index tokens: each has its entry in
// the index, its keyset exists, and with Deep it is what the field gives.
func (r *recordCheck) checkTokens(rev *revision, wrapped []byte) {
	var set tokenSet
	if raw := r.tx.Get(kv.Tokens, recordKey(r.coll.doc.UID, r.id)); raw != nil {
		var err error
		if set, err = decodeTokenSet(raw); err != nil || len(set.tokens) == 0 {
			r.add(damagedIndex, "its list of index tokens has not the layout that it should have")
			return
		}
		g := r.coll.integration.generation
		if g != (generation{}) && !slices.Contains(g.openIndexes(), set.generation) {
			r.add(damagedIndex, "its index tokens are of generation %d, which no search looks under", set.generation)
		}
	}
	for _, t := range set.tokens {
		if r.tx.Get(kv.Index, indexKey(r.coll.doc.UID, t.path, set.generation, t.token, r.id)) == nil {
			r.add(damagedIndex, "the index has no entry for its field %q: it is not found by it", t.path)
		}
	}
	if r.f.o.Deep && r.f.dom != nil && r.coll.schema != nil && wrapped != nil {
		r.recompute(rev, wrapped, &set)
	}
}

// recompute makes the tokens anew and compares. A field whose index is being
// filled is left out.
func (r *recordCheck) recompute(rev *revision, wrapped []byte, set *tokenSet) {
	values, ok := r.values(rev, wrapped)
	open := r.f.dom.IndexGenerations()
	generation := open[0]
	if len(set.tokens) > 0 {
		generation = set.generation
	}
	if !ok || !slices.Contains(open, generation) {
		return
	}
	for _, field := range r.coll.indexed {
		if r.coll.filling[field.Path] {
			continue
		}
		want, err := r.coll.token(r.f.dom, generation, field, values)
		if err != nil {
			want = nil // an older schema allowed a value that cannot be indexed
		}
		r.alone(field, open, generation, values)
		have := set.of(field.Path)
		switch {
		case bytes.Equal(want, have):
		case have == nil:
			r.add(damagedIndex, "its field %q has no index token: it is not found by it", field.Path)
		default:
			r.add(damagedIndex, "the index token of its field %q is not that of the field's value", field.Path)
		}
	}
}

// alone judges a unique field across index generations: the index itself shows
// two records with one value only where both have a token of one generation.
func (r *recordCheck) alone(field schema.Field, open []uint32, own uint32, values []schema.Value) {
	if field.Index != schema.IndexUnique {
		return
	}
	for _, generation := range open {
		token, err := r.coll.token(r.f.dom, generation, field, values)
		if generation != own && err == nil && token != nil && heldByAnother(r.tx, r.coll.doc.UID, field.Path, generation, token, r.id) {
			r.add(damagedIndex, "another record holds its value of the unique field %q", field.Path)
		}
	}
}

// values opens the fields of the current revision, by the current schema.
func (r *recordCheck) values(rev *revision, wrapped []byte) ([]schema.Value, bool) {
	opener, err := r.f.dom.Open(r.f.s.identity(r.coll, r.id, r.state.revision), rev.rawHeader, wrapped)
	if err != nil {
		return nil, false
	}
	values, err := openAll(rev, opener)
	if err != nil {
		return nil, false
	}
	if rev.header.schemaVersion != r.coll.doc.SchemaVersion {
		values = r.coll.schema.Resplit(values)
	}
	return values, true
}

// of returns the token of a field, nil when there is none.
func (t *tokenSet) of(path string) []byte {
	for _, k := range t.tokens {
		if k.path == path {
			return k.token
		}
	}
	return nil
}
