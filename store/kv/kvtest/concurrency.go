package kvtest

import (
	"encoding/binary"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"strongroom/store/kv"
)

func exitGoroutine() { runtime.Goexit() }

// increments is the test of serialisability: what each transaction reads must
// be what the one before it wrote, although batches are undone and run again.
func increments(t *testing.T, e kv.Engine) {
	const writers, each = 16, 25
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				err := e.Update(background, kv.Class(w%2), 16, func(tx kv.Tx) error {
					increment(tx, "counter")
					if i%10 == 9 {
						return errRefused
					}
					return nil
				})
				if (err != nil) != (i%10 == 9) {
					t.Errorf("increment: %v", err)
				}
			}
		})
	}
	wg.Wait()
	view(t, e, func(tx kv.ReadTx) {
		want(t, "counter", counter(tx, "counter"), writers*(each-each/10))
	})
}

func increment(tx kv.Tx, name string) {
	tx.Put(kv.Counters, []byte(name), binary.BigEndian.AppendUint64(nil, uint64(counter(tx, name)+1)))
}

func counter(tx kv.ReadTx, name string) int {
	value := tx.Get(kv.Counters, []byte(name))
	if value == nil {
		return 0
	}
	return int(binary.BigEndian.Uint64(value))
}

// bulkNotStarved keeps interactive writers coming and sees a large bulk
// operation get through.
func bulkNotStarved(t *testing.T, e kv.Engine) {
	var stop atomic.Bool
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := 0; !stop.Load(); i++ {
				put(t, e, kv.Records, string(key(w)), "x")
			}
		})
	}
	done := make(chan error)
	go func() {
		done <- e.Update(background, kv.Bulk, 64<<20, func(tx kv.Tx) error {
			tx.Put(kv.Index, []byte("bulk"), []byte("1"))
			return nil
		})
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("bulk: %v", err)
		}
	case <-time.After(patience):
		t.Error("the bulk operation was starved")
	}
	stop.Store(true)
	wg.Wait()
}
