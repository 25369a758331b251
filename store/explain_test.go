package store_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"strongroom/internal/access"
	"strongroom/internal/audit"
	"strongroom/store"
	"strongroom/store/storetest"
)

// explained asks what the client may do.
func (w *world) explained(q store.ExplainQuery) store.Explanation {
	w.t.Helper()
	q.CollectionRef = customers
	e, err := w.ExplainAccess(context.Background(), w.root, q)
	w.must(err)
	return e
}

func fieldOf(t *testing.T, e store.Explanation, path string) access.FieldExplanation {
	t.Helper()
	for _, f := range e.Fields {
		if f.Path == path {
			return f
		}
	}
	t.Fatalf("nothing is said of %s", path)
	return access.FieldExplanation{}
}

// assign gives a stored client labels and more roles.
func (w *world) assign(client string, labels map[string]string, roles ...string) {
	w.t.Helper()
	_, _, err := w.PutClient(context.Background(), w.root, client, store.ClientSpec{Roles: roles, Labels: labels}, store.Precondition{})
	w.must(err)
}

const clerkRole = `{"rules":[
	{"integrations":["acme"],"collections":["customers"],"actions":["read"],"read":{"*":"clear","amount":"mask:redact"},"write":["*"]},
	{"integrations":["acme"],"collections":["*"],"actions":["read","update"],"read":{"amount":"clear","external_id":"none"},"write":["*"],"when":"record.labels.owner == client.labels.owner"},
	{"integrations":["acme"],"collections":["customers"],"actions":["read"],"read":{"ssn":"mask:last4"},"when":"request.purpose == 'audit'"},
	{"integrations":["globex"],"collections":["*"],"actions":["read"],"read":{"*":"clear"}}]}`

func TestExplainSaysWhichRuleDecided(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	mine, theirs := w.owners()
	w.client("clerk", clerkRole)
	w.assign("clerk", map[string]string{"owner": "me"}, "clerk-a")
	nobody := w.create(withoutFields)

	any := w.explained(store.ExplainQuery{Client: "clerk"})
	outcomes := func(e store.Explanation) (list []access.Outcome) {
		for _, r := range e.Rules {
			list = append(list, r.Outcome)
		}
		return list
	}
	if diff := cmp.Diff([]access.Outcome{"always", "open", "fails"}, outcomes(any)); diff != "" {
		t.Errorf("of any record: %s", diff)
	}
	amount := fieldOf(t, any, "amount")
	want := access.FieldExplanation{
		Path: "amount", Grant: "mask:redact", AtBest: "clear", Reason: "One rule grants it.",
		By:    []access.Deciding{{Role: "clerk-a", Names: "amount", Grant: "mask:redact", Decides: true}},
		Write: []access.Action{}, WriteAtBest: []access.Action{"update"},
		WriteReason: "No rule that grants writing names the field, an ancestor or * in write.",
	}
	if diff := cmp.Diff(want, amount); diff != "" {
		t.Error(diff)
	}
	for _, c := range []struct {
		what     string
		q        store.ExplainQuery
		outcomes []access.Outcome
		grants   map[string]string
	}{
		{"its own", store.ExplainQuery{Record: mine.Record}, []access.Outcome{"always", "holds", "fails"}, map[string]string{"amount": "clear", "external_id": "none", "email": "mask:email", "ssn": "none"}},
		{"another's", store.ExplainQuery{Record: theirs.Record}, []access.Outcome{"always", "fails", "fails"}, map[string]string{"amount": "mask:redact", "external_id": "clear"}},
		{"nobody's", store.ExplainQuery{Record: nobody.Record}, []access.Outcome{"always", "broken", "fails"}, map[string]string{"amount": "mask:redact", "external_id": "none"}},
		{"for an audit", store.ExplainQuery{Record: mine.Record, Purpose: "audit"}, []access.Outcome{"always", "holds", "holds"}, map[string]string{"ssn": "mask:last4"}},
	} {
		c.q.Client = "clerk"
		e := w.explained(c.q)
		if diff := cmp.Diff(c.outcomes, outcomes(e)); diff != "" {
			t.Errorf("%s: %s", c.what, diff)
		}
		for path, grant := range c.grants {
			if got := fieldOf(t, e, path).Grant; got != grant {
				t.Errorf("%s: %s is %s, want %s", c.what, path, got, grant)
			}
		}
	}
	if got := w.explained(store.ExplainQuery{Client: "clerk", Record: nobody.Record}).Rules[1].Missing; !cmp.Equal(got, []string{"record.labels.owner"}) {
		t.Errorf("missing is %v", got)
	}
	if got := fieldOf(t, any, "ssn").Reason; !strings.Contains(got, "high sensitivity") {
		t.Errorf("of ssn it says %q", got)
	}
}

// What is explained is what is granted: on each record, for each field.
func TestExplainAgreesWithWhatIsRead(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	mine, theirs := w.owners()
	for name, role := range map[string]string{"clerk": clerkRole, "tenant": tenantRole, "billing": billingRole, "support": supportRole, "sweeping": sweepingRole} {
		before := w.client(name, role)
		w.assign(name, map[string]string{"owner": "me"}, name+"-a")
		p := w.again(before)
		for _, ref := range []store.RecordRef{mine, theirs} {
			e := w.explained(store.ExplainQuery{Client: name, Record: ref.Record})
			rec, err := w.GetRecord(context.Background(), p, ref, store.ReadOptions{})
			if (err == nil) != e.Allowed {
				t.Errorf("%s: reading is allowed: %v, and ends in %v", name, e.Allowed, err)
			}
			shown := map[string]string{}
			for _, v := range rec.Fields {
				shown[v.Path] = "clear"
			}
			for _, path := range rec.Masked {
				shown[path] = "masked"
			}
			for _, path := range rec.Withheld {
				shown[path] = "none"
			}
			for path, got := range shown {
				grant := fieldOf(t, e, path).Grant
				if kind, _, _ := strings.Cut(strings.Replace(grant, "mask:", "masked:", 1), ":"); kind != got {
					t.Errorf("%s reads %s as %s; it is explained as %s", name, path, got, grant)
				}
			}
		}
	}
}

// An explanation tells no value of a field or a label, and is in the audit log
// with the client and the record that it is about.
func TestExplainTellsNoValue(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	_, err := w.CreateRecord(context.Background(), w.root, customers, store.RecordInput{ID: "one", Fields: []byte(fullRecord), SetLabels: true, Labels: map[string]string{"owner": "label-value-1"}}, store.WriteOptions{})
	w.must(err)
	w.client("tenant", tenantRole)
	w.assign("tenant", map[string]string{"owner": "label-value-2"}, "tenant-a")
	text, err := json.Marshal(w.explained(store.ExplainQuery{Client: "tenant", Record: "one"}))
	w.must(err)
	for _, value := range []string{"label-value", "ann@", cardOfAll, secretOfAll, "evt_1", phoneOfAll} {
		if strings.Contains(string(text), value) {
			t.Errorf("%s is told: %s", value, text)
		}
	}
	if n := w.opens(func() { w.explained(store.ExplainQuery{Client: "tenant"}) }); n != 0 {
		t.Errorf("%d keys were opened to explain a collection", n)
	}
	var found bool
	for _, e := range audited(t, w.AuditDir, audit.Filter{}) {
		found = found || e.Action == "explain" && e.Target == "client/tenant" && e.Record == "one" && e.Outcome == audit.Allowed
	}
	if !found {
		t.Error("no entry of the audit log tells of it")
	}
}

func TestExplainOfWhatIsNotThere(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	w.client("tenant", tenantRole)
	for _, q := range []store.ExplainQuery{
		{Client: "nobody", CollectionRef: customers},
		{Client: "tenant", CollectionRef: store.CollectionRef{Integration: "acme", Collection: "absent"}},
		{Client: "tenant", CollectionRef: customers, Record: "absent"},
		{Client: "tenant", CollectionRef: customers, Record: "no id"},
	} {
		_, err := w.ExplainAccess(ctx, w.root, q)
		wantErr(t, err, store.ErrNotFound)
	}
}
