package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"strongroom/store"
	"strongroom/store/kv"
	"strongroom/store/storetest"
)

// fate is what becomes of a commit.
type fate struct {
	name   string
	stored bool
	told   error // by the engine
	want   error // by the store
}

var fates = []fate{
	{"failed and not persisted", false, kv.ErrNotPersisted, store.ErrNotPersisted},
	{"failed, unknown, and not persisted", false, kv.ErrOutcomeUnknown, store.ErrOutcomeUnknown},
	{"failed, unknown, but persisted", true, kv.ErrOutcomeUnknown, store.ErrOutcomeUnknown},
}

// fateful is an engine of which one commit meets its fate.
type fateful struct {
	kv.Engine
	skip   int // so many commits go well before it
	fate   *fate
	met    bool
	before func() // runs once, ahead of the next commit
}

var errUndone = errors.New("undone")

func (e *fateful) Update(ctx context.Context, class kv.Class, size int, fn func(kv.Tx) error) error {
	if before := e.before; before != nil {
		e.before = nil
		before()
	}
	if e.fate == nil || e.met {
		return e.Engine.Update(ctx, class, size, fn)
	}
	if e.skip > 0 {
		e.skip--
		return e.Engine.Update(ctx, class, size, fn)
	}
	return e.fail(ctx, class, size, fn)
}

// fail runs the transaction, undoes it when it is not to be stored, and tells
// of a failed commit. A transaction that refuses by itself is not committed.
func (e *fateful) fail(ctx context.Context, class kv.Class, size int, fn func(kv.Tx) error) error {
	err := e.Engine.Update(ctx, class, size, func(tx kv.Tx) error {
		if err := fn(tx); err != nil || e.fate.stored {
			return err
		}
		return errUndone
	})
	if err != nil && err != errUndone {
		return err
	}
	e.met = true
	return e.fate.told
}

// mutation is a method that writes, on a world that setup has made.
type mutation struct {
	name  string
	setup func(w *world)
	do    func(w *world, o store.WriteOptions) error
	done  func(w *world) bool
	keyed bool // takes an idempotency key
}

var (
	one       = store.RecordRef{CollectionRef: customers, Record: "one"}
	hiding    = store.CollectionRef{Integration: "acme", Collection: "hiding"}
	hidden    = store.RecordRef{CollectionRef: hiding, Record: "one"}
	anyRole   = []byte(`{"rules":[{"integrations":["acme"],"collections":["*"],"actions":["read"]}]}`)
	otherRole = []byte(`{"rules":[]}`)
)

func withOne(w *world) {
	in := input(`{"email":"a@b.c","external_id":"x"}`)
	in.ID = one.Record
	_, err := w.CreateRecord(always, w.root, customers, in, store.WriteOptions{})
	w.must(err)
}

func withHidden(w *world) {
	w.collection(hiding, store.CollectionSpec{Schema: []byte(customersSchema), UndeleteFor: "1h"})
	in := input(`{"email":"a@b.c","external_id":"x"}`)
	in.ID = hidden.Record
	_, err := w.CreateRecord(always, w.root, hiding, in, store.WriteOptions{})
	w.must(err)
}

func withRole(w *world) {
	_, _, err := w.PutRole(always, w.root, "some", anyRole, store.Precondition{})
	w.must(err)
}

func withClient(w *world) {
	withRole(w)
	_, err := w.InitialClient(always, "cl", []string{"some"})
	w.must(err)
}

// emailOf returns the email of a record, "" when it is not there.
func (w *world) emailOf(ref store.RecordRef) string {
	f, err := w.GetField(always, w.root, ref, "email", store.ReadOptions{})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		w.t.Errorf("read: %v", err)
	}
	return string(f.JSON)
}

func is[T any](_ T, err error) bool { return err == nil }

var mutations = []mutation{
	{"create", nothing, func(w *world, o store.WriteOptions) error {
		in := input(`{"email":"a@b.c"}`)
		in.ID = one.Record
		return second(w.CreateRecord(always, w.root, customers, in, o))
	}, func(w *world) bool { return w.emailOf(one) == `"a@b.c"` }, true},
	{"put", withOne, func(w *world, o store.WriteOptions) error {
		return second(w.PutRecord(always, w.root, one, input(`{"email":"n@b.c","external_id":"y"}`), o))
	}, func(w *world) bool { return w.emailOf(one) == `"n@b.c"` }, true},
	{"patch", withOne, func(w *world, o store.WriteOptions) error {
		return second(w.PatchRecord(always, w.root, one, input(`{"email":"n@b.c"}`), o))
	}, func(w *world) bool { return w.emailOf(one) == `"n@b.c"` }, true},
	{"delete for good", withOne, func(w *world, o store.WriteOptions) error {
		return second(w.DeleteRecord(always, w.root, one, o))
	}, func(w *world) bool { return w.emailOf(one) == "" }, true},
	{"delete for a time", withHidden, func(w *world, o store.WriteOptions) error {
		return second(w.DeleteRecord(always, w.root, hidden, o))
	}, func(w *world) bool { return w.emailOf(hidden) == "" }, true},
	{"undelete", func(w *world) {
		withHidden(w)
		w.must(second(w.DeleteRecord(always, w.root, hidden, store.WriteOptions{})))
	}, func(w *world, o store.WriteOptions) error {
		return second(w.UndeleteRecord(always, w.root, hidden, o))
	}, func(w *world) bool { return w.emailOf(hidden) != "" }, true},
	{"roll back", func(w *world) {
		withOne(w)
		w.must(second(w.PutRecord(always, w.root, one, input(`{"email":"n@b.c"}`), store.WriteOptions{})))
	}, func(w *world, o store.WriteOptions) error {
		return second(w.RollbackRecord(always, w.root, one, 1, o))
	}, func(w *world) bool { return w.emailOf(one) == `"a@b.c"` }, true},
	{"expunge", withOne, func(w *world, _ store.WriteOptions) error {
		return w.ExpungeRecord(always, w.root, one)
	}, func(w *world) bool { return w.emailOf(one) == "" }, false},
	{"upsert", withOne, func(w *world, o store.WriteOptions) error {
		return second(w.UpsertRecord(always, w.root, customers, input(`{"email":"n@b.c","external_id":"x"}`), store.UpsertOptions{WriteOptions: o, Key: "external_id", OnConflict: store.Replace}))
	}, func(w *world) bool { return w.emailOf(one) == `"n@b.c"` }, true},
	{"import", nothing, func(w *world, _ store.WriteOptions) error { return w.importTheOne() },
		func(w *world) bool { return w.emailOf(one) == `"a@b.c"` }, false},
	{"erase what is due", func(w *world) {
		in := input(`{"email":"a@b.c"}`)
		in.ID, in.EraseAt = one.Record, store.TimeChange{Given: true, Time: w.now.Add(time.Minute)}
		w.must(second(w.CreateRecord(always, w.root, customers, in, store.WriteOptions{})))
		w.now = w.now.Add(time.Hour)
	}, func(w *world, _ store.WriteOptions) error { return second(w.Sweep(always)) },
		func(w *world) bool { return !w.holds(kv.Records, one.Record) }, false},
}

var controlMutations = []mutation{
	{"put a role", withRole, func(w *world, _ store.WriteOptions) error {
		_, _, err := w.PutRole(always, w.root, "some", otherRole, store.Precondition{})
		return err
	}, func(w *world) bool {
		r, err := w.GetRole(always, w.root, "some")
		return err == nil && string(r.Raw) == string(otherRole)
	}, false},
	{"delete a role", withRole, func(w *world, _ store.WriteOptions) error { return w.DeleteRole(always, w.root, "some") },
		func(w *world) bool { return !is(w.GetRole(always, w.root, "some")) }, false},
	{"put a client", withClient, func(w *world, _ store.WriteOptions) error {
		_, _, err := w.PutClient(always, w.root, "cl", store.ClientSpec{Disabled: true}, store.Precondition{})
		return err
	}, func(w *world) bool { cl, _ := w.GetClient(always, w.root, "cl"); return cl.Disabled }, false},
	{"delete a client", withClient, func(w *world, _ store.WriteOptions) error { return w.DeleteClient(always, w.root, "cl") },
		func(w *world) bool { return !is(w.GetClient(always, w.root, "cl")) }, false},
	{"create a secret", withClient, func(w *world, o store.WriteOptions) error {
		return second(w.CreateSecret(always, w.root, "cl", 0, o))
	}, func(w *world) bool { return len(w.secrets()) == 2 }, true},
	{"delete a secret", withClient, func(w *world, _ store.WriteOptions) error {
		all := w.secrets()
		if len(all) == 0 {
			return store.ErrNotFound
		}
		return w.DeleteSecret(always, w.root, "cl", all[0].ID)
	}, func(w *world) bool { return len(w.secrets()) == 0 }, false},
	{"make an integration", nothing, func(w *world, _ store.WriteOptions) error {
		_, _, err := w.PutIntegration(always, w.root, "new", store.IntegrationSpec{}, store.Precondition{})
		return err
	}, func(w *world) bool { return is(w.GetIntegration(always, w.root, "new")) }, false},
	{"describe an integration", nothing, func(w *world, _ store.WriteOptions) error {
		_, _, err := w.PutIntegration(always, w.root, "acme", store.IntegrationSpec{Description: "d"}, store.Precondition{})
		return err
	}, func(w *world) bool { in, _ := w.GetIntegration(always, w.root, "acme"); return in.Description == "d" }, false},
	{"delete an integration", withOne, func(w *world, _ store.WriteOptions) error {
		return second(w.DeleteIntegration(always, w.root, "acme", false))
	}, func(w *world) bool { in, _ := w.GetIntegration(always, w.root, "acme"); return in.DestroyAt != nil }, false},
	{"undelete an integration", func(w *world) {
		w.must(second(w.DeleteIntegration(always, w.root, "acme", false)))
	}, func(w *world, _ store.WriteOptions) error {
		return second(w.UndeleteIntegration(always, w.root, "acme"))
	}, func(w *world) bool { in, _ := w.GetIntegration(always, w.root, "acme"); return in.DestroyAt == nil }, false},
	{"make a collection", nothing, func(w *world, _ store.WriteOptions) error {
		_, _, err := w.PutCollection(always, w.root, hiding, store.CollectionSpec{Schema: []byte(customersSchema)}, store.Precondition{})
		return err
	}, func(w *world) bool { return is(w.GetCollection(always, w.root, hiding)) }, false},
	{"change a collection", withOne, func(w *world, _ store.WriteOptions) error {
		_, _, err := w.PutCollection(always, w.root, customers, store.CollectionSpec{Schema: []byte(customersSchema), Retention: &store.Retention{Revisions: 3}}, store.Precondition{})
		return err
	}, func(w *world) bool { c, _ := w.GetCollection(always, w.root, customers); return c.Retention != nil }, false},
	{"delete a collection", withOne, func(w *world, _ store.WriteOptions) error {
		return w.DeleteCollection(always, w.root, customers)
	}, func(w *world) bool { return !is(w.GetCollection(always, w.root, customers)) }, false},
}

func nothing(*world) {}

func second[T any](_ T, err error) error { return err }

func (w *world) secrets() []store.SecretInfo {
	all, err := w.ListSecrets(always, w.root, "cl")
	w.must(err)
	return all
}

// importTheOne imports one line, and returns what became of it.
func (w *world) importTheOne() (err error) {
	n := 0
	next := func() (store.ImportLine, bool) { n++; return store.ImportLine{Number: n}, n == 1 }
	decode := func([]byte) (store.RecordInput, error) {
		in := input(`{"email":"a@b.c"}`)
		in.ID = one.Record
		return in, nil
	}
	var line error
	err = w.ImportRecords(always, w.root, customers, store.ImportOptions{Decode: decode}, next, func(r store.ImportResult) error { line = r.Err; return nil })
	return errors.Join(line, err)
}

// holds reports whether a table has a key that ends so.
func (w *world) holds(table kv.Table, end string) (found bool) {
	w.must(w.Engine.View(always, func(tx kv.ReadTx) error {
		found = false
		tx.Scan(table, nil, nil, func(key, _ []byte) bool {
			found = found || strings.HasSuffix(string(key), end)
			return true
		})
		return nil
	}))
	return found
}

// everything returns all that the tables hold.
func (w *world) everything() string {
	var all strings.Builder
	w.must(w.Engine.View(always, func(tx kv.ReadTx) error {
		all.Reset()
		for _, table := range kv.Tables() {
			tx.Scan(table, nil, nil, func(key, value []byte) bool {
				fmt.Fprintf(&all, "%s %x %x\n", table, key, value)
				return true
			})
		}
		return nil
	}))
	return all.String()
}

// TestFailedCommits fails each commit of each method that writes, in every way.
// What the caller was told is what the store says, at once and after it was
// opened again; nothing is half done; and a repeat does what it should.
func TestFailedCommits(t *testing.T) {
	for _, m := range append(append([]mutation{}, mutations...), controlMutations...) {
		for i := range fates {
			t.Run(m.name+" "+fates[i].name, func(t *testing.T) { t.Parallel(); m.fail(t, &fates[i]) })
		}
	}
}

// fail meets one commit after the other with a fate, until none is left.
func (m *mutation) fail(t *testing.T, f *fate) {
	for skip := 0; ; skip++ {
		w := newWorld(t, storetest.Options{})
		m.setup(w)
		e := &fateful{Engine: w.Engine, skip: skip, fate: f}
		w.Deps.Engine = e
		w.Reopen()
		before := w.everything()
		o := store.WriteOptions{}
		if m.keyed {
			o.IdempotencyKey, o.Route, o.Request = "key", m.name, []byte(m.name)
		}
		err := m.do(w, o)
		if !e.met {
			if err != nil || skip == 0 {
				t.Fatalf("%v, and commit %d was never reached", err, skip)
			}
			return
		}
		m.judge(w, f, skip, before, err)
		m.again(w, f, o)
	}
}

// judge compares what the caller was told with what the store says.
func (m *mutation) judge(w *world, f *fate, skip int, before string, err error) {
	w.t.Helper()
	wantErr(w.t, err, f.want)
	if !f.stored && skip == 0 && w.everything() != before {
		w.t.Error("something was stored")
	}
	for range 2 {
		if !f.stored && skip == 0 && m.done(w) || f.stored && skip == 0 && !m.done(w) {
			w.t.Errorf("the store shows it as done: %v", m.done(w))
		}
		w.Reopen()
	}
	sound(w.t, w.Store)
}

// again repeats the request, with its key when it had one.
func (m *mutation) again(w *world, f *fate, o store.WriteOptions) {
	w.t.Helper()
	before := w.everything()
	err := m.do(w, o)
	var shown *store.SecretReplayed
	switch {
	case m.keyed && f.stored:
		if err != nil && !errors.As(err, &shown) {
			w.t.Errorf("the repeat: %v", err)
		}
		if w.everything() != before {
			w.t.Error("the repeat was made twice")
		}
	case !f.stored && err != nil:
		w.t.Errorf("the repeat: %v", err)
	}
	if !m.done(w) {
		w.t.Error("after the repeat it is not done")
	}
}

// TestARollbackDoesNotBringBackWhatWasErased erases a record and makes another
// under its id while a rollback to the first one's revision is under way.
func TestARollbackDoesNotBringBackWhatWasErased(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	withOne(w)
	w.must(second(w.PatchRecord(always, w.root, one, input(`{"card":"4242"}`), store.WriteOptions{})))
	e := &fateful{Engine: w.Engine}
	w.Deps.Engine = e
	w.Reopen()
	e.before = func() {
		w.must(w.ExpungeRecord(always, w.root, one))
		w.now = w.now.Add(time.Second)
		in := input(`{"email":"new@b.c"}`)
		in.ID = one.Record
		w.must(second(w.CreateRecord(always, w.root, customers, in, store.WriteOptions{})))
	}
	_, err := w.RollbackRecord(always, w.root, one, 1, store.WriteOptions{})
	wantErr(t, err, store.ErrNotFound)
	if got := w.emailOf(one); got != `"new@b.c"` {
		t.Errorf("the record holds %s", got)
	}
}
