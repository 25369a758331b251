package store_test

import (
	"context"
	"testing"
	"time"

	"strongroom/store"
	"strongroom/store/kv"
	"strongroom/store/storetest"
)

// TestForegroundCountsRequests looks at what clients' requests took, by the
// test's clock.
func TestForegroundCountsRequests(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	if got := w.Foreground(); got != (store.Load{}) {
		t.Errorf("nothing was asked, and the load is %+v", got)
	}
	w.now = w.now.Add(time.Hour)
	ref := w.create(`{"email":"a@b.c"}`)
	for range 198 {
		w.read(w.root, ref)
	}
	slow := func(d time.Duration) *fateful {
		return &fateful{Engine: w.Engine, before: func() { w.now = w.now.Add(d) }}
	}
	if got := w.Foreground(); got.P99 > 8*time.Microsecond || got.Rate != 199 || got.InFlight != 0 {
		t.Errorf("199 requests that took no time: %+v", got)
	}
	for range 3 {
		w.Deps.Engine = slow(20 * time.Millisecond)
		s, err := store.Open(always, w.Deps)
		w.must(err)
		w.must(second(s.PatchRecord(always, w.root, ref, input(`{"card":"1"}`), store.WriteOptions{})))
		got := s.Foreground()
		if got.P99 < 20*time.Millisecond || got.P99 > 25*time.Millisecond {
			t.Errorf("one request of 20 ms: %+v", got)
		}
		w.must(s.Close())
	}
	w.now = w.now.Add(time.Minute)
	if got := w.Foreground(); got.P99 != 0 || got.Rate != 0 {
		t.Errorf("a minute later: %+v", got)
	}
}

// TestForegroundTellsWhatIsUnderWay looks at the load from within a write.
func TestForegroundTellsWhatIsUnderWay(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	var during store.Load
	e := &looking{Engine: w.Engine}
	w.Deps.Engine = e
	w.Reopen()
	e.look = func() { during = w.Foreground() }
	w.create(`{"email":"a@b.c"}`)
	e.look = nil
	if after := w.Foreground(); during.InFlight != 1 || after.InFlight != 0 {
		t.Errorf("%d were under way, and %d afterwards", during.InFlight, after.InFlight)
	}
}

// looking is an engine that calls look ahead of each write.
type looking struct {
	kv.Engine
	look func()
}

func (e *looking) Update(ctx context.Context, class kv.Class, size int, fn func(kv.Tx) error) error {
	if e.look != nil {
		e.look()
	}
	return e.Engine.Update(ctx, class, size, fn)
}
