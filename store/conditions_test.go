package store_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"strongroom/internal/access"
	"strongroom/internal/audit"
	"strongroom/store"
	"strongroom/store/kv"
	"strongroom/store/storetest"
)

// tenantRole lets a client do everything to the records of its owner, and
// nothing to any other.
const tenantRole = `{"rules":[{"integrations":["acme"],"collections":["customers"],
	"actions":["read","list","search","create","update","delete","erase","history","rollback","import","export"],
	"read":{"*":"clear","email":"clear","card":"clear"},"write":["*"],"write_labels":["*"],"search":["*"],
	"when":"record.labels.owner == client.labels.owner"}]}`

// tenant makes a client with labels of its own.
func (w *world) tenant(name, owner string, roles ...string) store.Caller {
	w.t.Helper()
	if len(roles) == 0 {
		roles = []string{tenantRole}
	}
	c := w.client(name, roles...)
	w.assign(name, map[string]string{"owner": owner}, c.Roles...)
	return w.again(c)
}

// labelled returns the caller with the label owner.
func labelled(c store.Caller, owner string) store.Caller {
	other := *c
	other.Labels = map[string]string{"owner": owner}
	return &other
}

// again makes the caller of another request with the same token.
func (w *world) again(c store.Caller) store.Caller {
	w.t.Helper()
	p, err := w.Principal(&store.TokenRef{Client: c.Client, ClientUID: c.ClientUID, SecretID: c.SecretID})
	w.must(err)
	return p
}

func owned(fields, owner string) store.RecordInput {
	return store.RecordInput{Fields: []byte(fields), SetLabels: true, Labels: map[string]string{"owner": owner}}
}

// house makes a record of two revisions for each of two owners.
func (w *world) owners() (mine, theirs store.RecordRef) {
	w.t.Helper()
	w.collection(customers, store.CollectionSpec{Schema: []byte(customersSchema), UndeleteFor: "1h"})
	place := func(owner string) store.RecordRef {
		res, err := w.CreateRecord(context.Background(), w.root, customers, owned(`{"email":"`+owner+`@b.c","external_id":"`+owner+`","amount":1}`, owner), store.WriteOptions{})
		w.must(err)
		ref := store.RecordRef{CollectionRef: customers, Record: res.ID}
		w.must(w.patch(w.root, ref, `{"amount":2}`))
		return ref
	}
	return place("me"), place("them")
}

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

// A write must pass by the labels that the record has, and by those that it
// gets; and so must every field and label that it changes.
func TestAWritePassesByTheOldLabelsAndTheNew(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	mine, theirs := w.owners()
	c := w.tenant("tenant", "me")
	give := func(ref store.RecordRef, owner string) error {
		_, err := w.PatchRecord(ctx, c, ref, store.RecordInput{PatchLabels: map[string]*string{"owner": &owner}}, store.WriteOptions{})
		return err
	}
	create := func(owner string) error {
		_, err := w.CreateRecord(ctx, c, customers, owned(`{"email":"n@b.c"}`, owner), store.WriteOptions{})
		return err
	}
	drop := func() error {
		_, err := w.PatchRecord(ctx, c, mine, store.RecordInput{PatchLabels: map[string]*string{"owner": nil}}, store.WriteOptions{})
		return err
	}
	tell(t, []story{
		{"a tenant", "give its record away", func() error { return give(mine, "them") }, store.ErrForbidden},
		{"a tenant", "take the label off", drop, store.ErrForbidden},
		{"a tenant", "take another's record", func() error { return give(theirs, "me") }, store.ErrNotFound},
		{"a tenant", "put its record without labels", func() error {
			_, err := w.PutRecord(ctx, c, mine, store.RecordInput{Fields: []byte(`{"email":"p@b.c"}`), SetLabels: true}, store.WriteOptions{})
			return err
		}, store.ErrForbidden},
		{"a tenant", "keep the label as it is", func() error { return give(mine, "me") }, nil},
		{"a tenant", "create its own", func() error { return create("me") }, nil},
		{"a tenant", "create another's", func() error { return create("them") }, store.ErrForbidden},
		{"a tenant", "create nobody's", func() error {
			_, err := w.CreateRecord(ctx, c, customers, input(`{"email":"n@b.c"}`), store.WriteOptions{})
			return err
		}, store.ErrForbidden},
	})
	w.collection(customers, store.CollectionSpec{Schema: []byte(strings.Replace(customersSchema, `"required":["email"],`, "", 1))})
	_, err := w.CreateRecord(ctx, c, customers, store.RecordInput{}, store.WriteOptions{})
	wantErr(t, err, store.ErrForbidden) // with nothing in it either
	if got := w.importTold(c, store.ImportOptions{}, owned(`{"email":"i@b.c"}`, "them")); !strings.HasPrefix(got, "forbidden") {
		t.Errorf("a line that creates another's record is told %q", got)
	}
	if got := w.importTold(c, store.ImportOptions{}, owned(`{"email":"i@b.c"}`, "me")); got != "nothing is wrong" {
		t.Errorf("a line that creates its own record is told %q", got)
	}
}

// stagesRole lets the amount be written while a record is a draft, and its
// stage always.
const stagesRole = `{"rules":[
	{"integrations":["acme"],"collections":["customers"],"actions":["read","update"],"read":{"*":"clear"},"write":["customer"],"write_labels":["stage"]},
	{"integrations":["acme"],"collections":["customers"],"actions":["update"],"write":["amount"],"when":"record.labels.stage == 'draft'"}]}`

func TestFieldsPassByTheOldLabelsAndTheNew(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	c := w.client("clerk", stagesRole)
	res, err := w.CreateRecord(ctx, w.root, customers, store.RecordInput{Fields: []byte(`{"email":"a@b.c","amount":1,"customer":{"name":"Ann"}}`), SetLabels: true, Labels: map[string]string{"stage": "draft"}}, store.WriteOptions{})
	w.must(err)
	ref := store.RecordRef{CollectionRef: customers, Record: res.ID}
	patch := func(fields, stage string) func() error {
		in := input(fields)
		if stage != "" {
			in.PatchLabels = map[string]*string{"stage": &stage}
		}
		return func() error { _, err := w.PatchRecord(ctx, c, ref, in, store.WriteOptions{}); return err }
	}
	put := func(fields, stage string) func() error {
		in := store.RecordInput{Fields: []byte(fields), SetLabels: true, Labels: map[string]string{"stage": stage}}
		return func() error { _, err := w.PutRecord(ctx, c, ref, in, store.WriteOptions{}); return err }
	}
	tell(t, []story{
		{"a clerk", "change the amount of a draft", patch(`{"amount":2}`, ""), nil},
		{"a clerk", "change the amount while it is filed", patch(`{"amount":3}`, "filed"), store.ErrForbidden},
		{"a clerk", "file it by a PUT without the amount, which it then may not remove", put(`{"customer":{"name":"Bo"}}`, "filed"), nil},
		{"a clerk", "see the amount still there", func() error {
			if got := w.read(w.root, ref); !strings.Contains(got, `"amount":2`) {
				return errors.New(got)
			}
			return nil
		}, nil},
		{"a clerk", "change the amount once it is filed", patch(`{"amount":3}`, ""), store.ErrForbidden},
		{"a clerk", "change the amount while it is made a draft again", patch(`{"amount":3}`, "draft"), store.ErrForbidden},
		{"a clerk", "make it a draft again", patch(`{}`, "draft"), nil},
		{"a clerk", "change the amount then", patch(`{"amount":4}`, ""), nil},
	})
	if got, want := w.read(w.root, ref), `{"email":"a@b.c","amount":4,"customer":{"name":"Bo"}}`; !sameObject(t, got, want) {
		t.Errorf("the record is %s, want %s", got, want)
	}
}

// An id of the caller's would tell whether a record has it: it needs a grant to
// create that depends on no record.
func TestAnIDOfTheCallersNeedsAnUnconditionalGrant(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	_, theirs := w.owners()
	c := w.tenant("tenant", "me")
	named := func(id string) store.RecordInput {
		in := owned(`{"email":"n@b.c","external_id":"`+id+`"}`, "me")
		in.ID = id
		return in
	}
	for _, id := range []string{theirs.Record, "free"} {
		for name, try := range map[string]func() string{
			"create": func() string {
				_, err := w.CreateRecord(ctx, c, customers, named(id), store.WriteOptions{})
				return refusalText(err)
			},
			"import": func() string { return w.importTold(c, store.ImportOptions{}, named(id)) },
			"upsert": func() string {
				_, err := w.UpsertRecord(ctx, c, customers, named(id), store.UpsertOptions{Key: "external_id", OnConflict: store.Merge})
				return refusalText(err)
			},
		} {
			if got := try(); !strings.HasPrefix(got, "forbidden") {
				t.Errorf("%s with an id is told %q", name, got)
			}
		}
		_, err := w.PutRecord(ctx, c, store.RecordRef{CollectionRef: customers, Record: id}, named(""), store.WriteOptions{})
		wantErr(t, err, store.ErrNotFound)
	}
	// With such a grant a record that is not to be seen is not overwritten.
	free := w.tenant("free", "me", tenantRole, `{"rules":[{"integrations":["acme"],"collections":["customers"],"actions":["create"],"write":["*"],"write_labels":["*"]}]}`)
	_, err := w.PutRecord(ctx, free, theirs, owned(`{"email":"n@b.c"}`, "me"), store.WriteOptions{})
	wantErr(t, err, store.ErrExists)
	_, err = w.PutRecord(ctx, free, store.RecordRef{CollectionRef: customers, Record: "free"}, owned(`{"email":"n@b.c"}`, "me"), store.WriteOptions{})
	w.must(err)
	if got := w.get(w.root, theirs); got.Revision != 2 {
		t.Errorf("the record of another has revision %d", got.Revision)
	}
}

// What a condition could not be worked out for is denied, and what its rule
// withholds stays withheld.
func TestABrokenConditionDenies(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	ref := w.create(fullRecord) // without labels
	c := w.tenant("tenant", "me")
	_, err := w.GetRecord(context.Background(), c, ref, store.ReadOptions{})
	wantErr(t, err, store.ErrNotFound)
	both := w.client("both", `{"rules":[{"integrations":["acme"],"collections":["customers"],"actions":["read"],"read":{"amount":"clear","external_id":"clear"}},
		{"integrations":["acme"],"collections":["customers"],"actions":["read"],"read":{"external_id":"none","email":"clear"},"when":"record.labels.class == 'secret'"}]}`)
	if got, want := w.read(both, ref), `{"amount":1.50}`; got != want {
		t.Errorf("read %s, want %s", got, want)
	}
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

// A condition that names no record is judged before any is looked at: who it
// keeps out is told 403, whatever there is.
func TestAConditionOnTheRequestForbids(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	ref := w.create(fullRecord)
	c := w.client("bound", `{"rules":[{"integrations":["acme"],"collections":["customers"],"actions":["read","create"],"read":{"amount":"clear"},"write":["email"],"when":"request.bound && cidr('10.0.0.0/8').containsIP(request.address)"}]}`)
	for _, at := range []store.RecordRef{ref, {CollectionRef: customers, Record: "absent"}} {
		_, err := w.GetRecord(ctx, c, at, store.ReadOptions{})
		wantErr(t, err, store.ErrForbidden)
	}
	inside := *c
	inside.Binding, inside.Address = "mtls", "10.9.8.7"
	w.get(&inside, ref)
	in := input(`{"email":"a@b.c"}`)
	in.ID = "mine"
	_, err := w.CreateRecord(ctx, &inside, customers, in, store.WriteOptions{})
	w.must(err)
}

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

// The audit log, and it alone, tells a denied record from an absent one.
func TestTheAuditLogTellsDeniedFromAbsent(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	_, theirs := w.owners()
	c := w.tenant("tenant", "me")
	_, _ = w.GetRecord(ctx, c, theirs, store.ReadOptions{})
	_, _ = w.GetRecord(ctx, c, store.RecordRef{CollectionRef: customers, Record: "absent"}, store.ReadOptions{})
	denied, absent := false, false
	for line := range strings.Lines(w.auditText()) {
		if strings.Contains(line, `"tenant"`) {
			denied = denied || strings.Contains(line, theirs.Record) && strings.Contains(line, `"`+string(audit.Denied)+`"`)
			absent = absent || strings.Contains(line, `"absent"`) && strings.Contains(line, `"`+string(audit.Failed)+`"`)
		}
	}
	if !denied || !absent {
		t.Errorf("denied is told: %v, absent is told: %v", denied, absent)
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
