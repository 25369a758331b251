package store_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"strongroom/internal/access"
	"strongroom/store"
	"strongroom/store/storetest"
)

// due is an input that changes when a record is erased; the zero time takes the
// time away.
func due(at time.Time, fields string) store.RecordInput {
	in := input(fields)
	in.EraseAt = store.TimeChange{Time: at, Given: true}
	return in
}

// Who may write one field must not be able to have all of them erased by giving
// the record a time to end, nor to keep what is due by taking it away.
func TestEraseAtOfARecordIsForWhoMayEraseIt(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, storetest.Options{})
	at := w.now.Add(time.Hour)
	make := func() store.RecordRef {
		res, err := w.CreateRecord(ctx, w.root, customers, due(at, `{"email":"a@b.c","external_id":"x"}`), store.WriteOptions{})
		w.must(err)
		return store.RecordRef{CollectionRef: customers, Record: res.ID}
	}
	writes := []access.Action{access.ActionCreate, access.ActionUpdate, access.ActionSearch, access.ActionImport}
	blind := w.may("blind", []access.Action{access.ActionCreate, access.ActionUpdate}) // it is shown no record
	clerk := w.may("clerk", append(writes, access.ActionRead))
	keeper := w.may("keeper", append(writes, access.ActionRead, access.ActionErase))
	ways := map[string]func(c store.Caller, ref store.RecordRef, in store.RecordInput) error{
		"PUT": func(c store.Caller, ref store.RecordRef, in store.RecordInput) error {
			_, err := w.PutRecord(ctx, c, ref, in, store.WriteOptions{})
			return err
		},
		"PATCH": func(c store.Caller, ref store.RecordRef, in store.RecordInput) error {
			_, err := w.PatchRecord(ctx, c, ref, in, store.WriteOptions{})
			return err
		},
		"upsert": func(c store.Caller, ref store.RecordRef, in store.RecordInput) error {
			_, err := w.UpsertRecord(ctx, c, customers, in, store.UpsertOptions{Key: "external_id", OnConflict: store.Merge})
			return err
		},
		"import": func(c store.Caller, ref store.RecordRef, in store.RecordInput) error {
			n := 0
			next := func() (store.ImportLine, bool) { n++; return store.ImportLine{Number: n, Raw: []byte("{}")}, n == 1 }
			o := store.ImportOptions{Upsert: true, Key: "external_id", OnConflict: store.Replace,
				Decode: func([]byte) (store.RecordInput, error) { return in, nil }}
			return w.ImportRecords(ctx, c, customers, o, next, func(store.ImportResult) error { return nil })
		},
	}
	const fields = `{"email":"a@b.c","external_id":"x"}`
	for name, write := range ways {
		t.Run(name, func(t *testing.T) {
			ref := make()
			defer func() { w.must(w.ExpungeRecord(ctx, w.root, ref)) }()
			soon, later, never := w.now.Add(time.Second), w.now.Add(time.Hour*99), time.Time{}
			tell(t, []story{
				{"clerk", "have it erased in a second", func() error { return write(clerk, ref, due(soon, fields)) }, store.ErrForbidden},
				{"clerk", "have it kept for longer", func() error { return write(clerk, ref, due(later, fields)) }, store.ErrForbidden},
				{"clerk", "have it kept for ever", func() error { return write(clerk, ref, due(never, fields)) }, store.ErrForbidden},
				{"clerk", "write back what it read", func() error { return write(clerk, ref, due(at, fields)) }, nil},
				{"blind", "find out when it is erased", func() error { return write(blind, ref, due(at, fields)) }, store.ErrForbidden},
			})
			if got := w.get(w.root, ref).EraseAt; !got.Equal(at) {
				t.Errorf("it is erased at %s, want %s", got, at)
			}
			w.must(write(keeper, ref, due(later, fields)))
			if got := w.get(w.root, ref).EraseAt; !got.Equal(later) {
				t.Errorf("whoever may erase it set %s, got %s", later, got)
			}
		})
	}
	_, err := w.CreateRecord(ctx, blind, customers, due(at, `{"email":"n@b.c"}`), store.WriteOptions{})
	w.must(err)
}

// What is shown can be the collection's time: to write it back neither fails nor
// keeps the record from living on.
func TestTheCollectionsTimeWrittenBackChangesNothing(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, storetest.Options{})
	w.collection(customers, store.CollectionSpec{Schema: []byte(customersSchema), TTL: "1h"})
	ref := w.create(withoutFields)
	clerk := w.may("clerk", []access.Action{access.ActionRead, access.ActionUpdate})
	shown := w.get(clerk, ref).EraseAt
	w.now = w.now.Add(30 * time.Minute)
	_, err := w.PatchRecord(ctx, clerk, ref, due(shown, `{"amount":1}`), store.WriteOptions{})
	w.must(err)
	if got := w.get(clerk, ref).EraseAt; !got.Equal(shown.Add(30 * time.Minute)) {
		t.Errorf("it is erased at %s, want %s", got, shown.Add(30*time.Minute))
	}
}

// A deleted record can be brought back until its time: whoever may only create
// must not end that by making one of its id, or with its key.
func TestCreatingDoesNotDestroyADeletedRecord(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, storetest.Options{})
	w.collection(customers, store.CollectionSpec{Schema: []byte(customersSchema), UndeleteFor: "1h"})
	writes := []access.Action{access.ActionCreate, access.ActionUpdate, access.ActionSearch, access.ActionImport}
	clerk, keeper := w.may("clerk", writes), w.may("keeper", append(writes, access.ActionErase))
	const fields = `{"email":"a@b.c","external_id":"x"}`
	ways := map[string]func(c store.Caller, id string) error{
		"create": func(c store.Caller, id string) error {
			in := input(fields)
			in.ID = id
			_, err := w.CreateRecord(ctx, c, customers, in, store.WriteOptions{})
			return err
		},
		"PUT": func(c store.Caller, id string) error {
			_, err := w.PutRecord(ctx, c, store.RecordRef{CollectionRef: customers, Record: id}, input(fields), store.WriteOptions{})
			return err
		},
		"PUT that must create": func(c store.Caller, id string) error {
			o := store.WriteOptions{Precondition: store.Precondition{Absent: true}}
			_, err := w.PutRecord(ctx, c, store.RecordRef{CollectionRef: customers, Record: id}, input(fields), o)
			return err
		},
		"upsert": func(c store.Caller, _ string) error {
			_, err := w.UpsertRecord(ctx, c, customers, input(fields), store.UpsertOptions{Key: "external_id", OnConflict: store.Replace})
			return err
		},
	}
	for name, make := range ways {
		t.Run(name, func(t *testing.T) {
			ref := w.create(fields)
			deleted := func() {
				_, err := w.DeleteRecord(ctx, w.root, ref, store.WriteOptions{})
				w.must(err)
			}
			deleted()
			err := make(clerk, ref.Record)
			wantErr(t, err, store.ErrConflict)
			if err != nil && (!strings.Contains(err.Error(), "undelete") || strings.Contains(err.Error(), ref.Record)) {
				t.Errorf("it is told %q", err)
			}
			_, err = w.UndeleteRecord(ctx, w.root, ref, store.WriteOptions{})
			w.must(err)
			if got := w.emailOf(ref); got != `"a@b.c"` {
				t.Errorf("it came back with %q", got)
			}
			deleted()
			w.must(make(keeper, ref.Record))
			deleted()
			w.now = w.now.Add(time.Hour)
			w.must(make(clerk, ref.Record)) // its time has passed: nothing is lost
			w.must(w.ExpungeRecord(ctx, w.root, ref))
		})
	}
}
