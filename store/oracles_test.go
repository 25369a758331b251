package store_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"strongroom/store"
	"strongroom/store/storetest"
)

// byRecord lists the methods that name a record.
func byRecord() []method {
	return slices.DeleteFunc(slices.Clone(methods), func(m method) bool {
		return strings.HasPrefix(m.name, "Create") || strings.HasPrefix(m.name, "List") && m.name != "ListRevisions" ||
			strings.HasPrefix(m.name, "Search") || strings.HasPrefix(m.name, "Lookup") || strings.HasPrefix(m.name, "Upsert") ||
			strings.HasPrefix(m.name, "Import") || strings.HasPrefix(m.name, "Export")
	})
}

// refusalText is all that a caller learns from an error.
func refusalText(err error) string {
	if err == nil {
		return "nothing is wrong"
	}
	return store.Code(err) + ": " + err.Error()
}

// A record that a condition denies and one that is not there are answered the
// same by every method, and the owner's own answers work.
func TestADeniedRecordIsAsAnAbsentOne(t *testing.T) {
	for _, m := range byRecord() {
		t.Run(m.name, func(t *testing.T) {
			w := newWorld(t, storetest.Options{})
			mine, theirs := w.owners()
			c := w.tenant("tenant", "me")
			absent := store.RecordRef{CollectionRef: customers, Record: "absent"}
			denied, missing := m.call(w, c, theirs), m.call(w, c, absent)
			if denied == nil || refusalText(denied) != refusalText(missing) {
				t.Errorf("denied is told %q, absent %q", refusalText(denied), refusalText(missing))
			}
			if !errors.Is(denied, store.ErrNotFound) {
				t.Errorf("denied: %v", denied)
			}
			_, _ = w.UndeleteRecord(context.Background(), w.root, theirs, store.WriteOptions{}) // the method's own preparation
			if got := w.get(w.root, theirs); got.Revision != 2 {
				t.Errorf("the record of another has revision %d", got.Revision)
			}
			if err := m.call(w, c, mine); err != nil {
				t.Errorf("the owner is told %v", err)
			}
		})
	}
}

// Preconditions tell no more: a denied record has no revision.
func TestNoOracleByPreconditions(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	_, theirs := w.owners()
	c := w.tenant("tenant", "me")
	absent := store.RecordRef{CollectionRef: customers, Record: "absent"}
	for _, p := range []store.Precondition{{IfMatch: []uint64{2}}, {IfMatch: []uint64{9}}, {Exists: true}, {Absent: true}} {
		o := store.WriteOptions{Precondition: p}
		for name, try := range map[string]func(store.RecordRef) error{
			"patch": func(r store.RecordRef) error {
				_, err := w.PatchRecord(ctx, c, r, input(`{"amount":3}`), o)
				return err
			},
			"put": func(r store.RecordRef) error {
				_, err := w.PutRecord(ctx, c, r, input(`{"email":"x@b.c"}`), o)
				return err
			},
			"delete": func(r store.RecordRef) error { _, err := w.DeleteRecord(ctx, c, r, o); return err },
		} {
			if denied, missing := refusalText(try(theirs)), refusalText(try(absent)); denied != missing {
				t.Errorf("%s with %+v: denied is told %q, absent %q", name, p, denied, missing)
			}
		}
	}
}

// opens counts the DEKs that are opened while fn runs.
func (w *world) opens(fn func()) (n int) {
	store.WatchOpens(w.Store, func() { n++ })
	defer store.WatchOpens(w.Store, nil)
	fn()
	return n
}

// The work is the same too: as many keys are opened for a record that is denied
// as for one that is not there.
func TestNoOracleByTheWorkThatIsDone(t *testing.T) {
	for _, m := range byRecord() {
		w := newWorld(t, storetest.Options{})
		_, theirs := w.owners()
		c := w.tenant("tenant", "me")
		absent := store.RecordRef{CollectionRef: customers, Record: "absent"}
		if m.name == "UndeleteRecord" {
			_, err := w.DeleteRecord(context.Background(), w.root, theirs, store.WriteOptions{})
			w.must(err)
			m.call = func(w *world, c store.Caller, ref store.RecordRef) error {
				_, err := w.UndeleteRecord(context.Background(), c, ref, store.WriteOptions{})
				return err
			}
		}
		denied := w.opens(func() { _ = m.call(w, c, theirs) })
		missing := w.opens(func() { _ = m.call(w, c, absent) })
		if denied != missing || denied == 0 {
			t.Errorf("%s opens %d keys for a denied record and %d for an absent one", m.name, denied, missing)
		}
	}
	w := newWorld(t, storetest.Options{})
	w.owners()
	c := w.tenant("tenant", "me")
	lookup := func(value string) int {
		return w.opens(func() {
			_, _ = w.LookupRecord(context.Background(), c, customers, where("external_id", `"`+value+`"`), store.ReadOptions{})
		})
	}
	if denied, missing := lookup("them"), lookup("nobody"); denied != missing || denied == 0 {
		t.Errorf("a lookup opens %d keys for a denied record and %d for none", denied, missing)
	}
}

func TestNoOracleByOldRevisions(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	mine, _ := w.owners()
	c := w.tenant("tenant", "me")
	relabel := func(owner string) {
		_, err := w.PatchRecord(ctx, w.root, mine, store.RecordInput{PatchLabels: map[string]*string{"owner": &owner}}, store.WriteOptions{})
		w.must(err)
	}
	relabel("them") // revision 3
	for _, o := range []store.ReadOptions{{}, {Revision: 1}, {Revision: 2}, {Previous: true}} {
		_, err := w.GetRecord(ctx, c, mine, o)
		wantErr(t, err, store.ErrNotFound)
	}
	relabel("me") // revision 4
	read := func(o store.ReadOptions) error { _, err := w.GetRecord(ctx, c, mine, o); return err }
	count := func(o store.ReadOptions) int { return w.opens(func() { _ = read(o) }) }
	if err := read(store.ReadOptions{Revision: 2}); err != nil {
		t.Errorf("its own old revision: %v", err)
	}
	if denied, missing := refusalText(read(store.ReadOptions{Revision: 3})), refusalText(read(store.ReadOptions{Revision: 9})); denied != missing {
		t.Errorf("an old revision of another is told %q, an absent one %q", denied, missing)
	}
	if denied, missing := count(store.ReadOptions{Revision: 3}), count(store.ReadOptions{Revision: 9}); denied != missing {
		t.Errorf("%d keys are opened for an old revision of another, %d for an absent one", denied, missing)
	}
	list, err := w.ListRevisions(ctx, c, mine)
	w.must(err)
	var numbers []uint64
	for _, r := range list {
		numbers = append(numbers, r.Revision)
	}
	if diff := cmp.Diff([]uint64{4, 2, 1}, numbers); diff != "" {
		t.Errorf("the history shows (-want +got):\n%s", diff)
	}
	for revision, want := range map[uint64]error{3: store.ErrNotFound, 9: store.ErrNotFound, 2: nil} {
		if _, err := w.RollbackRecord(ctx, c, mine, revision, store.WriteOptions{}); !errors.Is(err, want) {
			t.Errorf("rollback to %d: %v, want %v", revision, err, want)
		}
	}
}

// listed returns the ids of all pages, and how many records each had.
func (w *world) listed(next func(cursor string) (store.Page, error)) (ids []string, lengths []int) {
	w.t.Helper()
	for cursor := ""; ; {
		page, err := next(cursor)
		w.must(err)
		for i := range page.Records {
			ids = append(ids, page.Records[i].ID)
		}
		lengths = append(lengths, len(page.Records))
		if cursor = page.Next; cursor == "" {
			return ids, lengths
		}
	}
}

// crowd makes records of two owners in turn, all with one email, and returns
// the ids of those of "me".
func (w *world) crowd(n int) (mine []string) {
	w.t.Helper()
	for i := range n {
		owner := []string{"them", "me", "them"}[i%3]
		res, err := w.CreateRecord(context.Background(), w.root, customers, owned(`{"email":"same@b.c"}`, owner), store.WriteOptions{})
		w.must(err)
		if owner == "me" {
			mine = append(mine, res.ID)
		}
	}
	slices.Sort(mine)
	return mine
}

func (w *world) lists(c store.Caller, limit int) map[string]func(cursor string) (store.Page, error) {
	ctx := context.Background()
	return map[string]func(string) (store.Page, error){
		"list": func(cursor string) (store.Page, error) {
			return w.ListRecords(ctx, c, customers, store.ListOptions{Limit: limit, Cursor: cursor})
		},
		"list of what changed": func(cursor string) (store.Page, error) {
			return w.ListRecords(ctx, c, customers, store.ListOptions{Limit: limit, Cursor: cursor, UpdatedAfter: w.now.Add(-1e9)})
		},
		"search": func(cursor string) (store.Page, error) {
			return w.SearchRecords(ctx, c, customers, store.SearchOptions{Where: where("email", `"same@b.c"`), Limit: limit, Cursor: cursor})
		},
	}
}

func TestNoOracleByPageLengthCursorAndCount(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	mine := w.crowd(30)
	c := w.tenant("tenant", "me")
	for _, limit := range []int{1, 5, 10, 11} {
		for name, next := range w.lists(c, limit) {
			ids, lengths := w.listed(next)
			slices.Sort(ids)
			if diff := cmp.Diff(mine, ids); diff != "" {
				t.Errorf("%s by %d shows (-want +got):\n%s", name, limit, diff)
			}
			// As they would be were nothing there but the caller's own: no
			// page is short or empty, and none follows the last record.
			var want []int
			for left := len(mine); left > 0; left -= limit {
				want = append(want, min(left, limit))
			}
			if diff := cmp.Diff(want, lengths); diff != "" {
				t.Errorf("%s by %d has pages of (-want +got):\n%s", name, limit, diff)
			}
		}
	}
	count, err := w.ExportRecords(context.Background(), c, customers, store.ListOptions{}, func(*store.Record) error { return nil })
	if w.must(err); count != uint64(len(mine)) {
		t.Errorf("the export counts %d records of %d", count, len(mine))
	}
}

// How many records a collection has is told to whoever could count them.
func TestNoOracleByTheCountOfACollection(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	w.crowd(3)
	lister := w.client("lister", `{"rules":[{"integrations":["acme"],"collections":["customers"],"actions":["list"]}]}`)
	for name, c := range map[string]store.Caller{"a tenant": w.tenant("tenant", "me"), "a lister": lister, "root": w.root} {
		described, err := w.GetCollection(context.Background(), c, customers)
		w.must(err)
		if told := described.Records != nil; told != (name != "a tenant") {
			t.Errorf("%s is told the count: %v", name, told)
		}
	}
}

func TestNoOracleBySearchAndLookup(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	mine, _ := w.owners()
	c := w.tenant("tenant", "me")
	look := func(value string) string {
		rec, err := w.LookupRecord(ctx, c, customers, where("external_id", `"`+value+`"`), store.ReadOptions{})
		return refusalText(err) + rec.ID
	}
	if look("them") != look("nobody") || look("me") != "nothing is wrong"+mine.Record {
		t.Errorf("a lookup of another's is told %q, of nobody's %q, of its own %q", look("them"), look("nobody"), look("me"))
	}
	find := func(value string) int {
		page, err := w.SearchRecords(ctx, c, customers, store.SearchOptions{Where: where("email", `"`+value+`@b.c"`)})
		w.must(err)
		return len(page.Records)
	}
	if find("them") != 0 || find("nobody") != 0 || find("me") != 1 {
		t.Errorf("a search finds %d of another, %d of nobody, %d of its own", find("them"), find("nobody"), find("me"))
	}
	// What may be read on some records and searched on fewer.
	narrow := w.tenant("narrow", "me", `{"rules":[
		{"integrations":["acme"],"collections":["customers"],"actions":["read","search"],"read":{"email":"clear"}},
		{"integrations":["acme"],"collections":["customers"],"actions":["search"],"search":["email"],"when":"record.labels.owner == client.labels.owner"}]}`)
	page, err := w.SearchRecords(ctx, narrow, customers, store.SearchOptions{Where: where("email", `"them@b.c"`)})
	if w.must(err); len(page.Records) != 0 {
		t.Error("a record was found by a field that may not be searched on it")
	}
}

// A unique value that is taken is told of in one way, whoever holds it, and an
// upsert meets it as a creation does.
func TestNoOracleByUpsertAndUniqueConflict(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	mine, theirs := w.owners()
	c := w.tenant("tenant", "me")
	create := func(value string) string {
		_, err := w.CreateRecord(ctx, c, customers, owned(`{"email":"n@b.c","external_id":"`+value+`"}`, "me"), store.WriteOptions{})
		return refusalText(err)
	}
	taken := create("them")
	if taken != create("me") || strings.Contains(taken, "external_id") {
		t.Errorf("a value of another's is told %q, one of its own %q", taken, create("me"))
	}
	for _, how := range []store.OnConflict{store.Replace, store.Merge, store.Ignore, store.Fail} {
		res, err := w.UpsertRecord(ctx, c, customers, owned(`{"email":"u@b.c","external_id":"them"}`, "me"), store.UpsertOptions{Key: "external_id", OnConflict: how})
		if refusalText(err) != taken || res.ID != "" {
			t.Errorf("an upsert that would %s another's record is told %q, a creation %q", how, refusalText(err), taken)
		}
	}
	if got := w.get(w.root, theirs); got.Revision != 2 {
		t.Errorf("the record of another has revision %d", got.Revision)
	}
	res, err := w.UpsertRecord(ctx, c, customers, owned(`{"email":"u@b.c","external_id":"me"}`, "me"), store.UpsertOptions{Key: "external_id", OnConflict: store.Merge})
	if w.must(err); res.ID != mine.Record {
		t.Error("the upsert did not find its own record")
	}
	for _, o := range []store.ImportOptions{{}, {Upsert: true, Key: "external_id", OnConflict: store.Merge}} {
		if got := w.importTold(c, o, owned(`{"email":"i@b.c","external_id":"them"}`, "me")); got != taken {
			t.Errorf("a line of an import is told %q, a creation %q", got, taken)
		}
	}
}

// importTold imports one record and returns what its line is told.
func (w *world) importTold(c store.Caller, o store.ImportOptions, in store.RecordInput) (what string) {
	w.t.Helper()
	n := 0
	next := func() (store.ImportLine, bool) { n++; return store.ImportLine{Number: n}, n == 1 }
	o.Continue = true
	o.Decode = func([]byte) (store.RecordInput, error) { return in, nil }
	w.must(w.ImportRecords(context.Background(), c, customers, o, next, func(r store.ImportResult) error {
		what = refusalText(r.Err)
		return nil
	}))
	return what
}

// The tag of a record and what is not sent again heed the decision: another
// condition, another tag.
func TestNoOracleByETagAndNotModified(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	mine, theirs := w.owners()
	c := w.tenant("tenant", "me", `{"rules":[{"integrations":["acme"],"collections":["customers"],"actions":["read"],"read":{"amount":"clear"},"when":"record.labels.owner == client.labels.owner"},
		{"integrations":["acme"],"collections":["customers"],"actions":["read"],"read":{"email":"clear"},"when":"record.labels.owner == client.labels.owner && request.purpose == 'billing'"}]}`)
	plain := w.get(c, mine)
	purpose := *c
	purpose.Purpose = "billing"
	more := w.get(&purpose, mine)
	if plain.ETag == more.ETag || len(plain.Fields) == len(more.Fields) {
		t.Error("two decisions have one tag, or show the same")
	}
	same, err := w.GetRecord(ctx, c, mine, store.ReadOptions{IfNone: []string{plain.ETag}})
	if w.must(err); !same.NotModified {
		t.Error("one decision has two tags")
	}
	again, err := w.GetRecord(ctx, &purpose, mine, store.ReadOptions{IfNone: []string{plain.ETag}})
	if w.must(err); again.NotModified {
		t.Error("the tag of what was seen without a purpose counts with one")
	}
	tag := w.get(w.root, theirs).ETag
	_, err = w.GetRecord(ctx, c, theirs, store.ReadOptions{IfNone: []string{tag}})
	wantErr(t, err, store.ErrNotFound)
}

// Validation happens after the record is known to be the caller's: what is
// wrong with the request is told of neither a denied nor an absent record.
func TestNoOracleByValidation(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	_, theirs := w.owners()
	c := w.tenant("tenant", "me")
	absent := store.RecordRef{CollectionRef: customers, Record: "absent"}
	for _, body := range []string{`{"email":7}`, `{"email":null}`, `{"unknown":1,"amount":"x"}`, `{"ssn":"1"}`} {
		for name, try := range map[string]func(store.Caller, store.RecordRef, string) error{"patch": w.patch, "put": w.put} {
			if denied, missing := refusalText(try(c, theirs, body)), refusalText(try(c, absent, body)); denied != missing {
				t.Errorf("%s of %s: denied is told %q, absent %q", name, body, denied, missing)
			}
		}
	}
}
