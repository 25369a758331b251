package store_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"strongroom/internal/schema"
	"strongroom/store"
	"strongroom/store/kv"
)

// Many readers, and one use fewer than them: each use is had once.
func TestTheLastUseIsHadOnce(t *testing.T) {
	ctx, w := context.Background(), newVault(t)
	const readers, uses = 24, 7
	id := w.approval("reader", spec(func(s *store.ApprovalSpec) { s.Uses = uses }))
	c := w.with("reader", "refund", id)
	var had atomic.Int32
	var group sync.WaitGroup
	for range readers {
		group.Go(func() {
			rec, err := w.GetRecord(ctx, c, w.ref, store.ReadOptions{})
			if err != nil {
				t.Error(err)
			} else if strings.Contains(string(schema.Join(rec.Fields)), pinOfAll) {
				had.Add(1)
			}
		})
	}
	group.Wait()
	if had.Load() != uses {
		t.Errorf("%d reads saw the pin, the approval was for %d", had.Load(), uses)
	}
}

// tripping is an engine that fails what it is told to, before or after it is done.
type tripping struct {
	kv.Engine
	view   error // of the next View
	before error // of the next Update, which is not done
	after  error // of the next Update, which is done
}

func (f *tripping) View(ctx context.Context, fn func(kv.ReadTx) error) error {
	if err := f.view; err != nil {
		f.view = nil
		return err
	}
	return f.Engine.View(ctx, fn)
}

func (f *tripping) Update(ctx context.Context, class kv.Class, size int, fn func(kv.Tx) error) error {
	if err := f.before; err != nil {
		f.before = nil
		return err
	}
	err := f.Engine.Update(ctx, class, size, fn)
	if after := f.after; err == nil && after != nil {
		f.after = nil
		return after
	}
	return err
}

// A use is counted before the value leaves: whatever fails in between, no use
// is had for nothing.
func TestAUseIsCountedBeforeTheValueLeaves(t *testing.T) {
	for what, c := range map[string]struct {
		fail func(*tripping)
		want error
		left int
	}{
		"a crash after the count":    {func(f *tripping) { f.view = kv.ErrClosed }, store.ErrNotPersisted, 2},
		"a count that failed":        {func(f *tripping) { f.before = kv.ErrNotPersisted }, store.ErrNotPersisted, 3},
		"a count of unknown outcome": {func(f *tripping) { f.after = kv.ErrOutcomeUnknown }, store.ErrOutcomeUnknown, 2},
	} {
		t.Run(what, func(t *testing.T) {
			w := newVault(t)
			id := w.approval("reader", spec(func(s *store.ApprovalSpec) { s.Uses = 3 }))
			engine := &tripping{Engine: w.Engine}
			w.Deps.Engine = engine
			w.Reopen()
			caller := w.with("reader", "refund", id)
			c.fail(engine)
			rec, err := w.GetRecord(context.Background(), caller, w.ref, store.ReadOptions{})
			if err == nil || len(rec.Fields) > 0 {
				t.Fatalf("the read answers %v, %v", rec, err)
			}
			if c.want != nil && what != "a crash after the count" {
				wantErr(t, err, c.want)
			}
			if left := w.left(id); left != c.left {
				t.Errorf("%d uses are left, want %d", left, c.left)
			}
			w.Reopen()
			for range c.left {
				w.shows(caller, w.ref, allOfIt)
			}
			w.shows(caller, w.ref, notNumber)
		})
	}
}

// The ETag of what was shown under an approval is not that of what is shown
// without.
func TestTheETagTellsAnApprovedReadApart(t *testing.T) {
	w := newVault(t)
	id := w.approval("reader", spec())
	seen := map[string]bool{}
	for _, c := range []store.Caller{w.as("reader"), w.with("reader", "refund", ""), w.with("reader", "refund", id)} {
		seen[w.get(c, w.ref).ETag] = true
	}
	if len(seen) != 3 {
		t.Errorf("three ways of reading have %d tags", len(seen))
	}
}
