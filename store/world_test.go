package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"strongroom/internal/schema"
	"strongroom/store"
	"strongroom/store/storetest"
)

var customers = store.CollectionRef{Integration: "acme", Collection: "customers"}

// world is a store with one collection and a clock that the test turns.
type world struct {
	*storetest.Fixture
	t    *testing.T
	root store.Caller
	now  time.Time
}

func newWorld(t *testing.T, o storetest.Options) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	o.Now = func() time.Time { return w.now }
	w.Fixture = storetest.OpenWith(t, o)
	w.root = w.Root()
	w.integration("acme")
	w.collection(customers, store.CollectionSpec{Schema: []byte(customersSchema)})
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) integration(name string) {
	w.t.Helper()
	_, _, err := w.PutIntegration(context.Background(), w.root, name, store.IntegrationSpec{}, store.Precondition{})
	w.must(err)
}

func (w *world) collection(ref store.CollectionRef, spec store.CollectionSpec) store.PutResult {
	w.t.Helper()
	_, res, err := w.PutCollection(context.Background(), w.root, ref, spec, store.Precondition{})
	w.must(err)
	return res
}

// client makes a caller with roles of its own.
func (w *world) client(name string, roles ...string) store.Caller {
	w.t.Helper()
	ctx := context.Background()
	var names []string
	for i, raw := range roles {
		role := name + "-" + string(rune('a'+i))
		_, _, err := w.PutRole(ctx, w.root, role, []byte(raw), store.Precondition{})
		w.must(err)
		names = append(names, role)
	}
	secret, err := w.InitialClient(ctx, name, names)
	w.must(err)
	c, err := w.GetClient(ctx, w.root, name)
	w.must(err)
	p, err := w.Principal(&store.TokenRef{Client: name, ClientUID: c.UID, SecretID: secret.ID})
	w.must(err)
	return p
}

func (w *world) create(fields string) store.RecordRef {
	w.t.Helper()
	res, err := w.CreateRecord(context.Background(), w.root, customers, input(fields), store.WriteOptions{})
	w.must(err)
	return store.RecordRef{CollectionRef: customers, Record: res.ID}
}

func (w *world) read(c store.Caller, ref store.RecordRef) string {
	w.t.Helper()
	rec, err := w.GetRecord(context.Background(), c, ref, store.ReadOptions{})
	w.must(err)
	return string(schema.Join(rec.Fields))
}

func input(fields string) store.RecordInput { return store.RecordInput{Fields: []byte(fields)} }

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error is %v, want %v", err, want)
	}
}
