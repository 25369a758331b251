package store_test

import (
	"slices"
	"testing"

	"strongroom/internal/schema"
	"strongroom/store"
	"strongroom/store/kv"
	"strongroom/store/storetest"
)

// between makes a world on an engine that lets something come in between.
func between(t *testing.T) (*world, *fateful) {
	w := newWorld(t, storetest.Options{})
	e := &fateful{Engine: w.Engine}
	w.Deps.Engine = e
	w.Reopen()
	return w, e
}

// byCard is a schema that indexes what customersSchema does not.
const byCard = `{"type":"object","properties":{"email":{"type":"string"},"card":{"type":"string","x-index":"unique"}}}`

func (w *world) wantFoundByCard(ref store.RecordRef, card string) {
	w.t.Helper()
	where := []schema.Value{{Path: "card", JSON: []byte(card)}}
	rec, err := w.LookupRecord(always, w.root, ref.CollectionRef, where, store.ReadOptions{})
	w.must(err)
	if rec.ID != ref.Record {
		w.t.Errorf("found %q, want %q", rec.ID, ref.Record)
	}
}

// TestAnIndexDeclaredOnAnEmptyCollection has the first record come in between
// the look at the collection and the new definition: it is found all the same.
func TestAnIndexDeclaredOnAnEmptyCollection(t *testing.T) {
	w, e := between(t)
	e.before = func() {
		in := input(`{"email":"a@b.c","card":"4242"}`)
		in.ID = one.Record
		w.must(second(w.CreateRecord(always, w.root, customers, in, store.WriteOptions{})))
	}
	res := w.collection(customers, store.CollectionSpec{Schema: []byte(byCard)})
	if !res.Backfill {
		t.Error("there is a record, and its index is not to be filled")
	}
	w.must(second(w.Sweep(always)))
	w.wantFoundByCard(one, `"4242"`)
}

// TestAnIndexFilledWhileARecordIsHidden has a record deleted, for a time, in
// between the making of its tokens and their storing.
func TestAnIndexFilledWhileARecordIsHidden(t *testing.T) {
	w, e := between(t)
	w.collection(hiding, store.CollectionSpec{Schema: []byte(customersSchema), UndeleteFor: "1h"})
	in := input(`{"email":"a@b.c","card":"4242"}`)
	in.ID = hidden.Record
	w.must(second(w.CreateRecord(always, w.root, hiding, in, store.WriteOptions{})))
	w.collection(hiding, store.CollectionSpec{Schema: []byte(byCard), UndeleteFor: "1h"})
	e.before = func() { w.must(second(w.DeleteRecord(always, w.root, hidden, store.WriteOptions{}))) }
	w.must(second(w.Sweep(always)))
	w.must(second(w.UndeleteRecord(always, w.root, hidden, store.WriteOptions{})))
	w.wantFoundByCard(hidden, `"4242"`)
}

// damageTokens changes a record's list of index tokens on the disk.
func damageTokens(w *world, id string) {
	w.t.Helper()
	var key, value []byte
	w.must(w.Engine.Update(always, kv.Interactive, 0, func(tx kv.Tx) error {
		tx.Scan(kv.Tokens, nil, nil, func(k, v []byte) bool {
			if string(k[16:]) == id {
				key, value = slices.Clone(k), slices.Clone(v)
			}
			return key == nil
		})
		value[0] ^= 1
		tx.Put(kv.Tokens, key, value)
		return nil
	}))
}

// TestErasingARecordWithADamagedTokenList erases every token of it and none of
// another record's, of which the ids end alike.
func TestErasingARecordWithADamagedTokenList(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	for _, id := range []string{"one", "xone", "e", "ne"} {
		in := input(`{"email":"` + id + `@b.c","external_id":"` + id + `"}`)
		in.ID = id
		w.must(second(w.CreateRecord(always, w.root, customers, in, store.WriteOptions{})))
	}
	damageTokens(w, one.Record)
	w.must(w.ExpungeRecord(always, w.root, one))
	for _, id := range []string{"xone", "e", "ne"} {
		where := []schema.Value{{Path: "external_id", JSON: []byte(`"` + id + `"`)}}
		_, err := w.LookupRecord(always, w.root, customers, where, store.ReadOptions{})
		w.must(err)
	}
	in := input(`{"email":"new@b.c","external_id":"one"}`)
	w.must(second(w.CreateRecord(always, w.root, customers, in, store.WriteOptions{})))
}

// TestAnIntegrationWhoseKeysAreDestroyedDoesNotComeBack fails the removal of an
// integration after its key is gone: an undelete would leave records that
// nothing opens.
func TestAnIntegrationWhoseKeysAreDestroyedDoesNotComeBack(t *testing.T) {
	w, e := between(t)
	e.skip, e.fate = 1, &fates[0]
	_, err := w.DeleteIntegration(always, w.root, "acme", true)
	wantErr(t, err, store.ErrNotPersisted)
	_, err = w.UndeleteIntegration(always, w.root, "acme")
	wantErr(t, err, store.ErrConflict)
	w.must(second(w.Sweep(always)))
	_, err = w.GetIntegration(always, w.root, "acme")
	wantErr(t, err, store.ErrNotFound)
	w.integration("acme")
}

// TestACursorOfASearchIsOfThatSearch asks for a label what the search before
// asked for fields.
func TestACursorOfASearchIsOfThatSearch(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	for _, id := range []string{"one", "two"} {
		in := input(`{"email":"a@b.c"}`)
		in.ID, in.Labels, in.SetLabels = id, map[string]string{"card": "x"}, true
		w.must(second(w.CreateRecord(always, w.root, customers, in, store.WriteOptions{})))
	}
	o := store.SearchOptions{Where: []schema.Value{{Path: "email", JSON: []byte(`"a@b.c"`)}}, Limit: 1, Labels: map[string]string{"card": "x"}}
	page, err := w.SearchRecords(always, w.root, customers, o)
	w.must(err)
	o.Cursor = page.Next
	w.must(second(w.SearchRecords(always, w.root, customers, o)))
	o.Labels, o.Fields = nil, []string{"label", "card", "x"}
	_, err = w.SearchRecords(always, w.root, customers, o)
	wantErr(t, err, store.ErrCursor)
}

// TestAnIdempotencyKeyEndsWithItsCollection repeats a request in a namesake of
// the collection that it was made in.
func TestAnIdempotencyKeyEndsWithItsCollection(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	o := store.WriteOptions{IdempotencyKey: "key", Route: "create", Request: []byte("the same")}
	in := input(`{"email":"a@b.c"}`)
	first, err := w.CreateRecord(always, w.root, customers, in, o)
	w.must(err)
	w.must(w.DeleteCollection(always, w.root, customers))
	w.collection(customers, store.CollectionSpec{Schema: []byte(customersSchema)})
	again, err := w.CreateRecord(always, w.root, customers, in, o)
	w.must(err)
	if again.Replayed || again.ID == first.ID {
		t.Errorf("the answer is that of a record that is gone")
	}
	if got := w.emailOf(store.RecordRef{CollectionRef: customers, Record: again.ID}); got != `"a@b.c"` {
		t.Errorf("the record holds %s", got)
	}
}
