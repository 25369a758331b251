package envelope

import (
	"fmt"
	"math"

	"strongroom/internal/uid"
)

// System is the opened keysets of the system domain. It seals the control
// plane: roles, clients, schemas and so on, never a record's values. Like a
// Domain it does not change, is safe for concurrent use and is not to be kept.
type System struct {
	store   uid.UID
	sealing *ring
	mac     *macKey
}

func newSystem(store uid.UID, all []generation) (*System, error) {
	sealing, mac, err := openPair(all, PurposeSystem, PurposeSystemMAC)
	if err != nil {
		return nil, err
	}
	return &System{store, sealing, mac}, nil
}

// Generation returns the generations that Seal and MAC use.
func (s *System) Generation() (sealing, mac uint32) {
	return s.sealing.generation, s.mac.generation
}

// Seal seals a control-plane value for its place: what was sealed as one kind,
// id and version does not open as another. The layout is that of keyed.
func (s *System) Seal(kind, id string, version uint64, plaintext []byte) ([]byte, error) {
	b := borrow()
	associated := appendControl(*b, s.store, kind, id, version)
	defer giveBack(b, associated)
	return s.sealing.seal(plaintext, associated)
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

// MAC returns the HMAC-SHA256 of the parts under the system's PRF key. The
// encoding of purpose and parts is injective, so no two lists of parts share a
// MAC but by chance. It fails when there are more than 253 parts, or one of
// 4 GiB or more.
func (s *System) MAC(purpose string, parts ...[]byte) ([macSize]byte, error) {
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
	sum := [macSize]byte(s.mac.compute(input, macSize))
	clear(input[mark:])
	giveBack(b, input)
	return sum, nil
}
