package envelope

import (
	"fmt"
	"math"
	"slices"

	"strongroom/internal/uid"
)

// System is the opened keysets of the system domain. It seals the control
// plane: roles, clients, schemas and so on, never a record's values. Like a
// Domain it does not change, is safe for concurrent use and is not to be kept.
type System struct {
	store   uid.UID
	sealing *ring
	mac     *macKeys
}

func newSystem(store uid.UID, all []generation) (*System, error) {
	sealing, mac, err := openPair(all, PurposeSystem, PurposeSystemMAC)
	if err != nil {
		return nil, err
	}
	return &System{store, sealing, mac}, nil
}

// Generation returns the primary generations, which Seal and MAC use.
func (s *System) Generation() (sealing, mac uint32) {
	return s.sealing.primary.Generation, s.mac.primary.Generation
}

// KeyID returns the id of the key that Seal seals under: what KeyIDOf finds in
// a value.
func (s *System) KeyID() uint32 { return s.sealing.primary.KeyID }

// Keys returns every key of the system domain, newest first of each purpose.
func (s *System) Keys() []KeyRef { return slices.Concat(s.sealing.refs, s.mac.refs) }

// MACGenerations returns the generations under which a MAC may stand, the
// primary first: whoever looks for one looks under each.
func (s *System) MACGenerations() []uint32 { return slices.Clone(s.mac.open) }

// Seal seals a control-plane value for its place: what was sealed as one kind,
// id and version does not open as another. The layout is that of keyed.
func (s *System) Seal(kind, id string, version uint64, plaintext []byte) ([]byte, error) {
	b := borrow()
	associated := appendControl(*b, s.store, kind, id, version)
	defer giveBack(b, associated)
	return s.sealing.seal(nil, plaintext, associated)
}

// Open opens what Seal sealed. Errors are those of Domain.Open, with the
// damage DamageControl.
func (s *System) Open(kind, id string, version uint64, sealed []byte) ([]byte, error) {
	k, err := decodeKeyed(sealed, PartControl)
	if err != nil {
		return nil, err
	}
	b := borrow()
	associated := appendControl(*b, s.store, kind, id, version)
	defer giveBack(b, associated)
	return s.sealing.open(k, associated, PartControl, DamageControl)
}

// MAC returns the HMAC-SHA256 of the parts under the system's primary PRF key.
// The encoding of purpose and parts is injective, so no two lists of parts share a
// MAC but by chance. It fails when there are more than 253 parts, or one of
// 4 GiB or more.
func (s *System) MAC(purpose string, parts ...[]byte) ([macSize]byte, error) {
	return s.MACAt(s.mac.primary.Generation, purpose, parts...)
}

// MACAt is MAC under the key of a generation that may be an older one. One that
// is disabled, or that the system domain does not have, is ErrKeyDisabled.
func (s *System) MACAt(generation uint32, purpose string, parts ...[]byte) ([macSize]byte, error) {
	key := s.mac.at(generation)
	if key == nil {
		return [macSize]byte{}, fmt.Errorf("envelope: MAC under generation %d: %w", generation, ErrKeyDisabled)
	}
	if len(parts) > maxParts-2 {
		return [macSize]byte{}, fmt.Errorf("envelope: MAC of %d parts: at most %d", len(parts), maxParts-2)
	}
	b := borrow()
	input := appendTag(*b, tagMAC, 2+len(parts))
	input = appendUID(input, s.store)
	input = appendPart(input, purpose)
	mark := len(input)
	for _, p := range parts {
		if uint64(len(p)) > math.MaxUint32 {
			return [macSize]byte{}, fmt.Errorf("envelope: MAC of a part of %d bytes: want less than 4 GiB", len(p))
		}
		input = appendPart(input, p)
	}
	sum := [macSize]byte(compute(key, input, macSize))
	clear(input[mark:])
	giveBack(b, input)
	return sum, nil
}
