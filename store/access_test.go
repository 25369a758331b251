package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"strongroom/internal/access"
	"strongroom/internal/schema"
	"strongroom/store"
	"strongroom/store/storetest"
)

// method is a way into the store for records: what it needs, and a call of it
// on a record that is there, with two revisions.
type method struct {
	name  string
	needs []access.Action
	call  func(w *world, c store.Caller, ref store.RecordRef) error
}

func acts(list ...access.Action) []access.Action { return list }

// methods lists every method that reaches records.
var methods = []method{
	{"GetRecord", acts("read"), func(w *world, c store.Caller, ref store.RecordRef) error {
		_, err := w.GetRecord(context.Background(), c, ref, store.ReadOptions{})
		return err
	}},
	{"GetRecord of metadata", acts("read"), func(w *world, c store.Caller, ref store.RecordRef) error {
		_, err := w.GetRecord(context.Background(), c, ref, store.ReadOptions{Metadata: true})
		return err
	}},
	{"GetRecord of an old revision", acts("read", "history"), func(w *world, c store.Caller, ref store.RecordRef) error {
		_, err := w.GetRecord(context.Background(), c, ref, store.ReadOptions{Revision: 1})
		return err
	}},
	{"GetRecord of the previous revision", acts("read", "history"), func(w *world, c store.Caller, ref store.RecordRef) error {
		_, err := w.GetRecord(context.Background(), c, ref, store.ReadOptions{Previous: true})
		return err
	}},
	{"GetField", acts("read"), func(w *world, c store.Caller, ref store.RecordRef) error {
		_, err := w.GetField(context.Background(), c, ref, "email", store.ReadOptions{})
		return err
	}},
	{"PutRecord", acts("update"), func(w *world, c store.Caller, ref store.RecordRef) error {
		_, err := w.PutRecord(context.Background(), c, ref, input(`{"email":"p@b.c"}`), store.WriteOptions{})
		return err
	}},
	{"PatchRecord", acts("update"), func(w *world, c store.Caller, ref store.RecordRef) error {
		_, err := w.PatchRecord(context.Background(), c, ref, input(`{"amount":2}`), store.WriteOptions{})
		return err
	}},
	{"DeleteRecord", acts("delete"), func(w *world, c store.Caller, ref store.RecordRef) error {
		_, err := w.DeleteRecord(context.Background(), c, ref, store.WriteOptions{})
		return err
	}},
	{"UndeleteRecord", acts("delete"), func(w *world, c store.Caller, ref store.RecordRef) error {
		_, _ = w.DeleteRecord(context.Background(), w.root, ref, store.WriteOptions{})
		_, err := w.UndeleteRecord(context.Background(), c, ref, store.WriteOptions{})
		return err
	}},
	{"ExpungeRecord", acts("erase"), func(w *world, c store.Caller, ref store.RecordRef) error {
		return w.ExpungeRecord(context.Background(), c, ref)
	}},
	{"RollbackRecord", acts("rollback"), func(w *world, c store.Caller, ref store.RecordRef) error {
		_, err := w.RollbackRecord(context.Background(), c, ref, 1, store.WriteOptions{})
		return err
	}},
	{"ListRevisions", acts("history"), func(w *world, c store.Caller, ref store.RecordRef) error {
		_, err := w.ListRevisions(context.Background(), c, ref)
		return err
	}},
	{"CreateRecord", acts("create"), func(w *world, c store.Caller, ref store.RecordRef) error {
		_, err := w.CreateRecord(context.Background(), c, ref.CollectionRef, input(`{"email":"n@b.c"}`), store.WriteOptions{})
		return err
	}},
	{"ListRecords", acts("list"), func(w *world, c store.Caller, ref store.RecordRef) error {
		_, err := w.ListRecords(context.Background(), c, ref.CollectionRef, store.ListOptions{AllFields: true})
		return err
	}},
	{"SearchRecords", acts("search"), func(w *world, c store.Caller, ref store.RecordRef) error {
		_, err := w.SearchRecords(context.Background(), c, ref.CollectionRef, store.SearchOptions{Where: where("email", `"a@b.c"`)})
		return err
	}},
	{"LookupRecord", acts("search"), func(w *world, c store.Caller, ref store.RecordRef) error {
		_, err := w.LookupRecord(context.Background(), c, ref.CollectionRef, where("external_id", `"x"`), store.ReadOptions{})
		return err
	}},
	{"UpsertRecord that replaces", acts("update", "create", "search"), func(w *world, c store.Caller, ref store.RecordRef) error {
		_, err := w.UpsertRecord(context.Background(), c, ref.CollectionRef, input(`{"email":"u@b.c","external_id":"x"}`), store.UpsertOptions{Key: "external_id", OnConflict: store.Replace})
		return err
	}},
	{"UpsertRecord that ignores", acts("create", "search"), func(w *world, c store.Caller, ref store.RecordRef) error {
		_, err := w.UpsertRecord(context.Background(), c, ref.CollectionRef, input(`{"email":"u@b.c","external_id":"x"}`), store.UpsertOptions{Key: "external_id", OnConflict: store.Ignore})
		return err
	}},
	{"ImportRecords", acts("import"), func(w *world, c store.Caller, ref store.RecordRef) error {
		return w.importOne(c, ref.CollectionRef, store.ImportOptions{})
	}},
	{"ImportRecords that upserts", acts("import", "update", "create", "search"), func(w *world, c store.Caller, ref store.RecordRef) error {
		return w.importOne(c, ref.CollectionRef, store.ImportOptions{Upsert: true, Key: "external_id", OnConflict: store.Merge})
	}},
	{"ExportRecords", acts("export"), func(w *world, c store.Caller, ref store.RecordRef) error {
		_, err := w.ExportRecords(context.Background(), c, ref.CollectionRef, store.ListOptions{}, func(*store.Record) error { return nil })
		return err
	}},
}

func where(path, json string) []schema.Value {
	return []schema.Value{{Path: path, JSON: []byte(json)}}
}

func (w *world) importOne(c store.Caller, ref store.CollectionRef, o store.ImportOptions) error {
	n := 0
	next := func() (store.ImportLine, bool) {
		n++
		return store.ImportLine{Number: n, Raw: []byte(`{"email":"i@b.c","external_id":"imported"}`)}, n == 1
	}
	o.Decode = func(raw []byte) (store.RecordInput, error) { return input(string(raw)), nil }
	return w.ImportRecords(context.Background(), c, ref, o, next, func(store.ImportResult) error { return nil })
}

// may makes a caller that may do these actions in acme with every field.
func (w *world) may(name string, actions []access.Action) store.Caller {
	w.t.Helper()
	fields := []string{"email", "card", "ssn", "external_id", "amount", "customer", "customer/phone"}
	read := map[string]string{}
	for _, f := range fields {
		read[f] = "clear"
	}
	raw, err := json.Marshal(map[string]any{"rules": []any{map[string]any{
		"integrations": []string{"acme"}, "collections": []string{"customers"}, "actions": actions,
		"read": read, "write": fields, "search": []string{"email", "external_id"},
	}}})
	w.must(err)
	return w.client(name, string(raw))
}

// aged makes a record of two revisions that every method finds.
func (w *world) aged() store.RecordRef {
	w.t.Helper()
	w.collection(customers, store.CollectionSpec{Schema: []byte(customersSchema), UndeleteFor: "1h"})
	ref := w.create(`{"email":"a@b.c","external_id":"x"}`)
	_, err := w.PatchRecord(context.Background(), w.root, ref, input(`{"amount":1}`), store.WriteOptions{})
	w.must(err)
	return ref
}

func TestEveryMethodNeedsItsActionsAndNoOther(t *testing.T) {
	for _, m := range methods {
		t.Run(m.name, func(t *testing.T) {
			w := newWorld(t, storetest.Options{})
			ref := w.aged()
			for _, need := range m.needs {
				rest := slices.DeleteFunc(access.Actions(), func(a access.Action) bool { return a == need })
				if m.name == "PutRecord" {
					rest = slices.DeleteFunc(rest, func(a access.Action) bool { return a == access.ActionCreate })
				}
				wantErr(t, m.call(w, w.may("all-but-"+string(need), rest), ref), store.ErrForbidden)
			}
			if err := m.call(w, w.may("just-enough", m.needs), ref); err != nil {
				t.Errorf("with %v alone: %v", m.needs, err)
			}
		})
	}
}

// A caller that no rule lets near a collection gets one answer, whatever is
// there and whatever is not.
func TestAStrangerCannotTellWhatExists(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	ref := w.aged()
	w.integration("globex")
	w.collection(store.CollectionRef{Integration: "globex", Collection: "customers"}, store.CollectionSpec{Schema: []byte(customersSchema)})
	stranger := w.client("stranger", `{"rules":[{"integrations":["globex"],"collections":["*"],"actions":["read","list","search","create","update","delete","erase","history","rollback","import","export"],"read":{"*":"clear"},"write":["*"],"search":["*"]}]}`)
	places := map[string]store.RecordRef{
		"a record":               ref,
		"no record":              {CollectionRef: ref.CollectionRef, Record: "absent"},
		"no collection":          {CollectionRef: store.CollectionRef{Integration: "acme", Collection: "absent"}, Record: ref.Record},
		"no integration":         {CollectionRef: store.CollectionRef{Integration: "absent", Collection: "customers"}, Record: ref.Record},
		"what can't be a record": {CollectionRef: ref.CollectionRef, Record: "a\x00b"},
	}
	for _, m := range methods {
		told := map[string]string{}
		for place, at := range places {
			err := m.call(w, stranger, at)
			if m.name == "PutRecord" && place == "what can't be a record" && err != nil {
				var bad *store.Invalid
				if !errors.Is(err, store.ErrForbidden) && !errors.As(err, &bad) {
					t.Errorf("%s of %s: %v", m.name, place, err)
				}
				continue
			}
			wantErr(t, err, store.ErrForbidden)
			if err != nil {
				told[err.Error()] += place + " "
			}
		}
		if len(told) != 1 {
			t.Errorf("%s tells places apart: %v", m.name, told)
		}
	}
	if got := w.Stats().Denials; got < uint64(len(methods)*4) {
		t.Errorf("%d denials were counted", got)
	}
}

// command is a method of the control plane and the built-in roles that may.
type command struct {
	name string
	may  []string
	call func(w *world, c store.Caller) error
}

var commands = []command{
	{"PutIntegration", []string{"administrator"}, func(w *world, c store.Caller) error {
		_, _, err := w.PutIntegration(context.Background(), c, "new", store.IntegrationSpec{}, store.Precondition{})
		return err
	}},
	{"DeleteIntegration", []string{"administrator"}, func(w *world, c store.Caller) error {
		_, err := w.DeleteIntegration(context.Background(), c, "spare", false)
		return err
	}},
	{"UndeleteIntegration", []string{"administrator"}, func(w *world, c store.Caller) error {
		_, _ = w.DeleteIntegration(context.Background(), w.root, "spare", false)
		_, err := w.UndeleteIntegration(context.Background(), c, "spare")
		return err
	}},
	{"GetIntegration", []string{"administrator", "operator", "auditor"}, func(w *world, c store.Caller) error {
		_, err := w.GetIntegration(context.Background(), c, "acme")
		return err
	}},
	{"PutCollection", []string{"administrator"}, func(w *world, c store.Caller) error {
		_, _, err := w.PutCollection(context.Background(), c, customers, store.CollectionSpec{Schema: []byte(customersSchema)}, store.Precondition{})
		return err
	}},
	{"ValidateCollection", []string{"administrator"}, func(w *world, c store.Caller) error {
		_, err := w.ValidateCollection(context.Background(), c, customers, store.CollectionSpec{Schema: []byte(customersSchema)})
		return err
	}},
	{"GetCollection", []string{"administrator", "operator", "auditor"}, func(w *world, c store.Caller) error {
		_, err := w.GetCollection(context.Background(), c, customers)
		return err
	}},
	{"ListCollections", []string{"administrator", "operator", "auditor"}, func(w *world, c store.Caller) error {
		_, err := w.ListCollections(context.Background(), c, "acme")
		return err
	}},
	{"DeleteCollection", []string{"administrator"}, func(w *world, c store.Caller) error {
		return w.DeleteCollection(context.Background(), c, customers)
	}},
	{"PutRole", []string{"administrator"}, func(w *world, c store.Caller) error {
		_, _, err := w.PutRole(context.Background(), c, "mine", []byte(`{"rules":[]}`), store.Precondition{})
		return err
	}},
	{"GetRole", []string{"administrator", "auditor"}, func(w *world, c store.Caller) error {
		_, err := w.GetRole(context.Background(), c, "some")
		return err
	}},
	{"ListRoles", []string{"administrator", "auditor"}, func(w *world, c store.Caller) error {
		_, err := w.ListRoles(context.Background(), c)
		return err
	}},
	{"DeleteRole", []string{"administrator"}, func(w *world, c store.Caller) error {
		return w.DeleteRole(context.Background(), c, "some")
	}},
	{"ExplainAccess", []string{"administrator", "auditor"}, func(w *world, c store.Caller) error {
		_, err := w.ExplainAccess(context.Background(), c, store.ExplainQuery{Client: "someone", CollectionRef: customers})
		return err
	}},
	{"PutClient", []string{"administrator"}, func(w *world, c store.Caller) error {
		_, _, err := w.PutClient(context.Background(), c, "mine", store.ClientSpec{}, store.Precondition{})
		return err
	}},
	{"GetClient", []string{"administrator", "auditor"}, func(w *world, c store.Caller) error {
		_, err := w.GetClient(context.Background(), c, "someone")
		return err
	}},
	{"ListClients", []string{"administrator", "auditor"}, func(w *world, c store.Caller) error {
		_, err := w.ListClients(context.Background(), c)
		return err
	}},
	{"CreateSecret", []string{"administrator"}, func(w *world, c store.Caller) error {
		_, err := w.CreateSecret(context.Background(), c, "someone", 0, store.WriteOptions{})
		return err
	}},
	{"ListSecrets", []string{"administrator", "auditor"}, func(w *world, c store.Caller) error {
		_, err := w.ListSecrets(context.Background(), c, "someone")
		return err
	}},
	{"DeleteSecret", []string{"administrator"}, func(w *world, c store.Caller) error {
		list, err := w.ListSecrets(context.Background(), w.root, "someone")
		w.must(err)
		return w.DeleteSecret(context.Background(), c, "someone", list[0].ID)
	}},
	{"PutIssuer", []string{"administrator"}, func(w *world, c store.Caller) error {
		_, _, err := w.PutIssuer(context.Background(), c, "mine", anIssuer("https://mine.example"), store.Precondition{})
		return err
	}},
	{"GetIssuer", []string{"administrator", "auditor"}, func(w *world, c store.Caller) error {
		_, err := w.GetIssuer(context.Background(), c, "some")
		return err
	}},
	{"ListIssuers", []string{"administrator", "auditor"}, func(w *world, c store.Caller) error {
		_, err := w.ListIssuers(context.Background(), c)
		return err
	}},
	{"DeleteIssuer", []string{"administrator"}, func(w *world, c store.Caller) error {
		return w.DeleteIssuer(context.Background(), c, "some")
	}},
	{"DeleteClient", []string{"administrator"}, func(w *world, c store.Caller) error {
		return w.DeleteClient(context.Background(), c, "someone")
	}},
}

func TestTheControlPlaneKeepsDutiesApart(t *testing.T) {
	for _, m := range commands {
		t.Run(m.name, func(t *testing.T) {
			w := newWorld(t, storetest.Options{})
			w.integration("spare")
			w.client("someone")
			_, _, err := w.PutIssuer(context.Background(), w.root, "some", anIssuer("https://some.example"), store.Precondition{})
			w.must(err)
			_, _, err = w.PutRole(context.Background(), w.root, "some", []byte(`{"rules":[]}`), store.Precondition{})
			w.must(err)
			for _, role := range []string{"", "operator", "auditor", "administrator"} {
				c := &access.Principal{Client: "c", Policy: access.NewPolicy(nil, []string{role}, false)}
				err := m.call(w, c)
				if slices.Contains(m.may, role) {
					if err != nil {
						t.Errorf("%q: %v", role, err)
					}
					continue
				}
				wantErr(t, err, store.ErrForbidden)
			}
		})
	}
}
