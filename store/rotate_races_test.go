package store_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"strongroom/envelope"
	"strongroom/internal/schema"
	"strongroom/store"
	"strongroom/store/kv"
	"strongroom/store/storetest"
)

// stepsBetween are what an operator may do while a write is on its way.
var stepsBetween = map[string]func(w *world, d store.KeyDomain){
	"a promotion": func(w *world, d store.KeyDomain) {
		refs, err := w.AddKeysets(always, runner, d, bothKinds)
		w.must(err)
		w.must(w.PromoteKeysets(always, runner, d, refs))
	},
	"a promotion and its sweep": func(w *world, d store.KeyDomain) {
		refs, err := w.AddKeysets(always, runner, d, bothKinds)
		w.must(err)
		w.must(w.PromoteKeysets(always, runner, d, refs))
		w.sweepKeys(d, store.SweepOptions{Reindex: true, Reseal: true}, store.Budget{})
	},
	"a whole rotation": func(w *world, d store.KeyDomain) {
		w.rotate(d, bothKinds, store.SweepOptions{Reindex: true})
	},
}

// TestAWriteUnderRetiredKeysIsMadeAgain lets a write wait between sealing and
// commit while the keys change under it. It is stored under the new keys, and
// nothing is left under the old ones.
func TestAWriteUnderRetiredKeysIsMadeAgain(t *testing.T) {
	for _, m := range mutations {
		for name, between := range stepsBetween {
			t.Run(m.name+" and "+name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, storetest.Options{})
				m.setup(w)
				d := w.domain("acme")
				old := w.inForce(d, bothKinds)
				e := &fateful{Engine: w.Engine}
				w.Deps.Engine = e
				w.Reopen()
				e.before = func() { between(w, d) }
				w.must(m.do(w, store.WriteOptions{}))
				if !m.done(w) {
					t.Error("it was lost")
				}
				w.sweepKeys(d, store.SweepOptions{Reindex: true}, store.Budget{})
				_, err := w.VerifyKeysets(always, runner, d, old, nil)
				w.must(err)
			})
		}
	}
}

// TestAControlChangeUnderARetiredKeyIsMadeAgain is the same of the control
// plane and the keys of the system.
func TestAControlChangeUnderARetiredKeyIsMadeAgain(t *testing.T) {
	for _, m := range controlMutations {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, storetest.Options{})
			m.setup(w)
			e := &fateful{Engine: w.Engine}
			w.Deps.Engine = e
			w.Reopen()
			d := store.KeyDomain{}
			old := w.inForce(d, systems)
			refs, err := w.AddKeysets(always, runner, d, systems)
			w.must(err)
			other, err := store.Open(always, w.Deps) // its locks are not those that the change holds
			w.must(err)
			defer other.Close()
			e.before = func() { w.must(other.PromoteKeysets(always, runner, d, refs)) }
			w.must(m.do(w, store.WriteOptions{}))
			if !m.done(w) {
				t.Error("it was lost")
			}
			w.sweepKeys(d, store.SweepOptions{Reseal: true}, store.Budget{})
			_, err = w.VerifyKeysets(always, runner, d, old, nil)
			w.must(err)
			w.Reopen()
			if !m.done(w) {
				t.Error("it was lost at last")
			}
		})
	}
}

// TestASweepMeetsRequests writes, deletes, searches and reads from several
// goroutines while one rotation after the other runs, half of them rolled back
// in the middle of their sweep. Every acknowledged value is there at the end.
func TestASweepMeetsRequests(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	w.stock(60)
	d := w.domain("acme")
	writers := [4]*busyWriter{}
	var wait sync.WaitGroup
	for n := range writers {
		writers[n] = &busyWriter{w: w, n: n, has: map[string]string{}}
		wait.Go(func() { writers[n].run(60) })
	}
	for round := range 6 {
		w.rotateOrRollBack(d, round)
	}
	wait.Wait()
	retired := w.retired(d)
	w.sweepKeys(d, store.SweepOptions{Reindex: true}, store.Budget{})
	_, err := w.VerifyKeysets(always, runner, d, retired, nil)
	w.must(err)
	w.wantStocked(60)
	for _, b := range writers {
		b.wantAll()
	}
}

// rotateOrRollBack rotates; every second time it goes back in the middle of the
// sweep, and the new keys are destroyed.
func (w *world) rotateOrRollBack(d store.KeyDomain, round int) {
	w.t.Helper()
	old := w.inForce(d, bothKinds)
	refs, err := w.AddKeysets(always, runner, d, bothKinds)
	w.must(err)
	w.must(w.PromoteKeysets(always, runner, d, refs))
	o := store.SweepOptions{Reindex: true, Reseal: round%3 == 0}
	gone := old
	if round%2 == 1 {
		s := w.Sweeper(runner, d, o)
		for range 3 {
			_, err := s.Step(always, store.Budget{Entries: 11}, nil)
			w.must(err)
		}
		w.must(w.PromoteKeysets(always, runner, d, old))
		gone = refs
	}
	w.sweepKeys(d, o, store.Budget{Entries: 23})
	_, err = w.VerifyKeysets(always, runner, d, gone, nil)
	w.must(err)
	w.must(w.DisableKeysets(always, runner, d, gone))
	w.must(w.DestroyKeysets(always, runner, d, gone))
}

// retired returns every key of a domain that is not in force.
func (w *world) retired(d store.KeyDomain) (refs []envelope.KeyRef) {
	w.t.Helper()
	for _, k := range w.inventory(d).Keys {
		for _, p := range bothKinds {
			if id, err := envelope.ParseKeyID(k.KeyID); k.Purpose == p.String() && k.State != "primary" {
				w.must(err)
				refs = append(refs, envelope.KeyRef{Purpose: p, Generation: k.Generation, KeyID: id})
			}
		}
	}
	return refs
}

// busyWriter writes records of its own and remembers what was acknowledged.
type busyWriter struct {
	w   *world
	n   int
	has map[string]string // external id by record; every one is unique
}

func (b *busyWriter) run(times int) {
	for i := range times {
		id := fmt.Sprintf("w%d-%d", b.n, i%17)
		value := fmt.Sprintf("w%d-%d", b.n, i)
		in := input(fmt.Sprintf(`{"email":"w@b.c","external_id":%q,"card":"%d"}`, value, i))
		ref := store.RecordRef{CollectionRef: customers, Record: id}
		switch {
		case i%5 == 4:
			b.check(ignoreAbsent(second(b.w.DeleteRecord(always, b.w.root, ref, store.WriteOptions{}))))
			delete(b.has, id)
		default:
			b.check(second(b.w.PutRecord(always, b.w.root, ref, in, store.WriteOptions{})))
			b.has[id] = value
			b.wantUnique(value)
		}
		b.wantFound(id)
	}
}

func ignoreAbsent(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

func (b *busyWriter) check(err error) {
	if err != nil {
		b.w.t.Errorf("writer %d: %v", b.n, err)
	}
}

// wantUnique tries to write a value that a record has into another one.
func (b *busyWriter) wantUnique(value string) {
	in := input(fmt.Sprintf(`{"email":"w@b.c","external_id":%q}`, value))
	_, err := b.w.CreateRecord(always, b.w.root, customers, in, store.WriteOptions{})
	if !errors.Is(err, store.ErrUniqueConflict) {
		b.w.t.Errorf("a second record with the unique value %s: %v", value, err)
	}
}

// wantFound reads a record by its unique value, and every one of the writer
// through the index.
func (b *busyWriter) wantFound(id string) {
	value, ok := b.has[id]
	if !ok {
		return
	}
	where := []schema.Value{{Path: "external_id", JSON: fmt.Appendf(nil, "%q", value)}}
	rec, err := b.w.LookupRecord(always, b.w.root, customers, where, store.ReadOptions{})
	if err != nil || rec.ID != id {
		b.w.t.Errorf("%s of %s leads to %q: %v", value, id, rec.ID, err)
	}
}

func (b *busyWriter) wantAll() {
	for id := range b.has {
		b.wantFound(id)
	}
}

// TestAVerifyingScanFindsWhatTheCountersDoNot plants a value under the old key,
// as nobody but a writer of the disk can.
func TestAVerifyingScanFindsWhatTheCountersDoNot(t *testing.T) {
	for _, table := range []kv.Table{kv.DEKs, kv.Tokens, kv.Index} {
		t.Run(table.String(), func(t *testing.T) {
			w := newWorld(t, storetest.Options{Unchecked: true})
			w.stock(5)
			d := w.domain("acme")
			old := w.inForce(d, bothKinds)
			key, value := w.someOf(table)
			refs, err := w.AddKeysets(always, runner, d, bothKinds)
			w.must(err)
			w.must(w.PromoteKeysets(always, runner, d, refs))
			w.sweepKeys(d, store.SweepOptions{Reindex: true}, store.Budget{})
			w.must(w.Engine.Update(always, kv.Interactive, 1, func(tx kv.Tx) error { tx.Put(table, key, value); return nil }))
			scan, err := w.VerifyKeysets(always, runner, d, old, nil)
			var left *store.LeftBehind
			if !errors.As(err, &left) || !errors.Is(err, store.ErrConflict) || scan.Left != 1 || scan.Counted != 0 {
				t.Errorf("%+v, %v", scan, err)
			}
			if table != kv.Index && (left == nil || len(left.Scan.Named) != 1) {
				t.Errorf("it is not named: %v", err)
			}
		})
	}
}

// someOf returns an entry of a table.
func (w *world) someOf(table kv.Table) (key, value []byte) {
	w.must(w.Engine.View(always, func(tx kv.ReadTx) error {
		tx.Scan(table, nil, nil, func(k, v []byte) bool {
			key, value = append([]byte{}, k...), append([]byte{}, v...)
			return false
		})
		return nil
	}))
	return key, value
}
