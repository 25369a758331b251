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
