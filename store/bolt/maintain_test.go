package bolt

import (
	"context"
	"fmt"
	"testing"
	"time"

	"strongroom/store/kv"
)

// TestCopiesGiveUpWhenLost: after a commit of unknown outcome the changes that
// were logged may be wrong.
func TestCopiesGiveUpWhenLost(t *testing.T) {
	var f faults
	o := f.options()
	var e *Engine
	o.hooks.step = func(step string) error {
		if step != "copied" {
			return nil
		}
		f.shut.Store(true)
		f.after.Store(1)
		wantError(t, put(e, kv.Records, "a", "2"), kv.ErrOutcomeUnknown)
		f.shut.Store(false)
		eventually(t, "healing", func() bool { return put(e, kv.Records, "b", "1") == nil })
		return nil
	}
	e = create(t, o)
	mustPut(t, e, kv.Records, "a", "1")
	_, err := e.Compact(background)
	wantError(t, err, errLost)
	want(t, "a", get(t, e, kv.Records, "a"), "2")
	wantOneFile(t, e)
}

func TestMaintenanceExcludesItself(t *testing.T) {
	e := create(t, Options{})
	release, err := e.Exclusive()
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.Compact(background)
	wantError(t, err, ErrBusy)
	wantError(t, e.Snapshot(background, func(kv.Entry) error { return nil }), ErrBusy)
	wantError(t, e.Check(background, nil), ErrBusy)
	_, err = e.Exclusive()
	wantError(t, err, ErrBusy)
	release()
	release() // twice does no harm
	if _, err := e.Compact(background); err != nil {
		t.Errorf("after release: %v", err)
	}
}

func TestMaintenanceEnds(t *testing.T) {
	for name, c := range map[string]struct {
		end func(e *Engine, cancel context.CancelFunc)
		err error
	}{
		"with its context": {func(_ *Engine, cancel context.CancelFunc) { cancel() }, context.Canceled},
		"with the engine":  {func(e *Engine, _ context.CancelFunc) { go e.Close(); <-e.life.Done() }, kv.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			e := create(t, Options{})
			fill(t, e, kv.Records, 3000)
			ctx, cancel := context.WithCancel(background)
			defer cancel()
			n := 0
			wantError(t, e.Snapshot(ctx, func(kv.Entry) error {
				if n++; n == 10 {
					c.end(e, cancel)
				} else if n > 10 {
					time.Sleep(time.Millisecond) // the news may take a moment
				}
				return nil
			}), c.err)
			if n >= 3000 {
				t.Error("the snapshot went on to the end")
			}
		})
	}
}

// TestSnapshotPinsNothing looks, while entries travel, for a reader that keeps
// old pages from being used again.
func TestSnapshotPinsNothing(t *testing.T) {
	e := create(t, Options{})
	fill(t, e, kv.Records, 3000)
	err := e.Snapshot(background, func(kv.Entry) error {
		if n := e.state.Load().now.Load().refs.Load(); n != 1 {
			return fmt.Errorf("%d references to the moment, want the engine's alone", n)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestSnapshotOutrun changes more with every round than the last one may have
// left.
func TestSnapshotOutrun(t *testing.T) {
	e := create(t, Options{})
	seen := 0
	mustPut(t, e, kv.Labels, "000000", "")
	wantError(t, e.Snapshot(background, func(kv.Entry) error {
		if seen++; seen%(toleratedKeys+1) != 1 {
			return nil
		}
		return churn(e)
	}), ErrOutrun)
}

func churn(e *Engine) error {
	return e.Update(background, kv.Bulk, 0, func(tx kv.Tx) error {
		for i := range toleratedKeys + 1 {
			tx.Put(kv.Labels, fmt.Appendf(nil, "%06d", i), nil)
		}
		return nil
	})
}
