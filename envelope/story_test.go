package envelope

import (
	"errors"
	"testing"
	"time"
)

// eventually waits for what a background refresh does.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to pass: " + what)
		}
	}
}

// settled waits until no opening is under way.
func (f *fixture) settled() {
	f.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		f.mu.Lock()
		idle := len(f.flights) == 0
		for _, r := range f.refused {
			idle = idle && !r.trying
		}
		f.mu.Unlock()
		for _, h := range *f.held.Load() {
			idle = idle && !h.refreshing.Load()
		}
		if idle {
			return
		}
		if time.Now().After(deadline) {
			f.t.Fatal("an opening does not end")
		}
	}
}

// pass lets time go by in steps of a quarter of Refresh, as the real keeper
// sees it, using the domain all the while when it is in use.
func (f *fixture) pass(d time.Duration, inUse bool) {
	f.t.Helper()
	step := f.o.Refresh / 4
	for ; d > 0; d -= step {
		f.clock.advance(step)
		if inUse {
			_, _ = f.Open(f.t.Context(), f.integration)
			f.settled() // a refresh that is under way may or may not be met by the sweep
		}
		f.sweep()
		f.settled()
	}
}

func (f *fixture) wantEvent(kind EventKind) Event {
	f.t.Helper()
	select {
	case e := <-f.events:
		if e.Kind != kind || e.Integration != f.integration {
			f.t.Fatalf("event %q of %s (%v), want %q of %s", e.Kind, e.Integration, e.Err, kind, f.integration)
		}
		return e
	case <-time.After(10 * time.Second):
		f.t.Fatalf("no event %q", kind)
	}
	return Event{}
}

func (f *fixture) wantNoEvent() {
	f.t.Helper()
	select {
	case e := <-f.events:
		f.t.Fatalf("event %q, want none", e.Kind)
	default:
	}
}

func (f *fixture) wantOpen(want error) {
	f.t.Helper()
	if _, err := f.Open(f.t.Context(), f.integration); !errors.Is(err, want) {
		f.t.Fatalf("Open: %v, want %v", err, want)
	}
}
