package envelope

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"strongroom/envelope/envelopetest"
	"strongroom/internal/uid"
	"strongroom/vaultkeys"
)

// memory is a Source in memory. fail, when set, is what it answers.
type memory struct {
	mu   sync.Mutex
	sets map[uid.UID][]WrappedKeyset
	fail error
	hold chan struct{} // when set, Keysets has read, and waits for it before it answers
	read chan struct{} // when set, told of each call that has read
}

func (m *memory) Keysets(ctx context.Context, integration uid.UID) ([]WrappedKeyset, error) {
	m.mu.Lock()
	sets, fail, hold, read := m.sets[integration], m.fail, m.hold, m.read
	m.mu.Unlock()
	if read != nil {
		read <- struct{}{}
	}
	if hold != nil {
		<-hold
	}
	return sets, fail
}

func (m *memory) put(integration uid.UID, sets []WrappedKeyset) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sets[integration] = sets
}

// clock is a clock that stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// fixture is a store with a system domain and one integration.
type fixture struct {
	*Domains
	t           testing.TB
	keys        *envelopetest.Provider
	source      *memory
	clock       *clock
	store       uid.UID
	integration uid.UID
	events      chan Event
}

func newFixture(t testing.TB, o Options) *fixture {
	t.Helper()
	f := &fixture{
		t: t, keys: envelopetest.New(), store: uid.New(),
		source: &memory{sets: map[uid.UID][]WrappedKeyset{}},
		clock:  &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)},
		events: make(chan Event, 1000),
	}
	must(t, f.keys.Create(t.Context(), vaultkeys.SystemKey(f.store)))
	sets, err := NewSystemKeysets(t.Context(), f.keys, f.store)
	must(t, err)
	f.source.put(uid.Zero, sets)
	f.integration = f.addIntegration()
	if o.Now == nil {
		o.Now = f.clock.Now
	}
	o.OnEvent = func(e Event) { f.events <- e }
	f.Domains = NewDomains(f.store, f.keys, f.source, o)
	t.Cleanup(f.Close)
	return f
}

func (f *fixture) addIntegration() uid.UID {
	f.t.Helper()
	integration := uid.New()
	must(f.t, f.keys.Create(f.t.Context(), vaultkeys.IntegrationKey(f.store, integration)))
	sets, err := NewKeysets(f.t.Context(), f.keys, f.store, integration)
	must(f.t, err)
	f.source.put(integration, sets)
	return integration
}

func (f *fixture) domain() *Domain {
	f.t.Helper()
	m, err := f.Open(f.t.Context(), f.integration)
	must(f.t, err)
	return m
}

func (f *fixture) system() *System {
	f.t.Helper()
	s, err := f.System(f.t.Context())
	must(f.t, err)
	return s
}

func (f *fixture) identity() Identity {
	return Identity{f.store, f.integration, uid.New(), "0190a6a2-7c1b-7f3e-9a55-3f1b1e0d8c11", 7}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// add stores a new pending generation of a purpose of the integration.
func (f *fixture) add(p Purpose) (generation, keyID uint32) {
	f.t.Helper()
	return f.addTo(f.integration, p)
}

func (f *fixture) addTo(integration uid.UID, p Purpose) (generation, keyID uint32) {
	f.t.Helper()
	sets := f.stored(integration)
	for _, s := range sets {
		if s.Purpose == p {
			generation = max(generation, s.Generation)
		}
	}
	generation++
	set, keyID, err := NewKeyset(f.t.Context(), f.keys, f.store, integration, p, generation, nil)
	must(f.t, err)
	f.source.put(integration, append(sets, set))
	must(f.t, f.Refresh(f.t.Context(), integration))
	return generation, keyID
}

// stored returns a copy of what the Source hands out.
func (f *fixture) stored(integration uid.UID) []WrappedKeyset {
	f.t.Helper()
	sets, err := f.source.Keysets(f.t.Context(), integration)
	must(f.t, err)
	return slices.Clone(sets)
}

// setState changes the stored state of one generation and opens the domain anew.
func (f *fixture) setState(integration uid.UID, p Purpose, generation uint32, s KeyState) {
	f.t.Helper()
	sets := f.stored(integration)
	for i := range sets {
		if sets[i].Purpose == p && sets[i].Generation == generation {
			sets[i].State = s
		}
	}
	f.source.put(integration, sets)
}

// promote makes a generation primary and those that were so enabled.
func (f *fixture) promote(integration uid.UID, p Purpose, generation uint32) {
	f.t.Helper()
	sets := f.stored(integration)
	for i, s := range sets {
		switch {
		case s.Purpose == p && s.Generation == generation:
			sets[i].State = StatePrimary
		case s.Purpose == p && s.State != StatePending && s.State != StateDisabled:
			sets[i].State = StateEnabled
		}
	}
	f.source.put(integration, sets)
	must(f.t, f.Refresh(f.t.Context(), integration))
}
