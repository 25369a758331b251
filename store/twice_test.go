package store_test

import (
	"context"
	"testing"
	"time"

	"strongroom/store"
	"strongroom/store/kv"
	"strongroom/store/storetest"
)

// twice is an engine that undoes every transaction once and runs it again, as
// one does whose batch was undone because of another.
type twice struct{ kv.Engine }

func (e *twice) Update(ctx context.Context, class kv.Class, size int, fn func(kv.Tx) error) error {
	err := e.Engine.Update(ctx, class, size, func(tx kv.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return errUndone
	})
	if err != errUndone {
		return err
	}
	return e.Engine.Update(ctx, class, size, fn)
}

// TestTransactionsRunTwice runs every transaction of every method twice: what
// the first run left in memory must not count.
func TestTransactionsRunTwice(t *testing.T) {
	for _, m := range append(append([]mutation{}, mutations...), controlMutations...) {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, storetest.Options{})
			w.Deps.Engine = &twice{w.Engine}
			w.Reopen()
			m.setup(w)
			w.must(m.do(w, store.WriteOptions{IdempotencyKey: "key", Route: m.name}))
			for range 2 {
				if !m.done(w) {
					t.Error("it is not done")
				}
				w.Reopen()
			}
			sound(t, w.Store)
		})
	}
}

// TestAPurgeRunsTwice removes a collection of which more waits to be erased
// than one transaction looks at.
func TestAPurgeRunsTwice(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	const lines = 2500
	n := 0
	next := func() (store.ImportLine, bool) { n++; return store.ImportLine{Number: n}, n <= lines }
	decode := func([]byte) (store.RecordInput, error) {
		in := input(`{"email":"a@b.c"}`)
		in.EraseAt = store.TimeChange{Given: true, Time: w.now.Add(time.Hour)}
		return in, nil
	}
	w.must(w.ImportRecords(always, w.root, customers, store.ImportOptions{Decode: decode}, next, func(r store.ImportResult) error { return r.Err }))
	w.Deps.Engine = &twice{w.Engine}
	w.Reopen()
	w.must(w.DeleteCollection(always, w.root, customers))
	w.must(second(w.Sweep(always)))
	for _, table := range kv.Tables() {
		left := w.count(table)
		if table == kv.Counters {
			left -= systemCounters
		}
		if table > kv.Generations && table != kv.Operations && left > 0 {
			t.Errorf("%d entries are left in table %s", left, table)
		}
	}
}

// systemCounters is how many counters belong to no collection: that of control
// values under the one key of the system.
const systemCounters = 1

func (w *world) count(table kv.Table) (n int) {
	w.must(w.Engine.View(always, func(tx kv.ReadTx) error {
		n = 0
		tx.Scan(table, nil, nil, func(_, _ []byte) bool { n++; return true })
		return nil
	}))
	return n
}
