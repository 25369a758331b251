package kvtest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"strongroom/store/kv"
)

func errorBeforeWrite(t *testing.T, e kv.Engine) {
	err := e.Update(background, kv.Interactive, 0, func(kv.Tx) error { return errRefused })
	wantError(t, err, errRefused)
}

func errorAfterWrite(t *testing.T, e kv.Engine) {
	put(t, e, kv.Records, "a", "1")
	err := e.Update(background, kv.Interactive, 0, func(tx kv.Tx) error {
		tx.Put(kv.Records, []byte("a"), []byte("2"))
		tx.Delete(kv.Records, []byte("a"))
		tx.Put(kv.Records, []byte("b"), []byte("2"))
		return errRefused
	})
	wantError(t, err, errRefused)
	want(t, "a", get(t, e, kv.Records, "a"), "1")
	want(t, "b", get(t, e, kv.Records, "b"), "-")
}

// blocked holds the engine's writer until release, and returns when it does:
// what is queued meanwhile shares a batch, if the engine makes batches.
func blocked(t *testing.T, e kv.Engine) (release func()) {
	started, free, done := make(chan struct{}), make(chan struct{}), make(chan error)
	var once sync.Once
	go func() {
		done <- e.Update(background, kv.Interactive, 0, func(tx kv.Tx) error {
			once.Do(func() { close(started) })
			<-free
			return nil
		})
	}()
	<-started
	return func() {
		close(free)
		if err := <-done; err != nil {
			t.Errorf("the blocking update: %v", err)
		}
	}
}

// failuresAmongOthers lets many operations share batches, of which some fail
// after they have written: those leave nothing, the others are all there.
func failuresAmongOthers(t *testing.T, e kv.Engine) {
	release := blocked(t, e)
	var wg sync.WaitGroup
	const n = 60
	runs := make([]atomic.Int32, n)
	for i := range n {
		wg.Go(func() {
			err := e.Update(background, kv.Interactive, 10, func(tx kv.Tx) error {
				runs[i].Add(1)
				tx.Put(kv.Records, key(i), []byte("x"))
				if i%7 == 3 {
					return errRefused
				}
				return nil
			})
			if failed := err != nil; failed != (i%7 == 3) {
				t.Errorf("operation %d: %v", i, err)
			}
		})
	}
	release()
	wg.Wait()
	for i := range n {
		want(t, fmt.Sprintf("operation %d is stored", i), get(t, e, kv.Records, string(key(i))) == "x", i%7 != 3)
		if runs[i].Load() == 0 {
			t.Errorf("operation %d never ran", i)
		}
	}
}

func panics(t *testing.T, e kv.Engine) {
	for _, writes := range []bool{false, true} {
		raised := func() (p any) {
			defer func() { p = recover() }()
			_ = e.Update(background, kv.Interactive, 0, func(tx kv.Tx) error {
				if writes {
					tx.Put(kv.Records, []byte("a"), []byte("1"))
				}
				panic("a bug")
			})
			return nil
		}()
		want(t, "panic", raised, any("a bug"))
	}
	want(t, "a", get(t, e, kv.Records, "a"), "-")
	put(t, e, kv.Records, "b", "1")
}

// goexit ends the goroutine within fn, as testing.T.FailNow does.
func goexit(t *testing.T, e kv.Engine) {
	for _, writes := range []bool{false, true} {
		release := blocked(t, e)
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() { put(t, e, kv.Records, fmt.Sprint("other", i), "1") })
		}
		returned := false
		wg.Go(func() {
			_ = e.Update(background, kv.Interactive, 0, func(tx kv.Tx) error {
				if writes {
					tx.Put(kv.Records, []byte("a"), []byte("1"))
				}
				exitGoroutine()
				return nil
			})
			returned = true
		})
		release()
		wg.Wait()
		want(t, "Update returned", returned, false)
	}
	want(t, "a", get(t, e, kv.Records, "a"), "-")
	want(t, "other", get(t, e, kv.Records, "other4"), "1")
}

func badKey(t *testing.T, e kv.Engine) {
	err := e.Update(background, kv.Interactive, 0, func(tx kv.Tx) error {
		tx.Put(kv.Records, []byte("good"), []byte("1"))
		tx.Put(kv.Records, nil, []byte("1"))
		return nil
	})
	if err == nil {
		t.Error("an empty key was taken")
	}
	want(t, "good", get(t, e, kv.Records, "good"), "-")
}

func endedContext(t *testing.T, e kv.Engine) {
	ctx, cancel := context.WithCancel(background)
	cancel()
	ran := false
	wantError(t, e.Update(ctx, kv.Interactive, 0, func(kv.Tx) error { ran = true; return nil }), context.Canceled)
	wantError(t, e.View(ctx, func(kv.ReadTx) error { ran = true; return nil }), context.Canceled)
	want(t, "ran", ran, false)
}

func contextWhileWaiting(t *testing.T, e kv.Engine) {
	release := blocked(t, e)
	ctx, cancel := context.WithCancel(background)
	var ran atomic.Bool
	done := make(chan error)
	go func() {
		done <- e.Update(ctx, kv.Interactive, 0, func(tx kv.Tx) error {
			ran.Store(true)
			tx.Put(kv.Records, []byte("a"), nil)
			return nil
		})
	}()
	cancel()
	wantError(t, <-done, context.Canceled) // while the writer is still held
	release()
	put(t, e, kv.Records, "b", "1")
	want(t, "ran", ran.Load(), false)
	want(t, "a", get(t, e, kv.Records, "a"), "-")
}

func contextAfterStart(t *testing.T, e kv.Engine) {
	ctx, cancel := context.WithCancel(background)
	err := e.Update(ctx, kv.Interactive, 0, func(tx kv.Tx) error {
		cancel()
		tx.Put(kv.Records, []byte("a"), []byte("1"))
		return nil
	})
	if err != nil {
		t.Errorf("update: %v", err)
	}
	want(t, "a", get(t, e, kv.Records, "a"), "1")
}

func closed(t *testing.T, e kv.Engine) {
	put(t, e, kv.Records, "a", "1")
	if err := e.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	wantError(t, e.Update(background, kv.Interactive, 0, func(kv.Tx) error { return nil }), kv.ErrClosed)
	wantError(t, e.View(background, func(kv.ReadTx) error { return nil }), kv.ErrClosed)
	if err := e.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
}
