package envelope

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"strongroom/internal/uid"
	"strongroom/vaultkeys"
)

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
	h := f.Health()
	if len(h) != 1 || h[0].Integration != f.integration || !h[0].Refused || h[0].Serving || h[0].Reason == "" {
		t.Errorf("health of a refused domain %+v", h)
	}
	f.keys.Refuse(false)
	f.domain()
	if h := f.Health(); len(h) != 0 {
		t.Errorf("health after the recovery %+v", h)
	}
	f.wantNoEvent()
}

// One that was refused is asked for again now and then, whether somebody wants
// it or not, so that Health tells how things are; one that was dropped is not.
func TestARefusedDomainIsAskedForAgain(t *testing.T) {
	f := newFixture(t, Options{})
	f.domain()
	f.keys.Refuse(true)
	f.pass(30*time.Second, true)
	f.wantEvent(EventRefused)
	since := f.Health()[0].Since
	before := f.keys.Unwraps()
	f.pass(10*time.Minute, false)
	if n := f.keys.Unwraps() - before; n < 15 || n > 21 {
		t.Errorf("it was asked for %d times in ten minutes, want about 20", n)
	}
	if h := f.Health(); len(h) != 1 || !h[0].Since.Equal(since) {
		t.Errorf("health %+v, want since %s", h, since)
	}
	f.keys.Refuse(false)
	f.pass(time.Minute, false)
	if h := f.Health(); len(h) != 0 {
		t.Errorf("health after the recovery %+v", h)
	}
	f.keys.Refuse(true)
	f.pass(time.Minute, true)
	f.Drop(f.integration)
	if h := f.Health(); len(h) != 0 {
		t.Errorf("health of a domain that was dropped %+v", h)
	}
}

// The system domain is asked for in a quiet hour as well: that is how an outage
// is noticed before somebody needs the keys.
func TestAnOutageIsNoticedInAQuietHour(t *testing.T) {
	f := newFixture(t, Options{})
	f.system()
	f.pass(time.Hour, false)
	f.keys.Unavailable(true)
	f.pass(time.Minute, false)
	if h := f.Health(); len(h) != 1 || !h[0].Integration.IsZero() || !h[0].Serving {
		t.Errorf("health %+v, want the system domain, serving on", h)
	}
	f.keys.Unavailable(false)
	f.pass(time.Minute, false)
	if h := f.Health(); len(h) != 0 {
		t.Errorf("health after the recovery %+v", h)
	}
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
	before := f.keys.Unwraps()
	f.pass(58*time.Minute, true)
	if n := f.keys.Unwraps() - before; n < 100 || n > 117 {
		t.Errorf("the key service was tried %d times in 58 minutes, want about 116", n)
	}
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

// One that failed closed and that nobody asks for any more is forgotten; the
// system domain is not: while it cannot be opened the store is not well.
func TestAFailedDomainIsForgottenTheSystemIsNot(t *testing.T) {
	f := newFixture(t, Options{})
	f.domain()
	f.system()
	f.keys.Unavailable(true)
	f.clock.advance(time.Minute)
	f.domain()
	f.system()
	f.settled()
	f.pass(time.Hour, false)
	if h := f.Health(); len(h) == 0 || !h[0].Integration.IsZero() || h[0].Serving {
		t.Errorf("health %+v, want the system domain, failed, first", h)
	}
	f.pass(time.Hour, false)
	if h := f.Health(); len(h) != 1 || !h[0].Integration.IsZero() {
		t.Errorf("health %+v, want the system domain alone", h)
	}
	f.keys.Unavailable(false)
	f.pass(time.Minute, false)
	if h := f.Health(); len(h) != 0 {
		t.Errorf("health after the recovery %+v", h)
	}
}

// A Source that gives up because the deadline passed is an unavailability too.
func TestTheDeadlineIsAnUnavailabilityWhoeverReportsIt(t *testing.T) {
	f := newFixture(t, Options{Deadline: 10 * time.Millisecond})
	f.Domains.src = slowSource{}
	f.wantOpen(vaultkeys.ErrUnavailable)
	f.wantOpen(context.DeadlineExceeded)
}

type slowSource struct{}

func (slowSource) Keysets(ctx context.Context, _ uid.UID) ([]WrappedKeyset, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// A change of states needs no key service: a domain that is held comes under it
// while that is away, for as long as it would have served anyhow. A keyset that
// was never opened is waited for, and so is one that was wrapped anew.
func TestStatesChangeDuringAnOutage(t *testing.T) {
	f := newFixture(t, Options{})
	id, first := f.identity(), f.domain().KeyID()
	old := f.sealsUnder(id, first)
	generation, second := f.add(PurposeWrapping)
	f.system()
	f.keys.Unavailable(true)

	f.promote(f.integration, PurposeWrapping, generation)
	fresh := f.sealsUnder(id, second)
	f.opens(id, old, nil)
	if h := f.Health(); len(h) != 1 || h[0].Integration != f.integration || !h[0].Serving {
		t.Errorf("health %+v", h)
	}
	f.set(PurposeWrapping, 1, StateDisabled)
	f.opens(id, old, ErrKeyDisabled)
	f.opens(id, fresh, nil)
	f.source.put(f.integration, slices.DeleteFunc(f.stored(f.integration), func(s WrappedKeyset) bool {
		return s.Purpose == PurposeWrapping && s.Generation == 1
	}))
	must(t, f.Refresh(t.Context(), f.integration))
	f.opens(id, old, ErrUnknownKey)

	whole := f.stored(f.integration)
	changed := slices.Clone(whole)
	changed[0].Blob = append([]byte{}, changed[0].Blob...)
	changed[0].Blob[len(changed[0].Blob)-1]++
	for name, sets := range map[string][]WrappedKeyset{
		"another blob":     changed,
		"a keyset more":    append(slices.Clone(whole), WrappedKeyset{PurposeWrapping, generation + 1, whole[0].Blob, StatePending}),
		"other purposes":   {{PurposeIndex, whole[0].Generation, whole[1].Blob, StatePrimary}, whole[1]},
		"none of an index": {whole[slices.IndexFunc(whole, func(s WrappedKeyset) bool { return s.Purpose == PurposeWrapping })]},
	} {
		f.source.put(f.integration, sets)
		if err := f.Refresh(t.Context(), f.integration); !errors.Is(err, vaultkeys.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
		f.opens(id, fresh, nil)
	}

	f.source.put(f.integration, whole)
	f.clock.advance(time.Hour)
	if err := f.Refresh(t.Context(), f.integration); !errors.Is(err, vaultkeys.ErrUnavailable) {
		t.Errorf("after the hard cap: %v", err)
	}
	f.wantOpen(vaultkeys.ErrUnavailable)
	f.keys.Unavailable(false)
	f.opens(id, fresh, nil)
}
