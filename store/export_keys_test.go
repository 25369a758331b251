package store

import (
	"context"
	"maps"

	"strongroom/envelope"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// domainForTest returns the uid of an integration, uid.Zero for "".
func (s *Store) domainForTest(integration string) uid.UID {
	if in := s.catalog.Load().integrations[integration]; in != nil {
		return in.doc.UID
	}
	return uid.Zero
}

// AddKeyForTest gives a domain, "" for that of the system, a pending key.
func (s *Store) AddKeyForTest(ctx context.Context, integration string, p envelope.Purpose, generation uint32) error {
	domain := s.domainForTest(integration)
	set, _, err := envelope.NewKeyset(ctx, s.keys, s.id, domain, p, generation, nil)
	if err != nil {
		return err
	}
	return s.stateForTest(ctx, integration, domain, p, generation, set.State, []envelope.WrappedKeyset{set})
}

// SetKeyForTest changes what a key may do; 0 destroys it.
func (s *Store) SetKeyForTest(ctx context.Context, integration string, p envelope.Purpose, generation uint32, to envelope.KeyState) error {
	return s.stateForTest(ctx, integration, s.domainForTest(integration), p, generation, to, nil)
}

// stateForTest changes the tables and the catalog, and leaves the domains that
// are held as they are: a write has to notice by itself.
func (s *Store) stateForTest(ctx context.Context, integration string, domain uid.UID, p envelope.Purpose, n uint32, to envelope.KeyState, sets []envelope.WrappedKeyset) error {
	var g generation
	err := s.engine.Update(ctx, kv.Interactive, 1024, func(tx kv.Tx) error {
		g = generationOf(tx, domain, readKeysets(tx, domain)).with(p, n, to)
		putKeysets(tx, domain, sets)
		if to == 0 {
			tx.Delete(kv.Keysets, keysetKey(domain, envelope.WrappedKeyset{Purpose: p, Generation: n}))
		}
		putGeneration(tx, domain, g)
		return nil
	})
	if err != nil || domain.IsZero() {
		return err
	}
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	next := s.catalog.Load().next()
	changed := next.integrations[integration].changed()
	changed.generation = g
	next.replaceIntegration(changed)
	s.catalog.Store(next)
	return nil
}

// RefreshForTest opens a domain anew.
func (s *Store) RefreshForTest(ctx context.Context, integration string) error {
	return s.domains.Refresh(ctx, s.domainForTest(integration))
}

// KeyCountsForTest returns what the counters of a collection say.
func (s *Store) KeyCountsForTest(ctx context.Context, ref CollectionRef) (deks, tokens map[uint32]uint64, err error) {
	return s.KeyCountsOfForTest(ctx, s.catalog.Load().collectionOf(ref).doc.UID)
}

// KeyCountsOfForTest is KeyCountsForTest of a collection that may be gone.
func (s *Store) KeyCountsOfForTest(ctx context.Context, c uid.UID) (deks, tokens map[uint32]uint64, err error) {
	err = s.engine.View(ctx, func(tx kv.ReadTx) error { deks, tokens = keyCounts(tx, c); return nil })
	return deks, tokens, err
}

// SystemCountsForTest returns what the counters of the system domain say.
func (s *Store) SystemCountsForTest(ctx context.Context) (control, macs map[uint32]uint64, err error) {
	err = s.engine.View(ctx, func(tx kv.ReadTx) error { control, macs = systemCounts(tx); return nil })
	return control, macs, err
}

// GenerationForTest decodes a value of the Generations table and encodes it
// again; ok is false for one that has no layout.
func GenerationForTest(b []byte) (again []byte, states map[string]string, ok bool) {
	g, err := decodeGeneration(b)
	if err != nil {
		return nil, nil, false
	}
	states = maps.Collect(func(yield func(string, string) bool) {
		for _, k := range g.keys() {
			if !yield(k.purpose.String()+string(rune('0'+k.generation%10)), g.state(k.purpose, k.generation).String()) {
				return
			}
		}
	})
	return g.encode(), states, true
}
