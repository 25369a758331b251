package store

import (
	"context"
	"fmt"
	"slices"

	"strongroom/envelope"
	"strongroom/internal/uid"
	"strongroom/store/kv"
	"strongroom/vaultkeys"
)

// KeyDomains returns the key domains that are in use: integrations that are not
// deleted, by name, and the system domain last.
func (s *Store) KeyDomains(c Caller) ([]KeyDomain, error) {
	if err := authoriseKeys(c); err != nil {
		return nil, err
	}
	cat := s.catalog.Load()
	var all []KeyDomain
	for _, name := range sortedNames(cat.integrations) {
		if in := cat.integrations[name]; in.doc.DestroyAt == nil {
			all = append(all, KeyDomain{Integration: name, UID: in.doc.UID})
		}
	}
	return append(all, KeyDomain{}), nil
}

// domainOf returns the integration that a domain is of, nil for the system
// domain. A namesake of one that is gone is another domain.
func (c *catalog) domainOf(d KeyDomain) (*integration, error) {
	if d == (KeyDomain{}) {
		return nil, nil
	}
	in := c.integrations[d.Integration]
	switch {
	case in == nil || in.doc.UID != d.UID:
		return nil, fmt.Errorf("%s: %w", d, ErrNotFound)
	case in.doc.DestroyAt != nil:
		return nil, fmt.Errorf("%s: %w", d, ErrDisabled)
	}
	return in, nil
}

// kekName names the domain's key-encryption key at the key service.
func (s *Store) kekName(d KeyDomain) vaultkeys.KeyName {
	if d.System() {
		return vaultkeys.SystemKey(s.id)
	}
	return vaultkeys.IntegrationKey(s.id, d.UID)
}

// collectionsOf returns the uids of the collections of an integration in order,
// those that are being removed too.
func (c *catalog) collectionsOf(integration uid.UID) []uid.UID {
	var all []uid.UID
	for _, in := range c.integrations {
		if in.doc.UID == integration {
			for _, coll := range in.collections {
				all = append(all, coll.doc.UID)
			}
		}
	}
	for id, p := range c.purges {
		if p.doc.Integration == integration {
			all = append(all, id)
		}
	}
	slices.SortFunc(all, func(a, b uid.UID) int { return slices.Compare(a[:], b[:]) })
	return all
}

// nameOf names a collection for people: by integration and name, also one that
// is being removed.
func (c *catalog) nameOf(id uid.UID) string {
	if coll := c.collectionByUID(id); coll != nil {
		return coll.integration.name + "/" + coll.name
	}
	if p := c.purges[id]; p != nil {
		return p.doc.Collection
	}
	return id.String()
}

// openKeys returns the keys of a domain as they are opened in memory.
func (s *Store) openKeys(ctx context.Context, d KeyDomain) ([]envelope.KeyRef, error) {
	if d.System() {
		system, err := s.domains.System(ctx)
		if err != nil {
			return nil, keyError(err)
		}
		return system.Keys(), nil
	}
	dom, err := s.domains.Open(ctx, d.UID)
	if err != nil {
		return nil, keyError(err)
	}
	return dom.Keys(), nil
}

// valuesUnder counts, by the counters, the values of a domain under a key.
func valuesUnder(tx kv.ReadTx, collections []uid.UID, key envelope.KeyRef) uint64 {
	switch key.Purpose {
	case envelope.PurposeSystem:
		control, _ := systemCounts(tx)
		return control[key.KeyID]
	case envelope.PurposeSystemMAC:
		_, macs := systemCounts(tx)
		return macs[key.Generation]
	}
	n := uint64(0)
	for _, c := range collections {
		deks, tokens := keyCounts(tx, c)
		if key.Purpose == envelope.PurposeWrapping {
			n += deks[key.KeyID]
		} else {
			n += tokens[key.Generation]
		}
	}
	return n
}
