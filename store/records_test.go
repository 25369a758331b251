package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"strongroom/internal/access"
	"strongroom/internal/schema"
	"strongroom/internal/uid"
	"strongroom/store"
	"strongroom/store/storetest"
)

const customersSchema = `{"type":"object","required":["email"],"properties":{
	"email":{"type":"string","x-index":"exact","x-normalise":"lowercase","x-mask":"email"},
	"card":{"type":"string","x-mask":"last4"},
	"ssn":{"type":"string","x-sensitivity":"high"},
	"external_id":{"type":"string","x-index":"unique"},
	"amount":{"type":"number"},
	"customer":{"type":"object","properties":{"name":{"type":"string"},"phone":{"type":"string","x-field":true}}}}}`

func TestARecordLives(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	ref := w.create(`{"email":"Ann@example.com","amount":1.50,"customer":{"name":"Ann","phone":"123"}}`)
	if got, want := w.read(w.root, ref), `{"email":"Ann@example.com","amount":1.50,"customer":{"name":"Ann","phone":"123"}}`; got != want {
		t.Errorf("read %s, want %s", got, want)
	}
	patched, err := w.PatchRecord(ctx, w.root, ref, input(`{"customer":{"phone":"456"},"amount":null}`), store.WriteOptions{Precondition: store.Precondition{IfMatch: []uint64{1}}})
	w.must(err)
	if patched.Revision != 2 {
		t.Errorf("revision is %d, want 2", patched.Revision)
	}
	if got, want := w.read(w.root, ref), `{"email":"Ann@example.com","customer":{"name":"Ann","phone":"456"}}`; got != want {
		t.Errorf("read %s, want %s", got, want)
	}
	_, err = w.PatchRecord(ctx, w.root, ref, input(`{}`), store.WriteOptions{Precondition: store.Precondition{IfMatch: []uint64{1}}})
	wantErr(t, err, store.ErrPrecondition)
	rolled, err := w.RollbackRecord(ctx, w.root, ref, 1, store.WriteOptions{})
	w.must(err)
	w.Reopen()
	if got, want := w.read(w.root, ref), `{"email":"Ann@example.com","amount":1.50,"customer":{"name":"Ann","phone":"123"}}`; got != want {
		t.Errorf("after the rollback %s, want %s", got, want)
	}
	old, err := w.GetRecord(ctx, w.root, ref, store.ReadOptions{Previous: true})
	w.must(err)
	if old.Revision != rolled.Revision-1 || old.Current {
		t.Errorf("previous is revision %d", old.Revision)
	}
	revisions, err := w.ListRevisions(ctx, w.root, ref)
	w.must(err)
	if len(revisions) != 3 || !revisions[0].Current {
		t.Errorf("history is %v", revisions)
	}
	_, err = w.DeleteRecord(ctx, w.root, ref, store.WriteOptions{})
	w.must(err)
	_, err = w.GetRecord(ctx, w.root, ref, store.ReadOptions{})
	wantErr(t, err, store.ErrNotFound)
	res, err := w.CreateRecord(ctx, w.root, customers, store.RecordInput{ID: ref.Record, Fields: []byte(`{"email":"b@c.d"}`)}, store.WriteOptions{})
	w.must(err)
	if res.Revision <= rolled.Revision {
		t.Errorf("revision %d was given again after the delete of %d", res.Revision, rolled.Revision)
	}
}

func TestRetentionKeepsTheNewest(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	w.collection(customers, store.CollectionSpec{Schema: []byte(customersSchema), Retention: &store.Retention{Revisions: 2}})
	ref := w.create(`{"email":"a@b.c"}`)
	for range 4 {
		_, err := w.PatchRecord(ctx, w.root, ref, input(`{"card":"4242"}`), store.WriteOptions{})
		w.must(err)
	}
	revisions, err := w.ListRevisions(ctx, w.root, ref)
	w.must(err)
	if len(revisions) != 2 || revisions[1].Revision != 4 {
		t.Errorf("history is %v", revisions)
	}
}

func TestUniqueHoldsUntilErased(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	w.collection(customers, store.CollectionSpec{Schema: []byte(customersSchema), UndeleteFor: "1h"})
	ref := w.create(`{"email":"a@b.c","external_id":"x"}`)
	_, err := w.CreateRecord(ctx, w.root, customers, input(`{"email":"d@e.f","external_id":"x"}`), store.WriteOptions{})
	wantErr(t, err, store.ErrUniqueConflict)
	if err != nil && strings.Contains(err.Error(), ref.Record) {
		t.Error("the conflict names the other record")
	}
	deleted, err := w.DeleteRecord(ctx, w.root, ref, store.WriteOptions{})
	w.must(err)
	if deleted.PurgeAt == nil || !deleted.PurgeAt.Equal(w.now.Add(time.Hour)) {
		t.Errorf("purge_at is %v", deleted.PurgeAt)
	}
	_, err = w.UndeleteRecord(ctx, w.root, ref, store.WriteOptions{})
	w.must(err)
	w.must(w.ExpungeRecord(ctx, w.root, ref))
	w.create(`{"email":"d@e.f","external_id":"x"}`)
}

func TestExpiryIsInstantAndErased(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	in := input(`{"email":"a@b.c"}`)
	in.EraseAt = store.TimeChange{Given: true, Time: w.now.Add(time.Hour)}
	res, err := w.CreateRecord(ctx, w.root, customers, in, store.WriteOptions{})
	w.must(err)
	ref := store.RecordRef{CollectionRef: customers, Record: res.ID}
	w.now = w.now.Add(time.Hour - time.Microsecond)
	w.read(w.root, ref)
	w.now = w.now.Add(time.Microsecond)
	_, err = w.GetRecord(ctx, w.root, ref, store.ReadOptions{})
	wantErr(t, err, store.ErrNotFound)
	stats, err := w.Sweep(ctx)
	w.must(err)
	if stats.Erased != 1 {
		t.Errorf("the sweep erased %d records", stats.Erased)
	}
	coll, err := w.GetCollection(ctx, w.root, customers)
	w.must(err)
	if *coll.Records != 0 {
		t.Errorf("%d records are left", *coll.Records)
	}
}

func TestCollectionTTL(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	old := w.create(`{"email":"old@b.c"}`)
	w.now = w.now.Add(40 * time.Minute)
	young := w.create(`{"email":"young@b.c"}`)
	w.collection(customers, store.CollectionSpec{Schema: []byte(customersSchema), TTL: "1h"})
	w.now = w.now.Add(30 * time.Minute)
	_, err := w.GetRecord(ctx, w.root, old, store.ReadOptions{})
	wantErr(t, err, store.ErrNotFound)
	stats, err := w.Sweep(ctx)
	w.must(err)
	if stats.Erased != 1 {
		t.Errorf("the sweep erased %d records", stats.Erased)
	}
	w.read(w.root, young)
}

func TestIndexIsFilledInTheBackground(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	for range 300 {
		w.create(`{"email":"` + uid.New().String() + `@b.c","card":"same"}`)
	}
	indexed := strings.Replace(customersSchema, `"x-mask":"last4"`, `"x-mask":"last4","x-index":"exact"`, 1)
	if res := w.collection(customers, store.CollectionSpec{Schema: []byte(indexed)}); !res.Backfill {
		t.Fatal("no backfill was begun")
	}
	where := store.SearchOptions{Where: []schema.Value{{Path: "card", JSON: []byte(`"same"`)}}, Limit: 1000}
	_, err := w.SearchRecords(ctx, w.root, customers, where)
	wantErr(t, err, store.ErrConflict)
	w.create(`{"email":"late@b.c","card":"same"}`)
	_, err = w.Sweep(ctx)
	w.must(err)
	page, err := w.SearchRecords(ctx, w.root, customers, where)
	w.must(err)
	if len(page.Records) != 301 {
		t.Errorf("the search found %d records, want 301", len(page.Records))
	}
}

func TestSearchComparesNormalised(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	ref := w.create(`{"email":"Ann@Example.com"}`)
	rec, err := w.LookupRecord(ctx, w.root, customers, []schema.Value{{Path: "email", JSON: []byte(`"ANN@example.COM"`)}}, store.ReadOptions{})
	w.must(err)
	if rec.ID != ref.Record {
		t.Errorf("found %s", rec.ID)
	}
	_, err = w.LookupRecord(ctx, w.root, customers, []schema.Value{{Path: "email", JSON: []byte(`"bob@example.com"`)}}, store.ReadOptions{})
	wantErr(t, err, store.ErrNotFound)
}

func TestCursorIsBoundToClientAndQuery(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	for range 5 {
		w.create(`{"email":"a@b.c"}`)
	}
	page, err := w.ListRecords(ctx, w.root, customers, store.ListOptions{Limit: 2})
	w.must(err)
	seen := map[string]bool{}
	for _, r := range page.Records {
		seen[r.ID] = true
	}
	for cursor := page.Next; cursor != ""; {
		page, err := w.ListRecords(ctx, w.root, customers, store.ListOptions{Limit: 2, Cursor: cursor})
		w.must(err)
		for _, r := range page.Records {
			if seen[r.ID] {
				t.Errorf("%s came twice", r.ID)
			}
			seen[r.ID] = true
		}
		cursor = page.Next
	}
	if len(seen) != 5 {
		t.Errorf("the pages showed %d records", len(seen))
	}
	other := *w.root
	other.ClientUID = uid.New()
	_, err = w.ListRecords(ctx, &other, customers, store.ListOptions{Limit: 2, Cursor: page.Next})
	wantErr(t, err, store.ErrCursor)
	_, err = w.ListRecords(ctx, w.root, customers, store.ListOptions{Limit: 2, Cursor: page.Next, Labels: map[string]string{"a": "b"}})
	wantErr(t, err, store.ErrCursor)
}

func TestUpdatedAfterFollowsTheChanges(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	first := w.create(`{"email":"1@b.c"}`)
	w.now = w.now.Add(time.Minute)
	since := w.now
	w.now = w.now.Add(time.Minute)
	second := w.create(`{"email":"2@b.c"}`)
	w.now = w.now.Add(time.Minute)
	_, err := w.PatchRecord(ctx, w.root, first, input(`{"card":"1"}`), store.WriteOptions{})
	w.must(err)
	page, err := w.ListRecords(ctx, w.root, customers, store.ListOptions{UpdatedAfter: since})
	w.must(err)
	var got []string
	for _, r := range page.Records {
		got = append(got, r.ID)
	}
	if diff := cmp.Diff([]string{second.Record, first.Record}, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	page, err = w.ListRecords(ctx, w.root, customers, store.ListOptions{UpdatedAfter: w.now})
	w.must(err)
	if len(page.Records) != 0 {
		t.Errorf("%d records changed after the last change", len(page.Records))
	}
}

func TestIdempotencyKey(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	o := store.WriteOptions{IdempotencyKey: "k1", Route: "POST records", Request: []byte("one")}
	first, err := w.CreateRecord(ctx, w.root, customers, input(`{"email":"a@b.c"}`), o)
	w.must(err)
	w.Reopen()
	again, err := w.CreateRecord(ctx, w.root, customers, input(`{"email":"a@b.c"}`), o)
	w.must(err)
	if again.ID != first.ID || !again.Replayed || !again.Created {
		t.Errorf("the repeat answered %+v, want %+v", again, first)
	}
	o.Request = []byte("two")
	_, err = w.CreateRecord(ctx, w.root, customers, input(`{"email":"x@b.c"}`), o)
	wantErr(t, err, store.ErrIdempotencyMismatch)
	w.now = w.now.Add(24 * time.Hour)
	_, err = w.Sweep(ctx)
	w.must(err)
	fresh, err := w.CreateRecord(ctx, w.root, customers, input(`{"email":"x@b.c"}`), o)
	w.must(err)
	if fresh.ID == first.ID {
		t.Error("the key was remembered for longer than a day")
	}
}

func TestUpsert(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	ref := w.create(`{"email":"a@b.c","card":"1","external_id":"x"}`)
	how := func(how store.OnConflict) (store.WriteResult, error) {
		return w.UpsertRecord(ctx, w.root, customers, input(`{"email":"n@b.c","external_id":"x"}`), store.UpsertOptions{Key: "external_id", OnConflict: how})
	}
	res, err := how(store.Ignore)
	w.must(err)
	if !res.Unchanged || res.ID != ref.Record {
		t.Errorf("ignore answered %+v", res)
	}
	_, err = how(store.Fail)
	wantErr(t, err, store.ErrUniqueConflict)
	_, err = how(store.Merge)
	w.must(err)
	if got, want := w.read(w.root, ref), `{"email":"n@b.c","card":"1","external_id":"x"}`; got != want {
		t.Errorf("merged into %s, want %s", got, want)
	}
	_, err = how(store.Replace)
	w.must(err)
	if got, want := w.read(w.root, ref), `{"email":"n@b.c","external_id":"x"}`; got != want {
		t.Errorf("replaced by %s, want %s", got, want)
	}
	res, err = w.UpsertRecord(ctx, w.root, customers, input(`{"email":"n@b.c","external_id":"y"}`), store.UpsertOptions{Key: "external_id", OnConflict: store.Replace})
	w.must(err)
	if !res.Created || res.ID == ref.Record {
		t.Errorf("a new key answered %+v", res)
	}
}

func TestImport(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	lines := []string{`{"email":"1@b.c","external_id":"1"}`, `{"card":"no email"}`, `{"email":"3@b.c","external_id":"1"}`, `{"email":"4@b.c"}`}
	run := func(o store.ImportOptions) (results []store.ImportResult, err error) {
		n := 0
		next := func() (store.ImportLine, bool) {
			if n == len(lines) {
				return store.ImportLine{}, false
			}
			n++
			return store.ImportLine{Number: n, Raw: []byte(lines[n-1])}, true
		}
		o.Decode = func(raw []byte) (store.RecordInput, error) { return input(string(raw)), nil }
		err = w.ImportRecords(ctx, w.root, customers, o, next, func(r store.ImportResult) error { results = append(results, r); return nil })
		return results, err
	}
	results, err := run(store.ImportOptions{Continue: true})
	w.must(err)
	var failed []int
	for _, r := range results {
		if r.Err != nil {
			failed = append(failed, r.Line)
		}
	}
	if diff := cmp.Diff([]int{2, 3}, failed); diff != "" || len(results) != 4 {
		t.Errorf("lines that failed (-want +got):\n%s", diff)
	}
	wantErr(t, results[2].Err, store.ErrUniqueConflict)
	results, err = run(store.ImportOptions{})
	var stopped *store.ImportStopped
	if !errors.As(err, &stopped) || stopped.Line != 1 || len(results) != 1 {
		t.Errorf("the second import ended with %v after %d lines, want to stop at line 1", err, len(results))
	}
	results, err = run(store.ImportOptions{Upsert: true, Key: "external_id", OnConflict: store.Replace, Continue: true})
	w.must(err)
	if results[0].Err != nil || results[0].Created || results[2].Err != nil || results[3].Err == nil {
		t.Errorf("the upserts ended with %+v", results)
	}
}

func TestExportShowsWhatTheRoleMaySee(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	w.create(`{"email":"a@b.c","card":"4242424242424242","ssn":"1"}`)
	c := w.client("exporter", `{"rules":[{"integrations":["acme"],"collections":["*"],"actions":["export"],"read":{"*":"clear"}}]}`)
	var got []string
	n, err := w.ExportRecords(ctx, c, customers, store.ListOptions{}, func(r *store.Record) error {
		got = append(got, string(schema.Join(r.Fields)), strings.Join(r.Withheld, ","))
		return nil
	})
	w.must(err)
	if n != 1 || got[1] != "ssn" || strings.Contains(got[0], "424242424242") || strings.Contains(got[0], "a@b.c") {
		t.Errorf("exported %v", got)
	}
}

func TestARecreatedNamesakeOpensNothing(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	ref := w.create(`{"email":"a@b.c"}`)
	_, err := w.DeleteIntegration(ctx, w.root, "acme", true)
	w.must(err)
	_, err = w.GetRecord(ctx, w.root, ref, store.ReadOptions{})
	wantErr(t, err, store.ErrNotFound)
	w.integration("acme")
	w.collection(customers, store.CollectionSpec{Schema: []byte(customersSchema)})
	_, err = w.GetRecord(ctx, w.root, ref, store.ReadOptions{})
	wantErr(t, err, store.ErrNotFound)
	_, err = w.Sweep(ctx)
	w.must(err)
}

func TestADeletedIntegrationComesBackUntilItsKeysAreDestroyed(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	ref := w.create(`{"email":"a@b.c"}`)
	_, err := w.DeleteIntegration(ctx, w.root, "acme", false)
	w.must(err)
	_, err = w.GetRecord(ctx, w.root, ref, store.ReadOptions{})
	wantErr(t, err, store.ErrDisabled)
	_, err = w.UndeleteIntegration(ctx, w.root, "acme")
	w.must(err)
	w.read(w.root, ref)
	_, err = w.DeleteIntegration(ctx, w.root, "acme", false)
	w.must(err)
	w.now = w.now.Add(7*24*time.Hour + time.Second)
	stats, err := w.Sweep(ctx)
	w.must(err)
	if stats.Integrations != 1 {
		t.Errorf("the sweep destroyed %d integrations", stats.Integrations)
	}
	_, err = w.UndeleteIntegration(ctx, w.root, "acme")
	wantErr(t, err, store.ErrNotFound)
}

func TestBuiltinRolesReadNoValue(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	ref := w.create(`{"email":"a@b.c"}`)
	for _, role := range []string{access.RoleAdministrator, access.RoleOperator, access.RoleAuditor} {
		c := &access.Principal{Client: role, Policy: access.NewPolicy(nil, []string{role}, false)}
		_, err := w.GetRecord(ctx, c, ref, store.ReadOptions{})
		wantErr(t, err, store.ErrForbidden)
		_, err = w.ExportRecords(ctx, c, customers, store.ListOptions{}, func(*store.Record) error { return nil })
		wantErr(t, err, store.ErrForbidden)
	}
}
