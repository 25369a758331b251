package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"strongroom/internal/schema"
	"strongroom/store"
	"strongroom/store/storetest"
)

// story is one thing that a client tries and what it is told.
type story struct {
	as, tries string
	do        func() error
	want      error // nil: it works
}

func tell(t *testing.T, stories []story) {
	t.Helper()
	for _, s := range stories {
		err := s.do()
		if s.want == nil && err != nil || s.want != nil && !errors.Is(err, s.want) {
			t.Errorf("%s tries to %s: got %v, want %v", s.as, s.tries, err, s.want)
		}
	}
}

// The cast: what each client of these stories may do in acme.
const (
	billingRole   = `{"rules":[{"integrations":["acme"],"collections":["customers"],"actions":["read","update"],"read":{"email":"mask:email","card":"mask:last4","customer":"clear","customer/phone":"mask:last4","amount":"clear"},"write":["amount","customer","card"]}]}`
	intakeRole    = `{"rules":[{"integrations":["acme"],"collections":["customers"],"actions":["create","update"],"write":["*"],"write_labels":["region"]}]}`
	supportRole   = `{"rules":[{"integrations":["acme"],"collections":["customers"],"actions":["read","list","search"],"read":{"*":"clear","email":"clear","external_id":"none","customer/phone":"none"},"search":["email"]}]}`
	sweepingRole  = `{"rules":[{"integrations":["*"],"collections":["*"],"actions":["read","list","search","create","update","delete","erase","history","rollback","import","export"],"read":{"*":"clear"},"write":["*"],"search":["*"],"write_labels":["*"]}]}`
	fullRecord    = `{"email":"ann@example.com","card":"4242424242424242","ssn":"078-05-1120","external_id":"evt_1","amount":1.50,"customer":{"name":"Ann","phone":"5551234567"}}`
	secretOfAll   = "078-05-1120"
	phoneOfAll    = "5551234567"
	cardOfAll     = "4242424242424242"
	withoutFields = `{"email":"bob@example.com"}`
)

func (w *world) get(c store.Caller, ref store.RecordRef) store.Record {
	w.t.Helper()
	rec, err := w.GetRecord(context.Background(), c, ref, store.ReadOptions{})
	w.must(err)
	return rec
}

func (w *world) patch(c store.Caller, ref store.RecordRef, fields string) error {
	_, err := w.PatchRecord(context.Background(), c, ref, input(fields), store.WriteOptions{})
	return err
}

func (w *world) put(c store.Caller, ref store.RecordRef, fields string) error {
	_, err := w.PutRecord(context.Background(), c, ref, input(fields), store.WriteOptions{})
	return err
}

func TestStoryOfReading(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	ref := w.create(fullRecord)
	for _, c := range []struct {
		as               string
		role             string
		fields           string
		masked, withheld []string
	}{
		{"billing", billingRole, `{"email":"****@example.com","card":"****4242","amount":1.50,"customer":{"name":"Ann","phone":"****4567"}}`, []string{"email", "card", "customer/phone"}, []string{"ssn", "external_id"}},
		{"support", supportRole, `{"email":"ann@example.com","card":"****4242","amount":1.50,"customer":{"name":"Ann"}}`, []string{"card"}, []string{"ssn", "external_id", "customer/phone"}},
		{"sweeping", sweepingRole, `{"email":"****@example.com","card":"****4242","external_id":"evt_1","amount":1.50,"customer":{"name":"Ann","phone":"5551234567"}}`, []string{"email", "card"}, []string{"ssn"}},
	} {
		caller := w.client(c.as, c.role)
		rec := w.get(caller, ref)
		if diff := cmp.Diff(c.fields, string(schema.Join(rec.Fields))); diff != "" {
			t.Errorf("%s reads (-want +got):\n%s", c.as, diff)
		}
		if diff := cmp.Diff([][]string{c.masked, c.withheld}, [][]string{rec.Masked, rec.Withheld}); diff != "" {
			t.Errorf("%s is told of (-want +got):\n%s", c.as, diff)
		}
		for _, path := range c.withheld {
			_, err := w.GetField(context.Background(), caller, ref, path, store.ReadOptions{})
			wantErr(t, err, store.ErrForbidden)
		}
	}
}

// Every way to values but GetRecord: none shows more than that does.
func TestStoryOfTheOtherWaysToAValue(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	ref := w.create(fullRecord)
	w.must(w.patch(w.root, ref, `{"amount":2}`))
	c := w.client("sweeping", sweepingRole)
	var shown []string
	show := func(rec *store.Record) error {
		shown = append(shown, string(schema.Join(rec.Fields)))
		return nil
	}
	for _, o := range []store.ReadOptions{{}, {Revision: 1}, {Previous: true}, {Fields: []string{"ssn", "card", "customer"}}} {
		rec, err := w.GetRecord(ctx, c, ref, o)
		w.must(err)
		_ = show(&rec)
	}
	for _, o := range []store.ListOptions{{AllFields: true}, {Fields: []string{"ssn"}}, {Fields: []string{"card"}}} {
		page, err := w.ListRecords(ctx, c, customers, o)
		w.must(err)
		_ = show(&page.Records[0])
	}
	page, err := w.SearchRecords(ctx, c, customers, store.SearchOptions{Where: where("external_id", `"evt_1"`)})
	w.must(err)
	_ = show(&page.Records[0])
	rec, err := w.LookupRecord(ctx, c, customers, where("external_id", `"evt_1"`), store.ReadOptions{})
	w.must(err)
	_ = show(&rec)
	_, err = w.ExportRecords(ctx, c, customers, store.ListOptions{}, show)
	w.must(err)
	for _, text := range shown {
		if strings.Contains(text, secretOfAll) || strings.Contains(text, cardOfAll) || strings.Contains(text, "ann@") {
			t.Errorf("shown: %s", text)
		}
	}
	if !strings.Contains(strings.Join(shown, ""), phoneOfAll) {
		t.Error("nothing was shown at all")
	}
}

func TestStoryOfWriting(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	ref := w.create(fullRecord)
	absent := store.RecordRef{CollectionRef: customers, Record: "absent"}
	billing, intake, support := w.client("billing", billingRole), w.client("intake", intakeRole), w.client("support", supportRole)
	tell(t, []story{
		{"billing", "change the amount", func() error { return w.patch(billing, ref, `{"amount":2}`) }, nil},
		{"billing", "change the masked card, which its role names", func() error { return w.patch(billing, ref, `{"card":"4111111111111111"}`) }, nil},
		{"billing", "write back the masked email", func() error { return w.patch(billing, ref, `{"email":"****@example.com"}`) }, store.ErrForbidden},
		{"billing", "write the email", func() error { return w.patch(billing, ref, `{"email":"x@y.z"}`) }, store.ErrForbidden},
		{"billing", "remove the email", func() error { return w.patch(billing, ref, `{"email":null}`) }, store.ErrForbidden},
		{"billing", "write the ssn that is there already", func() error { return w.patch(billing, ref, `{"ssn":"`+secretOfAll+`"}`) }, store.ErrForbidden},
		{"billing", "write another ssn", func() error { return w.patch(billing, ref, `{"ssn":"1"}`) }, store.ErrForbidden},
		{"billing", "put the ssn that is there already", func() error { return w.put(billing, ref, `{"ssn":"`+secretOfAll+`"}`) }, store.ErrForbidden},
		{"billing", "change the customer's name", func() error { return w.patch(billing, ref, `{"customer":{"name":"Bea"}}`) }, nil},
		{"billing", "change the customer's phone", func() error { return w.patch(billing, ref, `{"customer":{"phone":"1"}}`) }, store.ErrForbidden},
		{"billing", "remove the customer's phone", func() error { return w.patch(billing, ref, `{"customer":{"phone":null}}`) }, store.ErrForbidden},
		{"billing", "remove the customer and the phone with it", func() error { return w.patch(billing, ref, `{"customer":null}`) }, store.ErrForbidden},
		{"billing", "replace the customer by a text", func() error { return w.patch(billing, ref, `{"customer":"x"}`) }, store.ErrForbidden},
		{"billing", "put a record that is not there", func() error { return w.put(billing, absent, `{"amount":2}`) }, store.ErrNotFound},
		{"billing", "patch a record that is not there", func() error { return w.patch(billing, absent, `{"amount":2}`) }, store.ErrNotFound},
		{"intake", "write a field of high sensitivity by a *", func() error { return w.patch(intake, ref, `{"ssn":"1"}`) }, store.ErrForbidden},
		{"intake", "write an ordinary field", func() error { return w.patch(intake, ref, `{"amount":5}`) }, nil},
		{"support", "write anything", func() error { return w.patch(support, ref, `{"amount":5}`) }, store.ErrForbidden},
	})
	if got, want := w.read(w.root, ref), `{"email":"ann@example.com","card":"4111111111111111","ssn":"078-05-1120","external_id":"evt_1","amount":5,"customer":{"name":"Bea","phone":"5551234567"}}`; got != want {
		t.Errorf("in the end there is\n%s, want\n%s", got, want)
	}
}

func TestStoryOfAPutByWhoSeesLittle(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	ref := w.create(fullRecord)
	billing := w.client("billing", billingRole)
	w.must(w.put(billing, ref, `{"amount":3,"customer":{"name":"Cleo"}}`))
	if got, want := w.read(w.root, ref), `{"email":"ann@example.com","ssn":"078-05-1120","external_id":"evt_1","customer":{"name":"Cleo","phone":"5551234567"},"amount":3}`; !sameObject(t, got, want) {
		t.Errorf("the put left\n%s, want\n%s", got, want)
	}
	w.must(w.put(billing, ref, `{}`))
	if got, want := w.read(w.root, ref), `{"email":"ann@example.com","ssn":"078-05-1120","external_id":"evt_1","customer":{"phone":"5551234567"}}`; !sameObject(t, got, want) {
		t.Errorf("an empty put left\n%s, want\n%s", got, want)
	}
}

func TestStoryOfLabels(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	in := input(withoutFields)
	in.Labels, in.SetLabels = map[string]string{"owner": "cust-42", "region": "eu"}, true
	res, err := w.CreateRecord(ctx, w.root, customers, in, store.WriteOptions{})
	w.must(err)
	ref := store.RecordRef{CollectionRef: customers, Record: res.ID}
	intake := w.client("intake", intakeRole) // writes region, and reads nothing
	put := func(labels map[string]string) func() error {
		return func() error {
			_, err := w.PutRecord(ctx, intake, ref, store.RecordInput{Fields: []byte(withoutFields), Labels: labels, SetLabels: true}, store.WriteOptions{})
			return err
		}
	}
	patch := func(key string, value *string) func() error {
		return func() error {
			_, err := w.PatchRecord(ctx, intake, ref, store.RecordInput{PatchLabels: map[string]*string{key: value}}, store.WriteOptions{})
			return err
		}
	}
	us := "us"
	tell(t, []story{
		{"intake", "change region", patch("region", &us), nil},
		{"intake", "take the owner's label away", patch("owner", nil), store.ErrForbidden},
		{"intake", "change the owner", patch("owner", &us), store.ErrForbidden},
		{"intake", "guess the owner rightly", put(map[string]string{"owner": "cust-42"}), store.ErrForbidden},
		{"intake", "guess the owner wrongly", put(map[string]string{"owner": "cust-43"}), store.ErrForbidden},
		{"intake", "put no label at all", put(nil), nil},
	})
	rec := w.get(w.root, ref)
	if diff := cmp.Diff([]store.Label{{Key: "owner", Value: "cust-42"}}, rec.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
}

// Who may not search a unique field learns neither its name nor whose value it
// is; who may, learns the name.
func TestStoryOfAUniqueConflict(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	ref := w.create(fullRecord)
	ways := func(c store.Caller) map[string]error {
		_, created := w.CreateRecord(ctx, c, customers, input(`{"email":"b@c.d","external_id":"evt_1"}`), store.WriteOptions{})
		other := w.create(withoutFields)
		return map[string]error{"create": created, "patch": w.patch(c, other, `{"external_id":"evt_1"}`), "put": w.put(c, other, `{"email":"b@c.d","external_id":"evt_1"}`)}
	}
	for way, err := range ways(w.client("intake", intakeRole)) {
		wantErr(t, err, store.ErrConflict)
		if errors.Is(err, store.ErrUniqueConflict) || strings.Contains(fmt.Sprint(err), "external_id") || strings.Contains(fmt.Sprint(err), ref.Record) {
			t.Errorf("%s tells too much: %v", way, err)
		}
	}
	for way, err := range ways(w.root) {
		var conflict *store.UniqueConflict
		if !errors.As(err, &conflict) || conflict.Path != "external_id" || strings.Contains(err.Error(), ref.Record) {
			t.Errorf("%s tells root %v", way, err)
		}
	}
}

func TestStoryOfSearching(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	w.create(fullRecord)
	support := w.client("support", supportRole)
	masked := w.client("masked", `{"rules":[{"integrations":["acme"],"collections":["customers"],"actions":["search","read"],"read":{"*":"clear"},"search":["*"]}]}`)
	find := func(c store.Caller, path, value string) func() error {
		return func() error {
			page, err := w.SearchRecords(ctx, c, customers, store.SearchOptions{Where: where(path, value)})
			if err == nil && len(page.Records) == 0 {
				return store.ErrNotFound
			}
			return err
		}
	}
	lookup := func(c store.Caller, path, value string) func() error {
		return func() error {
			_, err := w.LookupRecord(ctx, c, customers, where(path, value), store.ReadOptions{})
			return err
		}
	}
	upsert := func(c store.Caller, how store.OnConflict) func() error {
		return func() error {
			_, err := w.UpsertRecord(ctx, c, customers, input(fullRecord), store.UpsertOptions{Key: "external_id", OnConflict: how})
			return err
		}
	}
	tell(t, []story{
		{"support", "search an email", find(support, "email", `"ANN@example.com"`), nil},
		{"support", "search an email that is not there", find(support, "email", `"bob@example.com"`), store.ErrNotFound},
		{"support", "search a key that is there", find(support, "external_id", `"evt_1"`), store.ErrForbidden},
		{"support", "search a key that is not there", find(support, "external_id", `"evt_2"`), store.ErrForbidden},
		{"support", "search a field that does not exist", find(support, "nothing", `"x"`), store.ErrForbidden},
		{"support", "look up a key that is there", lookup(support, "external_id", `"evt_1"`), store.ErrForbidden},
		{"support", "look up a key that is not there", lookup(support, "external_id", `"evt_2"`), store.ErrForbidden},
		{"masked", "search an email that it reads masked", find(masked, "email", `"ann@example.com"`), store.ErrForbidden},
		{"support", "find out by upsert", upsert(support, store.Ignore), store.ErrForbidden},
		{"intake", "find out by upsert", upsert(w.client("intake", intakeRole), store.Fail), store.ErrForbidden},
	})
}

// A refused document names no member that its sender may not see.
func TestStoryOfAnErrorOverWhatIsUnseen(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	const open = `{"type":"object","properties":{"ssn":{"type":"string"},"card":{"type":"string"},"note":{"type":"string"},"customer":{"type":"object","properties":{"phone":{"type":"string","x-field":true}}}}}`
	const closed = `{"type":"object","dependentRequired":{"ssn":["note"]},"properties":{"ssn":{"type":"string","pattern":"^[0-9]+$"},"card":{"type":"string"},"note":{"type":"string"},"customer":{"type":"object","properties":{"phone":{"type":"string","maxLength":3,"x-field":true}}}}}`
	w.collection(customers, store.CollectionSpec{Schema: []byte(open)})
	ref := w.create(`{"ssn":"not digits","note":"x","customer":{"phone":"12345"}}`)
	w.collection(customers, store.CollectionSpec{Schema: []byte(closed)})
	clerk := w.client("clerk", `{"rules":[{"integrations":["acme"],"collections":["customers"],"actions":["read","update"],"read":{"note":"clear","card":"clear","customer":"clear","customer/phone":"none"},"write":["note","card"]}]}`)
	for _, fields := range []string{`{"card":"1"}`, `{"note":null}`} {
		err := w.patch(clerk, ref, fields)
		var bad *store.Invalid
		if !errors.As(err, &bad) {
			t.Fatalf("patch %s: %v", fields, err)
		}
		for _, issue := range bad.Issues {
			if text := issue.Pointer + " " + issue.Detail; strings.Contains(text, "ssn") || strings.Contains(text, "phone") {
				t.Errorf("patch %s is told %q", fields, text)
			}
		}
		err = w.patch(w.root, ref, fields)
		if !errors.As(err, &bad) || !strings.Contains(fmt.Sprint(bad.Issues), "ssn") {
			t.Errorf("root is told %v: the test proves nothing", err)
		}
	}
}

func TestStoryOfHistory(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	ref := w.create(fullRecord)
	w.must(w.patch(w.root, ref, `{"amount":2}`))
	reader := w.client("reader", `{"rules":[{"integrations":["acme"],"collections":["*"],"actions":["read"],"read":{"*":"clear"}}]}`)
	historian := w.client("historian", `{"rules":[{"integrations":["acme"],"collections":["*"],"actions":["read"],"read":{"*":"clear","ssn":"clear"}},{"integrations":["acme"],"collections":["*"],"actions":["history"],"read":{"amount":"clear"}}]}`)
	old := func(c store.Caller, o store.ReadOptions) func() error {
		return func() error { _, err := w.GetRecord(ctx, c, ref, o); return err }
	}
	tell(t, []story{
		{"reader", "read the current revision by its number", old(reader, store.ReadOptions{Revision: 2}), nil},
		{"reader", "read the first revision", old(reader, store.ReadOptions{Revision: 1}), store.ErrForbidden},
		{"reader", "read a revision that never was", old(reader, store.ReadOptions{Revision: 9}), store.ErrForbidden},
		{"reader", "read the previous revision", old(reader, store.ReadOptions{Previous: true}), store.ErrForbidden},
		{"historian", "read the first revision", old(historian, store.ReadOptions{Revision: 1}), nil},
		{"historian", "read a revision that never was", old(historian, store.ReadOptions{Revision: 9}), store.ErrNotFound},
	})
	rec, err := w.GetRecord(ctx, historian, ref, store.ReadOptions{Revision: 1})
	w.must(err)
	if got := string(schema.Join(rec.Fields)); got != `{"amount":1.50}` {
		t.Errorf("of the past the historian reads %s: what it may read now leaked into it", got)
	}
	_, err = w.GetField(ctx, historian, ref, "ssn", store.ReadOptions{Revision: 1})
	wantErr(t, err, store.ErrForbidden)
	revisions, err := w.ListRevisions(ctx, historian, ref)
	w.must(err)
	if diff := cmp.Diff([]string{"amount"}, revisions[0].Fields); diff != "" {
		t.Errorf("fields of a revision (-want +got):\n%s", diff)
	}
}
