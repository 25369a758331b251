package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"strongroom/internal/schema"
	"strongroom/internal/uid"
	"strongroom/store"
	"strongroom/store/storetest"
)

func TestStoryOfAnotherClientsCursor(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	for i := range 4 {
		w.create(fmt.Sprintf(`{"email":"ann@example.com","external_id":"%d"}`, i))
	}
	a, b := w.client("a", supportRole), w.client("b", supportRole)
	list, err := w.ListRecords(ctx, a, customers, store.ListOptions{Limit: 2})
	w.must(err)
	search, err := w.SearchRecords(ctx, a, customers, store.SearchOptions{Where: where("email", `"ann@example.com"`), Limit: 2})
	w.must(err)
	listed := func(c store.Caller, cursor string) func() error {
		return func() error {
			_, err := w.ListRecords(ctx, c, customers, store.ListOptions{Limit: 2, Cursor: cursor})
			return err
		}
	}
	searched := func(c store.Caller, email, cursor string) func() error {
		return func() error {
			_, err := w.SearchRecords(ctx, c, customers, store.SearchOptions{Where: where("email", `"`+email+`"`), Limit: 2, Cursor: cursor})
			return err
		}
	}
	tell(t, []story{
		{"a", "go on with its list", listed(a, list.Next), nil},
		{"a", "go on with its search", searched(a, "ann@example.com", search.Next), nil},
		{"b", "go on with a's list", listed(b, list.Next), store.ErrCursor},
		{"b", "go on with a's search", searched(b, "ann@example.com", search.Next), store.ErrCursor},
		{"a", "go on with its list in a search", searched(a, "ann@example.com", list.Next), store.ErrCursor},
		{"a", "go on with its search for somebody else", searched(a, "bob@example.com", search.Next), store.ErrCursor},
		{"a", "go on with what is no cursor", listed(a, "AAAA"), store.ErrCursor},
		{"a", "go on with a cut cursor", listed(a, list.Next[:len(list.Next)-2]), store.ErrCursor},
	})
	if strings.Contains(list.Next, list.Records[1].ID) {
		t.Error("the cursor shows an id")
	}
}

// An upsert or import with an id of the caller's own never overwrites a record
// that has another key.
func TestStoryOfAnUpsertWithSomebodyElsesID(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	ref := w.create(fullRecord)
	for _, how := range []store.OnConflict{store.Replace, store.Merge, store.Ignore, store.Fail} {
		in := store.RecordInput{ID: ref.Record, Fields: []byte(`{"email":"m@b.c","external_id":"another"}`)}
		_, err := w.UpsertRecord(ctx, w.root, customers, in, store.UpsertOptions{Key: "external_id", OnConflict: how})
		wantErr(t, err, store.ErrExists)
	}
	_, err := w.UpsertRecord(ctx, w.root, customers, store.RecordInput{ID: "a\x00b", Fields: []byte(`{"email":"m@b.c","external_id":"y"}`)}, store.UpsertOptions{Key: "external_id", OnConflict: store.Replace})
	var bad *store.Invalid
	if !errors.As(err, &bad) {
		t.Errorf("an id with a zero byte: %v", err)
	}
	if got := w.read(w.root, ref); !sameObject(t, got, fullRecord) {
		t.Errorf("the record is now %s", got)
	}
}

// A field that one schema guarded stays guarded in what was written then.
func TestStoryOfAFieldThatTheSchemaForgot(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	ref := w.create(fullRecord)
	w.collection(customers, store.CollectionSpec{Schema: []byte(`{"type":"object","properties":{"email":{"type":"string"}}}`)})
	c := w.client("sweeping", sweepingRole)
	rec := w.get(c, ref)
	if got := string(schema.Join(rec.Fields)); strings.Contains(got, secretOfAll) || strings.Contains(got, cardOfAll) {
		t.Errorf("after the schema forgot them: %s", got)
	}
	_, err := w.GetField(ctx, c, ref, "ssn", store.ReadOptions{})
	wantErr(t, err, store.ErrForbidden)
}

// Entity tags of namesakes differ: a cache must not take one for the other.
func TestStoryOfANamesake(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	in := store.RecordInput{ID: "one", Fields: []byte(withoutFields)}
	first, err := w.CreateRecord(ctx, w.root, customers, in, store.WriteOptions{})
	w.must(err)
	ref := store.RecordRef{CollectionRef: customers, Record: "one"}
	if rec := w.get(w.root, ref); rec.ETag != first.ETag {
		t.Errorf("the write answered the tag %s, the read %s", first.ETag, rec.ETag)
	}
	w.must(w.DeleteCollection(ctx, w.root, customers))
	w.collection(customers, store.CollectionSpec{Schema: []byte(customersSchema)})
	_, err = w.CreateRecord(ctx, w.root, customers, in, store.WriteOptions{})
	w.must(err)
	rec, err := w.GetRecord(ctx, w.root, ref, store.ReadOptions{IfNone: []string{first.ETag}})
	w.must(err)
	if rec.NotModified {
		t.Error("a record of a recreated collection has the entity tag of the old one")
	}
	_, err = w.Sweep(ctx)
	w.must(err)
}

// What a client names goes into the audit log when it is a name, not when it
// could be anything.
func TestStoryOfASecretInTheWrongPlace(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	ref := w.create(fullRecord)
	const slip = "hunter2 in the wrong place"
	_, err := w.GetRecord(ctx, w.root, store.RecordRef{CollectionRef: customers, Record: slip}, store.ReadOptions{})
	wantErr(t, err, store.ErrNotFound)
	_, err = w.GetField(ctx, w.client("support", supportRole), ref, slip, store.ReadOptions{})
	if err == nil {
		t.Error("a field that does not exist was read")
	}
	_, err = w.SearchRecords(ctx, w.root, customers, store.SearchOptions{Where: where(slip, `"x"`)})
	if err == nil {
		t.Error("a field that does not exist was searched")
	}
	_, err = w.GetRecord(ctx, w.root, store.RecordRef{CollectionRef: store.CollectionRef{Integration: slip, Collection: slip}, Record: "x"}, store.ReadOptions{})
	if err == nil {
		t.Error("an integration that does not exist was read")
	}
	_, _, err = w.PutClient(ctx, w.root, slip, store.ClientSpec{}, store.Precondition{})
	if err == nil {
		t.Error("a client was put under a name that is none")
	}
	if strings.Contains(w.auditText(), slip) {
		t.Error("the audit log repeats it")
	}
}

// A name that the header cannot hold is refused before it is stored.
func TestStoryOfAVeryLongName(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	for _, n := range []int{128, 129, 65535, 65536, 70000} {
		name := strings.Repeat("n", n)
		res, err := w.CreateRecord(ctx, w.root, customers, input(`{"email":"a@b.c","`+name+`":1}`), store.WriteOptions{})
		var bad *store.Invalid
		if n > 128 {
			if !errors.As(err, &bad) {
				t.Errorf("a name of %d bytes: %.200v", n, err)
			}
			continue
		}
		w.must(err)
		w.read(w.root, store.RecordRef{CollectionRef: customers, Record: res.ID})
	}
}

func TestStoryOfAnUnknownCaller(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	c, err := w.GetClient(context.Background(), w.root, w.client("known", supportRole).Client)
	w.must(err)
	for _, who := range []struct {
		client string
		id     uid.UID
		secret string
	}{{"known", c.UID, "nope"}, {"known", uid.New(), ""}, {"absent", c.UID, ""}} {
		_, err := w.Principal(&store.TokenRef{Client: who.client, ClientUID: who.id, SecretID: who.secret})
		wantErr(t, err, store.ErrUnauthenticated)
	}
}
