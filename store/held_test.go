package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"strongroom/envelope"
	"strongroom/store"
	"strongroom/store/kv"
	"strongroom/store/storetest"
)

// holding is an engine in which writers wait between the sealing of what they
// write and its commit: those that bring a heldBy in their context, once each.
type holding struct{ kv.Engine }

type heldBy struct {
	once    sync.Once
	arrived chan<- struct{}
	release <-chan struct{}
}

func (e *holding) Update(ctx context.Context, class kv.Class, size int, fn func(kv.Tx) error) error {
	if h, ok := ctx.Value(heldBy{}).(*heldBy); ok {
		h.once.Do(func() {
			h.arrived <- struct{}{}
			<-h.release
		})
	}
	return e.Engine.Update(ctx, class, size, fn)
}

// heldWriter is a request that is held at the worst moment.
type heldWriter struct {
	name string
	do   func(ctx context.Context, w *world, id string) error
	want string // of the record's email afterwards; "": it is gone
}

const heldCopies = 3 // of each writer

// heldWriters write to records of their own, of which heldStock has made two
// revisions, or to new ones.
var heldWriters = []heldWriter{
	{"create", func(ctx context.Context, w *world, id string) error {
		return second(w.CreateRecord(ctx, w.root, customers, heldInput(id, "new"), store.WriteOptions{}))
	}, "new"},
	{"create with a key", func(ctx context.Context, w *world, id string) error {
		return second(w.CreateRecord(ctx, w.root, customers, heldInput(id, "keyed"), heldKeyed(id)))
	}, "keyed"},
	{"put", func(ctx context.Context, w *world, id string) error {
		return second(w.PutRecord(ctx, w.root, heldRef(id), heldInput(id, "put"), store.WriteOptions{}))
	}, "put"},
	{"patch", func(ctx context.Context, w *world, id string) error {
		return second(w.PatchRecord(ctx, w.root, heldRef(id), input(`{"email":"patched"}`), store.WriteOptions{}))
	}, "patched"},
	{"upsert", func(ctx context.Context, w *world, id string) error {
		return second(w.UpsertRecord(ctx, w.root, customers, heldInput(id, "upserted"), store.UpsertOptions{Key: "external_id", OnConflict: store.Replace}))
	}, "upserted"},
	{"roll back", func(ctx context.Context, w *world, id string) error {
		return second(w.RollbackRecord(ctx, w.root, heldRef(id), 1, store.WriteOptions{}))
	}, "first"},
	{"import", func(ctx context.Context, w *world, id string) error {
		return w.importHeld(ctx, heldInput(id, "imported"))
	}, "imported"},
	{"delete", func(ctx context.Context, w *world, id string) error {
		return second(w.DeleteRecord(ctx, w.root, heldRef(id), store.WriteOptions{}))
	}, ""},
	{"expunge", func(ctx context.Context, w *world, id string) error { return w.ExpungeRecord(ctx, w.root, heldRef(id)) }, ""},
}

func heldRef(id string) store.RecordRef { return store.RecordRef{CollectionRef: customers, Record: id} }

func heldInput(id, email string) store.RecordInput {
	in := input(fmt.Sprintf(`{"email":%q,"external_id":%q}`, email, id))
	in.ID = id
	return in
}

func heldKeyed(id string) store.WriteOptions {
	return store.WriteOptions{IdempotencyKey: id, Route: "create", Request: []byte(id)}
}

func (w *world) importHeld(ctx context.Context, in store.RecordInput) error {
	n := 0
	next := func() (store.ImportLine, bool) { n++; return store.ImportLine{Number: n}, n == 1 }
	var line error
	o := store.ImportOptions{Decode: func([]byte) (store.RecordInput, error) { return in, nil }}
	err := w.ImportRecords(ctx, w.root, customers, o, next, func(r store.ImportResult) error { line = r.Err; return nil })
	return errors.Join(line, err)
}

// hold begins requests, waits until each of them has sealed what it writes, runs
// between, and lets them go on. It returns what they say.
func (w *world) hold(between func(), requests ...func(ctx context.Context) error) []error {
	w.t.Helper()
	arrived, release := make(chan struct{}), make(chan struct{})
	answers := make([]error, len(requests))
	var wait sync.WaitGroup
	for i, do := range requests {
		ctx := context.WithValue(always, heldBy{}, &heldBy{arrived: arrived, release: release})
		wait.Go(func() { answers[i] = do(ctx) })
		<-arrived
	}
	between()
	close(release)
	wait.Wait()
	return answers
}

func holdingWorld(t *testing.T) *world {
	w := newWorld(t, storetest.Options{})
	w.Deps.Engine = &holding{w.Engine}
	w.Reopen()
	return w
}

// keyLives are what becomes of the keys of a domain while writers are held, as a
// rotation does it, one after the other.
var keyLives = map[string]func(w *world, d store.KeyDomain, purposes []envelope.Purpose){
	"promoted": func(w *world, d store.KeyDomain, purposes []envelope.Purpose) { w.promoteNew(d, purposes) },
	"swept": func(w *world, d store.KeyDomain, purposes []envelope.Purpose) {
		w.promoteNew(d, purposes)
		w.sweepKeys(d, store.SweepOptions{Reindex: !d.System(), Reseal: true}, store.Budget{})
	},
	"disabled": func(w *world, d store.KeyDomain, purposes []envelope.Purpose) {
		old := w.inForce(d, purposes)
		w.promoteNew(d, purposes)
		w.sweepKeys(d, store.SweepOptions{Reindex: !d.System()}, store.Budget{})
		w.must(w.DisableKeysets(always, runner, d, old))
	},
	"destroyed": func(w *world, d store.KeyDomain, purposes []envelope.Purpose) {
		w.rotate(d, purposes, store.SweepOptions{Reindex: !d.System()})
	},
	"destroyed twice": func(w *world, d store.KeyDomain, purposes []envelope.Purpose) {
		w.rotate(d, purposes, store.SweepOptions{Reindex: !d.System(), Reseal: true})
		w.rotate(d, purposes, store.SweepOptions{Reindex: !d.System()})
	},
	"rolled back": func(w *world, d store.KeyDomain, purposes []envelope.Purpose) {
		old := w.inForce(d, purposes)
		made := w.promoteNew(d, purposes)
		w.must(w.PromoteKeysets(always, runner, d, old))
		w.sweepKeys(d, store.SweepOptions{Reindex: !d.System()}, store.Budget{})
		w.must(w.DestroyKeysets(always, runner, d, made))
	},
}

func (w *world) promoteNew(d store.KeyDomain, purposes []envelope.Purpose) []envelope.KeyRef {
	w.t.Helper()
	made, err := w.AddKeysets(always, runner, d, purposes)
	w.must(err)
	w.must(w.PromoteKeysets(always, runner, d, made))
	return made
}

// wantOnlyPrimaries sweeps what the writers did not write, and proves that
// nothing is under any other key than the primary ones.
func (w *world) wantOnlyPrimaries(d store.KeyDomain, purposes []envelope.Purpose) {
	w.t.Helper()
	w.sweepKeys(d, store.SweepOptions{Reindex: !d.System()}, store.Budget{})
	var others []envelope.KeyRef
	for _, k := range w.inventory(d).Keys {
		for _, p := range purposes {
			if id, err := envelope.ParseKeyID(k.KeyID); k.Purpose == p.String() && k.State != "primary" {
				w.must(err)
				others = append(others, envelope.KeyRef{Purpose: p, Generation: k.Generation, KeyID: id})
			}
		}
	}
	_, err := w.VerifyKeysets(always, runner, d, others, nil)
	w.must(err)
}

// TestWritersHeldWhileKeysEnd holds writers of every kind, several at once,
// between sealing and commit, until the keys that they have sealed under are
// retired, disabled or destroyed. Each write is made again and acknowledged,
// and reads as it was written; what is unique stays it.
func TestWritersHeldWhileKeysEnd(t *testing.T) {
	for name, end := range keyLives {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := holdingWorld(t)
			d := w.domain("acme")
			var requests []func(ctx context.Context) error
			want := map[string]string{}
			for n, writer := range heldWriters {
				for i := range heldCopies {
					id := fmt.Sprintf("h%d-%d", n, i)
					w.stockHeld(writer, id)
					want[id] = writer.want
					requests = append(requests, func(ctx context.Context) error { return writer.do(ctx, w, id) })
				}
			}
			for i, err := range w.hold(func() { end(w, d, bothKinds) }, requests...) {
				if err != nil {
					t.Errorf("%s: %v", heldWriters[i/heldCopies].name, err)
				}
			}
			if n := w.Stats().StaleWrites; n < uint64(len(requests)) {
				t.Errorf("%d writes were refused as stale, of %d", n, len(requests))
			}
			for range 2 {
				w.wantHeld(want)
				w.wantOnlyPrimaries(d, bothKinds)
				w.Reopen()
			}
		})
	}
}

// stockHeld makes two revisions of a record that a writer is about to change.
func (w *world) stockHeld(writer heldWriter, id string) {
	w.t.Helper()
	switch writer.name {
	case "create", "create with a key", "import":
		return
	}
	w.must(second(w.CreateRecord(always, w.root, customers, heldInput(id, "first"), store.WriteOptions{})))
	w.must(second(w.PutRecord(always, w.root, heldRef(id), heldInput(id, "second"), store.WriteOptions{})))
}

// wantHeld reads every record by its id and by its unique value, and repeats
// what was asked for with a key.
func (w *world) wantHeld(want map[string]string) {
	w.t.Helper()
	for id, email := range want {
		if email == "" {
			if got := w.emailOf(heldRef(id)); got != "" {
				w.t.Errorf("%s was erased and holds %s", id, got)
			}
			continue
		}
		rec, err := w.LookupRecord(always, w.root, customers, wheres("external_id", fmt.Sprintf("%q", id)), store.ReadOptions{})
		if got := w.emailOf(heldRef(id)); err != nil || rec.ID != id || got != fmt.Sprintf("%q", email) {
			w.t.Errorf("%s holds %s, want %q; looked up: %q, %v", id, got, email, rec.ID, err)
		}
		other := heldInput(id, "twin")
		other.ID = "twin-" + id
		_, err = w.CreateRecord(always, w.root, customers, other, store.WriteOptions{})
		wantErr(w.t, err, store.ErrUniqueConflict)
		if email == "keyed" {
			again, err := w.CreateRecord(always, w.root, customers, heldInput(id, "keyed"), heldKeyed(id))
			if err != nil || !again.Replayed || again.ID != id {
				w.t.Errorf("%s sent again: %+v, %v", id, again, err)
			}
		}
	}
}

// TestTwoHeldWritersOfOneUniqueValue holds two writers that want the same unique
// value under the old index key: one of them gets it.
func TestTwoHeldWritersOfOneUniqueValue(t *testing.T) {
	for name, end := range keyLives {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := holdingWorld(t)
			d := w.domain("acme")
			create := func(id string) func(ctx context.Context) error {
				return func(ctx context.Context) error {
					in := heldInput("same", id)
					in.ID = id
					return second(w.CreateRecord(ctx, w.root, customers, in, store.WriteOptions{}))
				}
			}
			answers := w.hold(func() { end(w, d, bothKinds) }, create("a"), create("b"))
			won := "a"
			if answers[0] != nil {
				won, answers[0], answers[1] = "b", answers[1], answers[0]
			}
			wantErr(t, answers[1], store.ErrUniqueConflict)
			w.must(answers[0])
			rec, err := w.LookupRecord(always, w.root, customers, wheres("external_id", `"same"`), store.ReadOptions{})
			if err != nil || rec.ID != won {
				t.Errorf("looked up: %q, %v; %s was acknowledged", rec.ID, err, won)
			}
			w.wantOnlyPrimaries(d, bothKinds)
		})
	}
}
