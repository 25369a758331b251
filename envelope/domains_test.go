package envelope

import (
	"errors"
	"testing"
	"time"

	"strongroom/internal/uid"
)

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
