package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"strongroom/internal/audit"
	"strongroom/store"
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
