package envelope

import (
	"bytes"
	"context"

	"strongroom/internal/uid"
)

// Restate takes what the keys of a domain may do as it is stored now. It asks
// the key service only where it has to: keysets whose bytes are those that were
// opened are not opened again, so that a key that was promoted, disabled or
// destroyed while the key service is away stops nobody. A domain that is not
// held within its term, or has a keyset that was not opened, is refreshed. It
// follows every change of states; the lease runs on as it was.
func (d *Domains) Restate(ctx context.Context, integration uid.UID) error {
	if err := d.waitOut(ctx, integration); err != nil {
		return err
	}
	sets, err := d.src.Keysets(ctx, integration)
	if err != nil {
		return err
	}
	if d.restate(integration, sets) {
		return nil
	}
	return d.Refresh(ctx, integration)
}

// restate gives a held domain the states of its stored keysets; false when
// that takes the key service, or finds damage.
func (d *Domains) restate(integration uid.UID, sets []WrappedKeyset) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := (*d.held.Load())[integration]
	if d.closed || h == nil {
		return false
	}
	g := *h.grant.Load()
	all, ok := g.keys.restated(sets)
	if !ok || !g.serves(d.o.Now()) {
		return false
	}
	keys, err := d.assemble(integration, all)
	if err != nil {
		return false
	}
	g.keys = keys
	h.grant.Store(&g)
	return true
}

// restated returns the opened keysets with the states of the stored ones, newest
// first; false when one of these was not opened.
func (o opened) restated(sets []WrappedKeyset) ([]generation, bool) {
	all := make([]generation, 0, len(sets))
	for _, g := range o.all {
		for _, s := range sets {
			if s.Purpose == g.purpose && s.Generation == g.number && bytes.Equal(s.Blob, g.blob) {
				g.state = s.State
				all = append(all, g)
			}
		}
	}
	return all, len(all) == len(sets) && len(all) > 0
}
