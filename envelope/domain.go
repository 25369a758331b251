package envelope

import (
	"slices"

	"strongroom/internal/uid"
)

// Domain is the opened keysets of one integration as they were when it was
// opened. It does not change, is safe for concurrent use and calls no key
// service. Take it from Domains.Open for each operation and do not keep it:
// the lease is looked at there.
type Domain struct {
	store, integration uid.UID
	wrapping           *ring
	index              *macKeys
}

// Generation returns the primary generations, which Seal and Token use. A write
// transaction compares them with the stored ones and starts over when they
// differ.
func (m *Domain) Generation() (wrapping, index uint32) {
	return m.wrapping.primary.Generation, m.index.primary.Generation
}

// KeyID returns the id of the key that Seal wraps DEKs under: what KeyIDOf
// finds in them.
func (m *Domain) KeyID() uint32 { return m.wrapping.primary.KeyID }

// Keys returns every key of the domain, newest first of each purpose.
func (m *Domain) Keys() []KeyRef { return slices.Concat(m.wrapping.refs, m.index.refs) }

// IndexGenerations returns the generations under which a record's tokens may
// stand, the primary first: a search looks under each.
func (m *Domain) IndexGenerations() []uint32 { return slices.Clone(m.index.open) }

func (m *Domain) owns(id Identity) error {
	if id.Store != m.store || id.Integration != m.integration {
		return ErrForeign
	}
	return nil
}

func newDomain(store, integration uid.UID, all []generation) (*Domain, error) {
	wrapping, index, err := openPair(all, PurposeWrapping, PurposeIndex)
	if err != nil {
		return nil, err
	}
	return &Domain{store, integration, wrapping, index}, nil
}

// openPair opens what every domain has: AEAD keys and a PRF key.
func openPair(all []generation, aeadPurpose, prfPurpose Purpose) (*ring, *macKeys, error) {
	aeads, err := ofPurpose(all, aeadPurpose)
	if err != nil {
		return nil, nil, err
	}
	prfs, err := ofPurpose(all, prfPurpose)
	if err != nil {
		return nil, nil, err
	}
	r, err := newRing(aeads)
	if err != nil {
		return nil, nil, err
	}
	k, err := newMACKeys(prfs)
	return r, k, err
}
