package store_test

import (
	"context"
	"testing"

	"strongroom/internal/schema"
	"strongroom/store"
	"strongroom/store/storetest"
)

const customers = `{"type":"object","properties":{"email":{"type":"string","x-index":"exact","x-mask":"email"},"card":{"type":"string","x-mask":"last4","x-sensitivity":"high"},"external_id":{"type":"string","x-index":"unique"},"customer":{"type":"object","properties":{"name":{"type":"string"},"phone":{"type":"string","x-field":true}}}},"required":["email"]}`

func TestSmoke(t *testing.T) {
	ctx := context.Background()
	f := storetest.Open(t)
	c := f.Root()
	if _, _, err := f.PutIntegration(ctx, c, "acme", store.IntegrationSpec{}, store.Precondition{}); err != nil {
		t.Fatal(err)
	}
	ref := store.CollectionRef{Integration: "acme", Collection: "customers"}
	if _, _, err := f.PutCollection(ctx, c, ref, store.CollectionSpec{Schema: []byte(customers)}, store.Precondition{}); err != nil {
		t.Fatal(err)
	}
	res, err := f.CreateRecord(ctx, c, ref, store.RecordInput{Fields: []byte(`{"email":"a@b.c","card":"4242424242424242","external_id":"x1","customer":{"name":"Ann","phone":"123"}}`), Labels: map[string]string{"owner": "o1"}, SetLabels: true}, store.WriteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	rref := store.RecordRef{CollectionRef: ref, Record: res.ID}
	rec, err := f.GetRecord(ctx, c, rref, store.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s %v", schema.Join(rec.Fields), rec.ETag)
	if _, err := f.PatchRecord(ctx, c, rref, store.RecordInput{Fields: []byte(`{"customer":{"phone":"456"}}`)}, store.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	page, err := f.SearchRecords(ctx, c, ref, store.SearchOptions{Where: []schema.Value{{Path: "email", JSON: []byte(`"a@b.c"`)}}})
	if err != nil || len(page.Records) != 1 {
		t.Fatal(err, page)
	}
	t.Logf("%s", schema.Join(page.Records[0].Fields))
	page, err = f.ListRecords(ctx, c, ref, store.ListOptions{Labels: map[string]string{"owner": "o1"}})
	if err != nil || len(page.Records) != 1 {
		t.Fatal(err, page)
	}
	up, err := f.UpsertRecord(ctx, c, ref, store.RecordInput{Fields: []byte(`{"email":"n@b.c","external_id":"x1"}`)}, store.UpsertOptions{Key: "external_id", OnConflict: store.Replace})
	if err != nil || up.ID != res.ID || up.Revision != 3 {
		t.Fatal(err, up)
	}
	if _, err := f.RollbackRecord(ctx, c, rref, 1, store.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	revs, err := f.ListRevisions(ctx, c, rref)
	if err != nil || len(revs) != 4 {
		t.Fatal(err, revs)
	}
	f.Reopen()
	if _, err := f.GetRecord(ctx, c, rref, store.ReadOptions{Revision: 2}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.DeleteRecord(ctx, c, rref, store.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
}
