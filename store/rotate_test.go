package store_test

import (
	"fmt"
	"testing"

	"strongroom/envelope"
	"strongroom/internal/schema"
	"strongroom/store"
	"strongroom/store/storetest"
)

var (
	runner    = store.Internal("rotate")
	bothKinds = []envelope.Purpose{envelope.PurposeWrapping, envelope.PurposeIndex}
	systems   = []envelope.Purpose{envelope.PurposeSystem, envelope.PurposeSystemMAC}
)

// domain returns the key domain of an integration; "" is the system domain.
func (w *world) domain(integration string) store.KeyDomain {
	w.t.Helper()
	all, err := w.KeyDomains(w.root)
	w.must(err)
	for _, d := range all {
		if d.Integration == integration {
			return d
		}
	}
	w.t.Fatalf("there is no key domain %q", integration)
	return store.KeyDomain{}
}

// inForce returns the primary keys of a domain, for the purposes.
func (w *world) inForce(d store.KeyDomain, purposes []envelope.Purpose) []envelope.KeyRef {
	w.t.Helper()
	var refs []envelope.KeyRef
	for _, k := range w.inventory(d).Keys {
		for _, p := range purposes {
			if id, err := envelope.ParseKeyID(k.KeyID); k.Purpose == p.String() && k.State == "primary" {
				w.must(err)
				refs = append(refs, envelope.KeyRef{Purpose: p, Generation: k.Generation, KeyID: id})
			}
		}
	}
	return refs
}

func (w *world) inventory(d store.KeyDomain) store.DomainKeys {
	w.t.Helper()
	all, err := w.Store.Keys(always, w.root)
	w.must(err)
	for _, k := range all {
		if k.KeyDomain == d {
			return k
		}
	}
	w.t.Fatalf("%s is not in the inventory", d)
	return store.DomainKeys{}
}

// sweepKeys sweeps a domain to its end and returns the sums.
func (w *world) sweepKeys(d store.KeyDomain, o store.SweepOptions, b store.Budget) store.SweepDelta {
	w.t.Helper()
	s, sum := w.Sweeper(runner, d, o), store.SweepDelta{}
	for !sum.Done {
		delta, err := s.Step(always, b, nil)
		w.must(err)
		sum.Scanned += delta.Scanned
		sum.Rewrapped += delta.Rewrapped
		sum.Resealed += delta.Resealed
		sum.Reindexed += delta.Reindexed
		sum.Stale += delta.Stale
		sum.Damaged += delta.Damaged
		sum.Done = delta.Done
	}
	return sum
}

// rotate adds keys, promotes them, sweeps, verifies and destroys the old ones.
func (w *world) rotate(d store.KeyDomain, purposes []envelope.Purpose, o store.SweepOptions) store.SweepDelta {
	w.t.Helper()
	old := w.inForce(d, purposes)
	refs, err := w.AddKeysets(always, runner, d, purposes)
	w.must(err)
	w.must(w.PromoteKeysets(always, runner, d, refs))
	sum := w.sweepKeys(d, o, store.Budget{Entries: 7})
	_, err = w.VerifyKeysets(always, runner, d, old, nil)
	w.must(err)
	w.must(w.DisableKeysets(always, runner, d, old))
	w.must(w.DestroyKeysets(always, runner, d, old))
	return sum
}

// stock fills the customers with so many records, some of them with two revisions.
func (w *world) stock(n int) {
	w.t.Helper()
	for i := range n {
		in := input(fmt.Sprintf(`{"email":"a%d@b.c","external_id":"x%d","card":"%d"}`, i, i, i))
		in.ID = fmt.Sprintf("r%03d", i)
		ref := store.RecordRef{CollectionRef: customers, Record: in.ID}
		w.must(second(w.CreateRecord(always, w.root, customers, in, store.WriteOptions{})))
		if i%3 == 0 {
			w.must(second(w.PatchRecord(always, w.root, ref, input(`{"card":"again"}`), store.WriteOptions{})))
		}
	}
}

// wantStocked reads what stock has written, by id and by its unique value.
func (w *world) wantStocked(n int) {
	w.t.Helper()
	for i := range n {
		ref := store.RecordRef{CollectionRef: customers, Record: fmt.Sprintf("r%03d", i)}
		if got, want := w.emailOf(ref), fmt.Sprintf(`"a%d@b.c"`, i); got != want {
			w.t.Errorf("%s holds %s, want %s", ref.Record, got, want)
		}
		where := []schema.Value{{Path: "external_id", JSON: fmt.Appendf(nil, `"x%d"`, i)}}
		rec, err := w.LookupRecord(always, w.root, customers, where, store.ReadOptions{})
		if err != nil || rec.ID != ref.Record {
			w.t.Errorf("looked up %s by its unique value: %q, %v", ref.Record, rec.ID, err)
		}
	}
}

func TestARotationLeavesNothingUnderTheOldKeys(t *testing.T) {
	for name, c := range map[string]struct {
		o        store.SweepOptions
		purposes []envelope.Purpose
		want     store.SweepDelta
	}{
		"wrapping keys": {store.SweepOptions{}, bothKinds[:1], store.SweepDelta{Rewrapped: 27, Done: true}},
		"index keys":    {store.SweepOptions{Reindex: true}, bothKinds[1:], store.SweepDelta{Reindexed: 20, Done: true}},
		"both":          {store.SweepOptions{Reindex: true}, bothKinds, store.SweepDelta{Rewrapped: 27, Reindexed: 20, Done: true}},
		"data":          {store.SweepOptions{Reindex: true, Reseal: true}, bothKinds, store.SweepDelta{Resealed: 27, Reindexed: 20, Done: true}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, storetest.Options{})
			w.stock(20)
			d := w.domain("acme")
			got := w.rotate(d, c.purposes, c.o)
			got.Scanned = 0
			if got != c.want {
				t.Errorf("the sweep did %+v, want %+v", got, c.want)
			}
			w.wantStocked(20)
			w.Reopen()
			w.wantStocked(20)
			for _, k := range w.inventory(d).Keys {
				if k.Generation == 1 && k.State != store.KeyDestroyed && len(c.purposes) == 2 || k.State == store.KeyDestroyed && k.Values > 0 {
					t.Errorf("the inventory has %+v", k)
				}
			}
		})
	}
}
