package kvtest

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"strongroom/store/kv"
)

func runSnapshots(t *testing.T, open func(t testing.TB) kv.Engine) {
	t.Run("a snapshot is one moment", func(t *testing.T) { snapshotMoment(t, open(t)) })
	t.Run("an error of emit ends the snapshot", func(t *testing.T) { snapshotError(t, open(t)) })
}

func counterValue(n int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// snapshotMoment copies while writers keep two tables equal and a counter at
// the sum of their work: a copy of more than one moment would show it.
func snapshotMoment(t *testing.T, e kv.Engine) {
	update(t, e, func(tx kv.Tx) {
		for i := range 5000 {
			tx.Put(kv.Records, key(i), counterValue(0))
			tx.Put(kv.Revisions, key(i), counterValue(0))
		}
	})
	var stop atomic.Bool
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := w; !stop.Load(); i += 37 {
				update(t, e, func(tx kv.Tx) { touch(tx, key(i%6000)) })
			}
		})
	}
	copied := snapshot(t, e)
	stop.Store(true)
	wg.Wait()
	sum := 0
	for k, v := range copied[kv.Records] {
		sum += int(binary.BigEndian.Uint64([]byte(v)))
		want(t, "twin of "+k, copied[kv.Revisions][k], v)
	}
	want(t, "twins", len(copied[kv.Revisions]), len(copied[kv.Records]))
	want(t, "sum", copied[kv.Counters]["sum"], string(counterValue(sum)))
}

// touch adds one to a key and its twin, or takes both away once in a while.
func touch(tx kv.Tx, k []byte) {
	n := 0
	if v := tx.Get(kv.Records, k); v != nil {
		n = int(binary.BigEndian.Uint64(v))
	}
	sum := counter(tx, "sum")
	if n == 3 {
		tx.Delete(kv.Records, k)
		tx.Delete(kv.Revisions, k)
		tx.Put(kv.Counters, []byte("sum"), counterValue(sum-n))
		return
	}
	tx.Put(kv.Records, k, counterValue(n+1))
	tx.Put(kv.Revisions, k, counterValue(n+1))
	tx.Put(kv.Counters, []byte("sum"), counterValue(sum+1))
}

// snapshot collects a copy, slowly enough for writes to come in between.
func snapshot(t *testing.T, e kv.Engine) shadow {
	copied, n := shadow{}, 0
	err := e.(kv.Snapshotter).Snapshot(background, func(entry kv.Entry) error {
		copied.apply(change{entry.Table, string(entry.Key), string(entry.Value), entry.Deleted})
		if n++; n%1000 == 0 {
			time.Sleep(time.Millisecond)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("snapshot: %v", err)
	}
	return copied
}

func snapshotError(t *testing.T, e kv.Engine) {
	put(t, e, kv.Records, "a", "1")
	wantError(t, e.(kv.Snapshotter).Snapshot(background, func(kv.Entry) error { return errRefused }), errRefused)
	put(t, e, kv.Records, "b", "1")
}
