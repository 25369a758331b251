package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"strongroom/envelope"
	"strongroom/internal/uid"
	"strongroom/store"
	"strongroom/store/kv"
	"strongroom/store/storetest"
	"strongroom/vaultkeys/keyring"
)

// tallied draws changes of a store, and has fsck count again after each few.
type tallied struct {
	*rich
	t           *rapid.T
	generations map[envelope.Purpose]uint32
	collections int
	clock       atomic.Int64 // unix nanoseconds; imports read it side by side
}

func newTallied(t testing.TB, rt *rapid.T) *tallied {
	c := &tallied{rich: empty(t), t: rt, generations: map[envelope.Purpose]uint32{}}
	c.clock.Store(c.now.UnixNano())
	c.deps.Now = func() time.Time { return time.Unix(0, c.clock.Add(int64(time.Millisecond))).UTC() }
	c.Store = open(t, c.deps)
	return c
}

func (c *tallied) ref() store.CollectionRef { return in("acme", fmt.Sprintf("c%d", c.collections)) }

func (c *tallied) record() store.RecordRef {
	return store.RecordRef{CollectionRef: c.ref(), Record: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(c.t, "record")}
}

func (c *tallied) fields() store.RecordInput {
	out := input(rapid.SampledFrom([]string{`{"email":"a@b.c"}`, `{"email":"a@b.c","external_id":"x"}`, `{"email":"z@b.c","card":"1"}`, `{"card":"2"}`}).Draw(c.t, "fields"))
	if rapid.Bool().Draw(c.t, "erased by itself") {
		out.EraseAt = store.TimeChange{Given: true, Time: time.Unix(0, c.clock.Load()).Add(time.Hour)}
	}
	return out
}

// open makes a collection in the place of the one before.
func (c *tallied) open() {
	if c.collections++; c.collections > 1 {
		gone := in("acme", fmt.Sprintf("c%d", c.collections-1))
		c.may(c.DeleteCollection(always, anyone(), gone))
	}
	spec := store.CollectionSpec{Schema: []byte(customersSchema), UndeleteFor: "24h", Retention: &store.Retention{Revisions: 2}}
	spec.Schema = []byte(`{"type":"object","properties":{"email":{"type":"string","x-index":"exact"},"card":{"type":"string"},"external_id":{"type":"string","x-index":"unique"}}}`)
	c.may(second3(c.PutCollection(always, anyone(), c.ref(), spec, store.Precondition{})))
}

func second3[A, B any](_ A, _ B, err error) error { return err }

// may fails the test on an error that says that something is broken: others are
// refusals that a draw runs into.
func (c *tallied) may(err error) {
	if errors.Is(err, store.ErrIntegrity) || errors.Is(err, store.ErrNotPersisted) || err != nil && store.Code(err) == "internal" {
		c.t.Fatal(err)
	}
}

// rotate promotes a new key of the integration or of the system.
func (c *tallied) rotate() {
	p := rapid.SampledFrom([]envelope.Purpose{envelope.PurposeWrapping, envelope.PurposeIndex, envelope.PurposeSystem, envelope.PurposeSystemMAC}).Draw(c.t, "purpose")
	name := map[bool]string{true: "acme"}[p == envelope.PurposeWrapping || p == envelope.PurposeIndex]
	if c.generations[p] == 0 {
		c.generations[p] = 1
	}
	c.generations[p]++
	c.may(c.AddKeyForTest(always, name, p, c.generations[p]))
	c.may(c.SetKeyForTest(always, name, p, c.generations[p], envelope.StatePrimary))
}

func (c *tallied) step() {
	root, o := anyone(), store.WriteOptions{}
	if rapid.Bool().Draw(c.t, "idempotent") {
		o = store.WriteOptions{IdempotencyKey: rapid.StringMatching(`[a-c]`).Draw(c.t, "key"), Route: "r", Request: []byte("q")}
	}
	switch rapid.IntRange(0, 13).Draw(c.t, "step") {
	case 0, 1:
		c.may(second(c.PutRecord(always, root, c.record(), c.fields(), o)))
	case 2:
		c.may(second(c.PatchRecord(always, root, c.record(), c.fields(), o)))
	case 3:
		c.may(second(c.DeleteRecord(always, root, c.record(), o)))
	case 4:
		c.may(second(c.UndeleteRecord(always, root, c.record(), o)))
	case 5:
		c.may(c.ExpungeRecord(always, root, c.record()))
	case 6:
		c.may(second(c.RollbackRecord(always, root, c.record(), rapid.Uint64Range(1, 8).Draw(c.t, "revision"), o)))
	case 7:
		c.may(second(c.UpsertRecord(always, root, c.ref(), c.fields(), store.UpsertOptions{Key: "external_id", OnConflict: store.Replace, WriteOptions: o})))
	case 8:
		n := 0
		next := func() (store.ImportLine, bool) { n++; return store.ImportLine{Number: n}, n <= 3 }
		decode := store.ImportOptions{Continue: true, Decode: func([]byte) (store.RecordInput, error) { return input(`{"email":"i@b.c"}`), nil }}
		c.may(c.ImportRecords(always, root, c.ref(), decode, next, func(r store.ImportResult) error { c.may(r.Err); return nil }))
	case 9:
		c.rotate()
	case 10:
		c.clock.Add(int64(rapid.SampledFrom([]time.Duration{2 * time.Hour, 25 * time.Hour}).Draw(c.t, "time")))
		c.may(second(c.Sweep(always)))
	case 11:
		c.open()
	case 12:
		c.may(second3(c.PutClient(always, root, rapid.StringMatching(`[a-c]`).Draw(c.t, "client"), store.ClientSpec{}, store.Precondition{})))
	case 13:
		c.may(c.DeleteClient(always, root, rapid.StringMatching(`[a-c]`).Draw(c.t, "client")))
	}
}

// TestCountsUnderKeys draws writes, deletes, rollbacks, erasures, imports,
// purges and rotations: after each few of them the counts are what a recount
// finds, which fsck makes.
func TestCountsUnderKeys(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := newTallied(t, rt)
		c.may(second3(c.PutIntegration(always, anyone(), "acme", store.IntegrationSpec{}, store.Precondition{})))
		c.open()
		for range rapid.IntRange(3, 30).Draw(rt, "steps") {
			c.step()
		}
		report, err := c.Fsck(always, store.FsckOptions{Deep: true})
		c.may(err)
		for _, d := range report.Damages {
			rt.Errorf("fsck: %s at %s: %s", d.Kind, d.Where, d.Detail)
		}
	})
}

// TestCountsAfterDamage erases a record whose wrapped key was damaged: the next
// sweep counts anew.
func TestCountsAfterDamage(t *testing.T) {
	for name, damage := range map[string]func(tx kv.Tx, key, value []byte){
		"another key": func(tx kv.Tx, key, value []byte) { value[4] ^= 1; tx.Put(kv.DEKs, key, value) },
		"no layout":   func(tx kv.Tx, key, value []byte) { tx.Put(kv.DEKs, key, value[:9]) },
		"missing":     func(tx kv.Tx, key, _ []byte) { tx.Delete(kv.DEKs, key) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, storetest.Options{})
			w.create(`{"email":"a@b.c"}`)
			ref := w.create(`{"email":"b@b.c"}`)
			w.must(w.Engine.Update(always, kv.Interactive, 0, func(tx kv.Tx) error {
				var key, value []byte
				tx.ScanBack(kv.DEKs, nil, nil, func(k, v []byte) bool {
					key, value = append([]byte(nil), k...), append([]byte(nil), v...)
					return string(k[16:16+len(ref.Record)]) != ref.Record
				})
				damage(tx, key, value)
				return nil
			}))
			w.must(w.ExpungeRecord(always, w.root, ref))
			w.must(second(w.Sweep(always)))
			deks, _ := w.underKeys(customers)
			for _, n := range deks {
				if len(deks) != 1 || n != 1 {
					t.Errorf("wrapped keys by key: %v, want one", deks)
				}
			}
		})
	}
}

// failingAfter is an engine that fails once so many commits went well.
type failingAfter struct {
	kv.Engine
	left int
}

func (e *failingAfter) Update(ctx context.Context, class kv.Class, size int, fn func(kv.Tx) error) error {
	if e.left--; e.left < 0 {
		return kv.ErrNotPersisted
	}
	return e.Engine.Update(ctx, class, size, fn)
}

// TestCountsOfACollectionThatIsBeingRemoved stops a purge midway, again and
// again: what is left is still counted, down to nothing.
func TestCountsOfACollectionThatIsBeingRemoved(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	const lines = 600
	n := 0
	next := func() (store.ImportLine, bool) { n++; return store.ImportLine{Number: n}, n <= lines }
	decode := store.ImportOptions{Decode: func([]byte) (store.RecordInput, error) { return input(`{"email":"a@b.c"}`), nil }}
	w.must(w.ImportRecords(always, w.root, customers, decode, next, func(r store.ImportResult) error { return r.Err }))
	coll, err := w.GetCollection(always, w.root, customers)
	w.must(err)
	w.must(w.DeleteCollection(always, w.root, customers))
	engine := &failingAfter{Engine: w.Engine}
	w.Deps.Engine = engine
	w.Reopen()
	for stopped := 0; ; stopped++ {
		engine.left = 2 + stopped
		_, _ = w.Sweep(always) // it is stopped
		said, lie := w.counted(coll.UID)
		if said != lie || stopped > 20 {
			t.Fatalf("after %d stops %d are counted, and %d are there", stopped+1, said, lie)
		}
		if lie == 0 {
			break
		}
	}
	engine.left = 1 << 30
	w.must(second(w.Sweep(always)))
}

// counted returns how many wrapped DEKs and token sets a collection is said to
// have, and how many there are.
func (w *world) counted(c uid.UID) (said, lie uint64) {
	w.t.Helper()
	deks, tokens, err := w.KeyCountsOfForTest(always, c)
	w.must(err)
	for _, counts := range []map[uint32]uint64{deks, tokens} {
		for _, n := range counts {
			said += n
		}
	}
	w.must(w.Engine.View(always, func(tx kv.ReadTx) error {
		lie = 0
		for _, table := range []kv.Table{kv.DEKs, kv.Tokens} {
			tx.Scan(table, c[:], nil, func(key, _ []byte) bool {
				if bytes.HasPrefix(key, c[:]) {
					lie++
				}
				return true
			})
		}
		return nil
	}))
	return said, lie
}

// TestAStoreOfFormat1 restores a backup that a program of format 1 has made,
// opens the store and goes on with it.
func TestAStoreOfFormat1(t *testing.T) {
	raw, err := os.ReadFile("testdata/format1/keyring")
	need(t, err)
	path := filepath.Join(t.TempDir(), "keyring")
	need(t, os.WriteFile(path, raw, 0o600))
	keys, err := keyring.Open(path, keyring.Unsealed{})
	need(t, err)
	r := empty(t) // for its clock and audit log
	d := r.deps
	d.Keys, d.Engine = keys, newMemory()
	file, err := os.Open("testdata/format1/store.backup")
	need(t, err)
	defer file.Close()
	_, err = store.Restore(always, d, file, nil, store.RestoreOptions{})
	need(t, err)
	s := open(t, d)
	r.Store = s
	deep := func() {
		t.Helper()
		report, err := s.Fsck(always, store.FsckOptions{Deep: true})
		need(t, err)
		noDamage(t, report.Damages)
	}
	deep()
	customers := in("acme", "customers")
	again := store.RecordInput{ID: "rec-0", Fields: fieldsOf(customers, 0)}
	res, err := s.CreateRecord(always, anyone(), customers, again, store.WriteOptions{IdempotencyKey: "rec-0", Route: "acme", Request: again.Fields})
	need(t, err)
	if !res.Replayed || res.ID != "rec-0" {
		t.Errorf("a request of before was made again: %+v", res)
	}
	rec, err := s.LookupRecord(always, anyone(), customers, wheres("external_id", `"x2"`), store.ReadOptions{})
	need(t, err)
	if rec.ID != "rec-2" {
		t.Errorf("the lookup found %s", rec.ID)
	}
	for _, p := range []envelope.Purpose{envelope.PurposeWrapping, envelope.PurposeIndex} {
		need(t, s.AddKeyForTest(always, "acme", p, 2))
		need(t, s.SetKeyForTest(always, "acme", p, 2, envelope.StatePrimary))
	}
	_, err = s.PatchRecord(always, anyone(), store.RecordRef{CollectionRef: customers, Record: "rec-0"}, input(`{"card":"7"}`), store.WriteOptions{})
	need(t, err)
	deep()
}
