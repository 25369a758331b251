package store_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"strongroom/store"
	"strongroom/store/kv"
	"strongroom/store/storetest"
)

// sealNothing are the changes of the control plane that only delete.
var sealNothing = []string{"delete a role", "delete a client", "delete a secret"}

// TestControlChangesHeldWhileKeysEnd is the same of the control plane and of
// idempotency keys, with the keys of the system. Another opened store rotates:
// the one that changes holds its locks meanwhile.
func TestControlChangesHeldWhileKeysEnd(t *testing.T) {
	for _, m := range controlMutations {
		for name, end := range keyLives {
			t.Run(m.name+" "+name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, storetest.Options{})
				m.setup(w)
				e := &fateful{Engine: w.Engine}
				w.Deps.Engine = e
				w.Reopen()
				other := w.beside()
				defer other.Close()
				e.before = func() { end(other, store.KeyDomain{}, systems) }
				o := store.WriteOptions{}
				if m.keyed {
					o = store.WriteOptions{IdempotencyKey: "k", Route: "r", Request: []byte("q")}
				}
				w.must(m.do(w, o))
				if w.Stats().StaleWrites == 0 && name != "rolled back" && !slices.Contains(sealNothing, m.name) {
					t.Error("nothing was refused as stale")
				}
				w.Reopen()
				if !m.done(w) {
					t.Error("it was lost")
				}
				if m.keyed {
					if err := m.do(w, o); !errors.As(err, new(*store.SecretReplayed)) {
						t.Errorf("sent again: %v", err)
					}
				}
				w.wantOnlyPrimaries(store.KeyDomain{}, systems[:1])
			})
		}
	}
}

// beside opens the store a second time, on the engine itself.
func (w *world) beside() *world {
	w.t.Helper()
	deps := w.Deps
	deps.Engine = w.Engine
	opened, err := store.Open(always, deps)
	w.must(err)
	f, other := *w.Fixture, *w
	f.Store = opened
	other.Fixture = &f
	return &other
}

// peeking is an engine in which something comes in between two views of a
// context.
type peeking struct {
	kv.Engine
	skip   int // so many views go by
	before func()
}

func (e *peeking) View(ctx context.Context, fn func(kv.ReadTx) error) error {
	if e.skip--; e.skip == -1 && e.before != nil {
		before := e.before
		e.before = nil
		before()
	}
	return e.Engine.View(ctx, fn)
}

// TestARecordErasedUnderASweepIsNotDamaged erases a record at each moment of a
// sweep's step at which one can be: it counts as stale and nobody is alarmed.
func TestARecordErasedUnderASweepIsNotDamaged(t *testing.T) {
	for _, o := range []store.SweepOptions{{Reindex: true}, {Reindex: true, Reseal: true}} {
		stale := uint64(0)
		for skip, between := 0, true; between; skip++ {
			w := newWorld(t, storetest.Options{})
			w.stock(3)
			e := &peeking{Engine: w.Engine, skip: 1 << 30}
			w.Deps.Engine = e
			w.Reopen()
			d := w.domain("acme")
			w.promoteNew(d, bothKinds)
			e.before = func() { w.must(w.ExpungeRecord(always, w.root, heldRef("r001"))) }
			e.skip = skip
			sum := w.sweepKeys(d, o, store.Budget{})
			between = e.before == nil
			stale += sum.Stale
			if n := w.Stats().IntegrityFailures; sum.Damaged > 0 || n > 0 {
				t.Errorf("erased ahead of view %d: %d values are damaged, %d alarms", skip, sum.Damaged, n)
			}
		}
		if stale == 0 {
			t.Error("no record was erased under the sweep")
		}
	}
}
