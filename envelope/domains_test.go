package envelope

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"strongroom/internal/uid"
	"strongroom/vaultkeys"
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

func TestAHeldDomainAsksNoKeyService(t *testing.T) {
	f := newFixture(t, Options{})
	first := f.domain()
	for range 100 {
		if f.domain() != first {
			t.Fatal("another domain")
		}
	}
	if n := f.keys.Unwraps(); n != 1 {
		t.Errorf("%d calls of the key service, want 1", n)
	}
}

func TestAHitAllocatesNothing(t *testing.T) {
	f := newFixture(t, Options{})
	f.domain()
	ctx := t.Context()
	n := testing.AllocsPerRun(100, func() {
		if _, err := f.Open(ctx, f.integration); err != nil {
			t.Error(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func TestManyCallersOpenADomainOnce(t *testing.T) {
	f := newFixture(t, Options{})
	f.keys.Delay(20 * time.Millisecond)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := f.Open(t.Context(), f.integration); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := f.keys.Unwraps(); n != 1 {
		t.Errorf("%d calls of the key service, want 1", n)
	}
}

func TestADomainInUseIsRefreshedAndAnIdleOneLapses(t *testing.T) {
	f := newFixture(t, Options{})
	f.domain()
	f.pass(10*time.Minute, true)
	if n := f.keys.Unwraps(); n < 15 || n > 21 {
		t.Errorf("%d calls of the key service in 10 minutes of use, want about 20", n)
	}
	before := f.keys.Unwraps()
	f.pass(14*time.Minute, false)
	if n := f.keys.Unwraps() - before; n > 1 {
		t.Errorf("%d calls for an idle domain, want at most the last one that is due", n)
	}
	f.pass(2*time.Minute, false)
	if n := len(*f.held.Load()); n != 0 {
		t.Errorf("%d domains in memory after the lease, want none", n)
	}
	f.wantNoEvent()
}

// The first use after a pause is served from memory and has the domain
// refreshed, so that a key that was deleted meanwhile serves once more at most.
func TestUseAfterAPauseRefreshes(t *testing.T) {
	f := newFixture(t, Options{})
	f.domain()
	f.clock.advance(10 * time.Minute)
	must(t, f.keys.Destroy(t.Context(), vaultkeys.IntegrationKey(f.store, f.integration)))
	f.domain()
	f.settled()
	f.wantOpen(vaultkeys.ErrKeyNotFound)
}

func TestARefusalDropsADomainAtOnce(t *testing.T) {
	f := newFixture(t, Options{})
	f.domain()
	f.keys.Refuse(true)
	f.pass(30*time.Second, true)
	f.wantOpen(vaultkeys.ErrRefused)
	if e := f.wantEvent(EventRefused); !errors.Is(e.Err, vaultkeys.ErrRefused) {
		t.Errorf("the event's error: %v", e.Err)
	}
	if h := f.Health(); len(h) != 0 {
		t.Errorf("a refused domain is listed as degraded: %v", h)
	}
	f.keys.Refuse(false)
	f.domain()
	f.wantNoEvent()
}

func TestADeletedKeyIsNoticedByARefresh(t *testing.T) {
	f := newFixture(t, Options{})
	f.domain()
	must(t, f.keys.Destroy(t.Context(), vaultkeys.IntegrationKey(f.store, f.integration)))
	if err := f.Refresh(t.Context(), f.integration); !errors.Is(err, vaultkeys.ErrKeyNotFound) {
		t.Errorf("Refresh: %v", err)
	}
	f.wantOpen(vaultkeys.ErrKeyNotFound)
	f.wantOpen(vaultkeys.ErrRefused)
}

func TestAnOutageIsServedThroughUntilTheHardCap(t *testing.T) {
	f := newFixture(t, Options{})
	f.domain()
	confirmed := f.clock.Now()
	f.keys.Unavailable(true)
	f.pass(time.Minute, true)
	e := f.wantEvent(EventDegraded)
	if want := confirmed.Add(time.Hour); !e.Until.Equal(want) || !errors.Is(e.Err, vaultkeys.ErrUnavailable) {
		t.Errorf("degraded until %s by %v, want until %s", e.Until, e.Err, want)
	}
	f.pass(58*time.Minute, true)
	f.wantOpen(nil)
	h := f.Health()
	if len(h) != 1 || h[0].Integration != f.integration || !h[0].Serving || h[0].Reason == "" ||
		!h[0].Until.Equal(confirmed.Add(time.Hour)) || h[0].Since.Sub(confirmed) > time.Minute {
		t.Errorf("health %+v", h)
	}
	f.wantNoEvent()

	f.pass(time.Minute, true)
	f.wantOpen(vaultkeys.ErrUnavailable)
	f.wantEvent(EventExpired)
	if h := f.Health(); len(h) != 1 || h[0].Serving {
		t.Errorf("health after the hard cap %+v", h)
	}
	for _, h := range *f.held.Load() {
		if g := h.grant.Load(); g.keys != (opened{}) {
			t.Error("keys are in memory after the hard cap")
		}
	}

	f.keys.Unavailable(false)
	f.pass(time.Minute, false)
	f.wantEvent(EventRecovered)
	f.wantOpen(nil)
	if h := f.Health(); len(h) != 0 {
		t.Errorf("health after the recovery %+v", h)
	}
	f.wantNoEvent()
}

func TestAShortOutageRecovers(t *testing.T) {
	f := newFixture(t, Options{})
	f.domain()
	f.keys.Unavailable(true)
	f.pass(5*time.Minute, true)
	f.wantEvent(EventDegraded)
	f.keys.Unavailable(false)
	f.pass(time.Minute, false) // tried again although nobody uses it
	f.wantEvent(EventRecovered)
	if h := f.Health(); len(h) != 0 {
		t.Errorf("health %+v", h)
	}
	f.wantOpen(nil)
}

// A refusal while the key service was thought to be away ends the domain too.
func TestARefusalEndsADegradedDomain(t *testing.T) {
	f := newFixture(t, Options{})
	f.domain()
	f.keys.Unavailable(true)
	f.pass(20*time.Minute, true)
	f.wantEvent(EventDegraded)
	f.keys.Unavailable(false)
	f.keys.Refuse(true)
	f.pass(time.Minute, true)
	f.wantEvent(EventRefused)
	f.wantOpen(vaultkeys.ErrRefused)
}

func TestALapsedDomainIsNotBroughtBackByAnOutage(t *testing.T) {
	f := newFixture(t, Options{})
	f.domain()
	f.clock.advance(16 * time.Minute) // the keeper did not look meanwhile
	f.keys.Unavailable(true)
	f.wantOpen(vaultkeys.ErrUnavailable)
	f.wantOpen(vaultkeys.ErrUnavailable)
	f.wantNoEvent()
}

func TestAColdStartWithoutTheKeyServiceFails(t *testing.T) {
	f := newFixture(t, Options{})
	f.keys.Unavailable(true)
	f.wantOpen(vaultkeys.ErrUnavailable)
	if _, err := f.System(t.Context()); !errors.Is(err, vaultkeys.ErrUnavailable) {
		t.Errorf("System: %v", err)
	}
	f.keys.Unavailable(false)
	f.wantOpen(nil)
	f.system()
}

func TestAHungKeyServiceEndsAtTheDeadline(t *testing.T) {
	f := newFixture(t, Options{Deadline: 30 * time.Millisecond})
	f.keys.Delay(time.Hour)
	start := time.Now()
	f.wantOpen(vaultkeys.ErrUnavailable)
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("it took %s", d)
	}
}

func TestACallersEndIsNotTheOpeningsEnd(t *testing.T) {
	f := newFixture(t, Options{})
	f.source.read, f.source.hold = make(chan struct{}, 1), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := f.Open(ctx, f.integration)
		done <- err
	}()
	<-f.source.read
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || errors.Is(err, vaultkeys.ErrUnavailable) {
		t.Errorf("the caller that left: %v", err)
	}
	close(f.source.hold)
	eventually(t, "the domain is held", func() bool { return len(*f.held.Load()) == 1 })
}

func TestAFailingSourceDoesNotEndALease(t *testing.T) {
	f := newFixture(t, Options{})
	f.domain()
	f.source.mu.Lock()
	f.source.fail = errors.New("the disk is gone")
	f.source.mu.Unlock()
	f.pass(14*time.Minute, true)
	f.wantOpen(nil)
	f.pass(2*time.Minute, true)
	f.wantOpen(f.source.fail)
	f.wantNoEvent()
}

// A refresh that was asked for after a change must not be answered by an
// opening that read before the change.
func TestRefreshDoesNotJoinAnOlderOpening(t *testing.T) {
	f := newFixture(t, Options{})
	r := newRotation(f)
	r.store(r.wrapped())
	read, hold := make(chan struct{}, 1), make(chan struct{})
	f.source.mu.Lock()
	f.source.read, f.source.hold = read, hold
	f.source.mu.Unlock()
	go func() { _, _ = f.Open(context.Background(), f.integration) }()
	<-read // the opening has read generation 1
	f.source.mu.Lock()
	f.source.read, f.source.hold = nil, nil
	f.source.mu.Unlock()
	r.add()
	r.store(r.wrapped())
	done := make(chan error)
	go func() { done <- f.Refresh(t.Context(), f.integration) }()
	time.AfterFunc(10*time.Millisecond, func() { close(hold) })
	must(t, <-done)
	if n, _ := f.domain().Generation(); n != 2 {
		t.Errorf("generation %d after the refresh, want 2", n)
	}
}

func TestADroppedDomainIsNotBroughtBackByAnOlderOpening(t *testing.T) {
	f := newFixture(t, Options{})
	f.source.read, f.source.hold = make(chan struct{}, 1), make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = f.Open(context.Background(), f.integration)
	}()
	<-f.source.read
	f.Drop(f.integration)
	close(f.source.hold)
	<-done
	f.settled()
	if n := len(*f.held.Load()); n != 0 {
		t.Errorf("%d domains held, want none", n)
	}
}

func TestTheLeastRecentlyUsedDomainMakesWay(t *testing.T) {
	f := newFixture(t, Options{Capacity: 2})
	f.system()
	a, b, c := f.integration, f.addIntegration(), f.addIntegration()
	for _, integration := range []uid.UID{a, b, a, c} { // b is the least recently used one when c comes
		f.clock.advance(time.Second)
		_, err := f.Open(t.Context(), integration)
		must(t, err)
	}
	held := *f.held.Load()
	if len(held) != 3 || held[a] == nil || held[c] == nil || held[uid.Zero] == nil {
		t.Errorf("%d domains held; the first %t, the second %t, the third %t, the system's %t",
			len(held), held[a] != nil, held[b] != nil, held[c] != nil, held[uid.Zero] != nil)
	}
	_, err := f.Open(t.Context(), b)
	must(t, err)
}

func TestOneDomainsTroubleIsNotAnothers(t *testing.T) {
	f := newFixture(t, Options{})
	f.domain()
	other := f.addIntegration()
	_, err := f.Open(t.Context(), other)
	must(t, err)
	must(t, f.keys.Destroy(t.Context(), vaultkeys.IntegrationKey(f.store, f.integration)))
	_ = f.Refresh(t.Context(), f.integration)
	f.wantOpen(vaultkeys.ErrKeyNotFound)
	_, err = f.Open(t.Context(), other)
	must(t, err)
}

func TestClosedDomainsOpenNothing(t *testing.T) {
	f := newFixture(t, Options{})
	f.domain()
	f.Close()
	f.wantOpen(ErrClosed)
	if err := f.Refresh(t.Context(), f.integration); !errors.Is(err, ErrClosed) {
		t.Errorf("Refresh: %v", err)
	}
	f.Close() // again
}

// The keeper runs by itself, on the real clock.
func TestTheKeeperNoticesADeletedKey(t *testing.T) {
	f := newFixture(t, Options{Now: time.Now, Refresh: 20 * time.Millisecond})
	f.domain()
	time.Sleep(5 * time.Millisecond)
	f.domain()
	must(t, f.keys.Destroy(t.Context(), vaultkeys.IntegrationKey(f.store, f.integration)))
	if e := f.wantEvent(EventRefused); !errors.Is(e.Err, vaultkeys.ErrKeyNotFound) {
		t.Errorf("the event's error: %v", e.Err)
	}
	f.wantOpen(vaultkeys.ErrKeyNotFound)
}

// Everything at once, for the race detector: whatever happens, a caller gets a
// domain or an error of the key service.
func TestDomainsUnderFire(t *testing.T) {
	f := newFixture(t, Options{Now: time.Now, Refresh: 4 * time.Millisecond, Lease: 8 * time.Millisecond,
		HardCap: 12 * time.Millisecond, Capacity: 2})
	f.o.OnEvent = func(Event) {}
	all := []uid.UID{f.integration, f.addIntegration(), f.addIntegration()}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := i; ctx.Err() == nil; n++ {
				m, err := f.Open(context.Background(), all[n%3])
				if (m == nil) == (err == nil) || err != nil && !errors.Is(err, vaultkeys.ErrUnavailable) && !errors.Is(err, vaultkeys.ErrRefused) {
					t.Errorf("domain %t, error %v", m != nil, err)
					return
				}
				f.Health()
			}
		})
	}
	wg.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			f.keys.Unavailable(n%5 == 1)
			f.keys.Refuse(n%7 == 2)
			f.Drop(all[n%3])
			_ = f.Refresh(ctx, all[n%3])
			time.Sleep(time.Millisecond)
		}
	})
	wg.Wait()
}
