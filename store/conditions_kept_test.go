package store_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"strongroom/internal/access"
	"strongroom/store"
	"strongroom/store/kv"
	"strongroom/store/storetest"
)

// A damaged record's labels are anybody's guess: a list that depends on them
// leaves it out, and whoever names it learns that it is damaged.
func TestConditionsCountOnAuthenticLabelsAlone(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{Unchecked: true})
	_, theirs := w.owners()
	c := w.tenant("tenant", "hers")
	w.forgeLabel(theirs, "them", "hers")
	_, err := w.GetRecord(ctx, c, theirs, store.ReadOptions{})
	wantErr(t, err, store.ErrIntegrity)
	_, err = w.DeleteRecord(ctx, c, theirs, store.WriteOptions{})
	wantErr(t, err, store.ErrIntegrity)
	wantErr(t, w.ExpungeRecord(ctx, c, theirs), store.ErrIntegrity)
	page, err := w.ListRecords(ctx, c, customers, store.ListOptions{})
	if w.must(err); len(page.Records) != 0 {
		t.Errorf("the list shows %v", page.Records)
	}
}

// A role that is changed counts on the next request, of a client that has been
// at it all along; its conditions are compiled then, and at no other time.
func TestAChangedRoleCountsOnTheNextRequest(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	mine, theirs := w.owners()
	c := w.tenant("tenant", "me")
	again := func() store.Caller { return labelled(w.again(c), "me") }
	w.get(again(), mine)
	before := access.Compiled()
	change := func(when string) {
		_, _, err := w.PutRole(ctx, w.root, "tenant-a", []byte(strings.Replace(tenantRole, "record.labels.owner == client.labels.owner", when, 1)), store.Precondition{})
		w.must(err)
	}
	change("record.labels.owner != client.labels.owner")
	_, err := w.GetRecord(ctx, again(), mine, store.ReadOptions{})
	wantErr(t, err, store.ErrNotFound)
	w.get(again(), theirs)
	change("false")
	_, err = w.GetRecord(ctx, again(), theirs, store.ReadOptions{})
	wantErr(t, err, store.ErrForbidden)
	if got := access.Compiled() - before; got != 2 {
		t.Errorf("two changes compiled %d conditions", got)
	}
	change("record.labels.owner == client.labels.owner")
	before = access.Compiled()
	for range 50 {
		w.get(again(), mine)
		_, err := w.ListRecords(ctx, again(), customers, store.ListOptions{})
		w.must(err)
		w.must(w.patch(again(), mine, `{"amount":3}`))
	}
	if got := access.Compiled() - before; got != 0 {
		t.Errorf("150 requests compiled %d conditions", got)
	}
}

// A store that is opened again judges by the same conditions.
func TestConditionsOutliveARestart(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	mine, theirs := w.owners()
	c := w.tenant("tenant", "me")
	w.Reopen()
	p := labelled(w.again(c), "me")
	w.get(p, mine)
	_, err := w.GetRecord(context.Background(), p, theirs, store.ReadOptions{})
	wantErr(t, err, store.ErrNotFound)
}

// forgeLabel changes a text in the record's stored revisions to another of the
// same length.
func (w *world) forgeLabel(ref store.RecordRef, from, to string) {
	w.t.Helper()
	w.must(w.Engine.Update(context.Background(), kv.Interactive, 1<<16, func(tx kv.Tx) error {
		for _, e := range w.revisionsOf(tx, ref.Record) {
			tx.Put(kv.Revisions, e.Key, bytes.Replace(e.Value, []byte(from), []byte(to), 1))
		}
		return nil
	}))
}

func (w *world) revisionsOf(tx kv.Tx, id string) (all []kv.Entry) {
	tx.Scan(kv.Revisions, nil, nil, func(key, value []byte) bool {
		if bytes.Contains(key, []byte(id)) {
			all = append(all, kv.Entry{Key: bytes.Clone(key), Value: bytes.Clone(value)})
		}
		return true
	})
	return all
}
