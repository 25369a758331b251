package store_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"strongroom/envelope"
	"strongroom/envelope/envelopetest"
	"strongroom/internal/access"
	"strongroom/internal/audit"
	"strongroom/internal/ledger"
	"strongroom/internal/limits"
	"strongroom/store"
	"strongroom/store/kv"
)

var always = context.Background()

// rich is a store in memory with something in every table.
type rich struct {
	*store.Store
	engine *memory
	keys   *envelopetest.Provider
	deps   store.Deps
	now    time.Time
	secret store.NewSecret // of the client invoicing
}

func anyone() store.Caller {
	names := access.Builtins()
	return &access.Principal{Client: "root", Roles: names, Policy: access.NewPolicy(nil, names, true)}
}

// empty makes a store in memory, with a clock that the test moves.
func empty(t testing.TB) *rich {
	t.Helper()
	r := &rich{engine: newMemory(), keys: envelopetest.New(), now: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)}
	log, err := audit.Open(t.TempDir(), audit.Options{})
	need(t, err)
	t.Cleanup(func() { log.Close() })
	r.deps = store.Deps{
		Engine: r.engine, Keys: r.keys, Audit: log, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Now: func() time.Time { r.now = r.now.Add(time.Millisecond); return r.now },
	}
	r.deps.Counting = limits.New(r.deps.Now)
	need(t, store.Init(always, r.deps, store.InitOptions{Dev: true}))
	r.Store = open(t, r.deps)
	return r
}

func open(t testing.TB, d store.Deps) *store.Store {
	t.Helper()
	s, err := store.Open(always, d)
	need(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func need(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func in(integration, collection string) store.CollectionRef {
	return store.CollectionRef{Integration: integration, Collection: collection}
}

// fill puts something into every table: two integrations with a collection
// each, records with labels, indexes, several revisions, an erase_at, one that
// is deleted and can come back; roles, clients and their secrets.
func (r *rich) fill(t testing.TB) {
	t.Helper()
	c := anyone()
	for _, name := range []string{"acme", "globex"} {
		_, _, err := r.PutIntegration(always, c, name, store.IntegrationSpec{}, store.Precondition{})
		need(t, err)
		spec := store.CollectionSpec{Schema: []byte(shoppers), UndeleteFor: "24h"}
		_, _, err = r.PutCollection(always, c, in(name, "customers"), spec, store.Precondition{})
		need(t, err)
		r.fillCollection(t, in(name, "customers"))
	}
	_, _, err := r.PutRole(always, c, "reader", []byte(`{"rules":[{"integrations":["acme"],"collections":["*"],"actions":["read"],"read":{"*":"clear"}}]}`), store.Precondition{})
	need(t, err)
	_, _, err = r.PutClient(always, c, "invoicing", store.ClientSpec{Roles: []string{"reader"}, Labels: map[string]string{"owner": "o1"}}, store.Precondition{})
	need(t, err)
	_, _, err = r.PutRole(always, c, "guest", []byte(`{"rules":[{"integrations":["globex"],"collections":["*"],"actions":["read"],"read":{"email":"mask:last4"}}]}`), store.Precondition{})
	need(t, err)
	r.secret, err = r.CreateSecret(always, c, "invoicing", time.Hour, store.WriteOptions{})
	need(t, err)
	_, _, err = r.PutIssuer(always, c, "cluster", store.IssuerSpec{URL: "https://cluster.example", Audiences: []string{"a"},
		Rules: []store.IssuerRule{{Claims: map[string]string{"sub": "x"}, Client: "invoicing"}}}, store.Precondition{})
	need(t, err)
	v, err := r.VerifySecret(always, store.Attempt{Client: "invoicing"}, r.secret.Secret)
	need(t, err)
	need(t, r.RevokeToken(always, v, store.Attempt{}, store.IssuedToken{
		TokenRef: store.TokenRef{Client: v.Client, ClientUID: v.ClientUID, SecretID: v.SecretID, TokenID: "t1"}, Expires: r.now.Add(time.Hour)}))
	_, err = r.Sweep(always) // which writes the last use
	need(t, err)
	_, err = r.SigningKeys(always)
	need(t, err)
	_, err = r.Attest(always, "report", map[string]int{"left": 0})
	need(t, err)
	r.fillLimits(t)
	r.fillGovernance(t)
	r.fillLedger(t)
	r.fillBackup(t)
	r.fillRows(t)
}

// fillRows has a row of each kind, and globex a key that is pending.
func (r *rich) fillRows(t testing.TB) {
	t.Helper()
	var rows []store.Row
	for _, kind := range []store.RowKind{store.RowRotation, store.RowPart, store.RowSchedule, store.RowScheduleRun, store.RowErasure} {
		rows = append(rows, store.Row{Kind: kind, ID: "r1", Doc: []byte(`{"of":"` + string(kind) + `"}`)})
	}
	need(t, r.PutRows(always, store.Internal("rotate"), "schedule", rows...))
	domains, err := r.KeyDomains(anyone())
	need(t, err)
	_, err = r.AddKeysets(always, store.Internal("rotate"), domains[1], []envelope.Purpose{envelope.PurposeWrapping})
	need(t, err)
}

// fillBackup has a backup confirmed.
func (r *rich) fillBackup(t testing.TB) {
	t.Helper()
	info, err := r.Backup(always, anyone(), io.Discard, store.BackupOptions{})
	need(t, err)
	_, err = r.ConfirmBackup(always, anyone(), info.Sequence, info.SHA256)
	need(t, err)
}

// fillLedger has the store know a ledger.
func (r *rich) fillLedger(t testing.TB) {
	t.Helper()
	l, err := ledger.Open(t.TempDir())
	need(t, err)
	defer l.Close()
	d := r.deps
	d.Ledger = l
	s, err := store.Open(always, d)
	need(t, err)
	need(t, s.Close())
}

// fillLimits has a budget, of which something is used.
func (r *rich) fillLimits(t testing.TB) {
	t.Helper()
	_, _, err := r.PutLimit(always, anyone(), "reads", []byte(`{"per":"client","exposure":{"records":[{"limit":9,"window":"24h"}],"when_exhausted":"mask"}}`), store.Precondition{})
	need(t, err)
	_, err = r.GetRecord(always, anyone(), store.RecordRef{CollectionRef: in("acme", "customers"), Record: "rec-0"}, store.ReadOptions{})
	need(t, err)
	need(t, r.SaveCounts(always))
}

// fillGovernance has a change and an approval wait, and the glass broken.
func (r *rich) fillGovernance(t testing.TB) {
	t.Helper()
	for _, name := range []string{"acme", "globex"} {
		_, _, err := r.PutCollection(always, anyone(), in(name, "cards"), store.CollectionSpec{
			Schema: []byte(`{"type":"object","properties":{"pin":{"type":"string","x-approval":"required"},"holder":{"type":"string"},"brand":{"type":"string"},"expires":{"type":"string"},"limit":{"type":"number"}}}`)}, store.Precondition{})
		need(t, err)
		_, err = r.CreateRecord(always, anyone(), in(name, "cards"), store.RecordInput{Fields: []byte(`{"pin":"9371","holder":"A. Lovelace","brand":"visa","expires":"2031-07","limit":500}`)}, store.WriteOptions{})
		need(t, err)
	}
	made, err := r.BreakGlass(always, "alice")
	need(t, err)
	need(t, r.RequireTwoPersons(always))
	client, err := r.GetClient(always, anyone(), "alice")
	need(t, err)
	alice, err := r.Principal(&store.TokenRef{Client: "alice", ClientUID: client.UID, SecretID: made.ID})
	need(t, err)
	_, _, err = r.PutClient(always, alice, "second", store.ClientSpec{Roles: []string{"reader"}}, store.Precondition{})
	if store.Code(err) != "change_pending" {
		t.Fatalf("the change does not wait: %v", err)
	}
	_, err = r.RequestApproval(always, anyone(), store.ApprovalSpec{Purpose: "refund", Integration: "acme", Collection: "cards", Records: []string{"r"}, Fields: []string{"pin"}})
	need(t, err)
}

// fieldsOf names the record in its values.
func fieldsOf(coll store.CollectionRef, i int) []byte {
	return fmt.Appendf(nil, `{"email":"a%d@%s.c","card":"4242","external_id":"x%d","customer":{"name":"Ann","phone":"%d"}}`, i, coll.Integration, i, i)
}

func (r *rich) fillCollection(t testing.TB, coll store.CollectionRef) {
	t.Helper()
	c := anyone()
	for i := range 4 {
		in := store.RecordInput{
			ID:     fmt.Sprintf("rec-%d", i),
			Fields: fieldsOf(coll, i),
			Labels: map[string]string{"owner": fmt.Sprint("o", i), "region": "eu"}, SetLabels: true,
		}
		if i == 2 {
			in.EraseAt = store.TimeChange{Given: true, Time: r.now.Add(time.Hour)}
		}
		_, err := r.CreateRecord(always, c, coll, in, store.WriteOptions{IdempotencyKey: in.ID, Route: coll.Integration, Request: in.Fields})
		need(t, err)
	}
	record := func(id string) store.RecordRef { return store.RecordRef{CollectionRef: coll, Record: id} }
	_, err := r.PatchRecord(always, c, record("rec-0"), store.RecordInput{Fields: []byte(`{"card":"1111"}`)}, store.WriteOptions{})
	need(t, err)
	_, err = r.DeleteRecord(always, c, record("rec-1"), store.WriteOptions{})
	need(t, err)
	need(t, r.ExpungeRecord(always, c, record("rec-3")))
}

// check opens a store on an engine, as a command does that finds it on a disk,
// and returns what fsck says. A store that does not open is damage enough.
func (r *rich) check(t testing.TB, engine kv.Engine) []store.Damage {
	t.Helper()
	d := r.deps
	d.Engine = engine
	s, err := store.Open(always, d)
	if err != nil {
		return []store.Damage{{Kind: "open", Detail: err.Error()}}
	}
	defer s.Close()
	report, err := s.Fsck(always, store.FsckOptions{Deep: true})
	need(t, err)
	return report.Damages
}

func noDamage(t testing.TB, damages []store.Damage) {
	t.Helper()
	for _, d := range damages {
		t.Errorf("fsck: %s at %s: %s", d.Kind, d.Where, d.Detail)
	}
}
