package envelope

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// KeyRef names one key of a domain: one generation of a purpose has one key.
// KeyID is what a value sealed under it begins with, and is different from
// every other of its purpose in the domain.
type KeyRef struct {
	Purpose    Purpose
	Generation uint32
	KeyID      uint32
	State      KeyState
}

// keyRefText is a KeyRef as documents hold it:
//
//	{"purpose": "wrapping", "generation": 2, "key_id": "0a1b2c3d", "state": "primary"}
type keyRefText struct {
	Purpose    string   `json:"purpose"`
	Generation uint32   `json:"generation"`
	KeyID      string   `json:"key_id"`
	State      KeyState `json:"state,omitzero"`
}

var purposeNames = map[Purpose]string{
	PurposeWrapping: "wrapping", PurposeIndex: "index", PurposeSystem: "system", PurposeSystemMAC: "system_mac",
}

// FormatKeyID writes a key id as everything shows it: 8 hexadecimal digits.
func FormatKeyID(id uint32) string { return fmt.Sprintf("%08x", id) }

// ParseKeyID is the inverse of FormatKeyID.
func ParseKeyID(text string) (uint32, error) {
	id, err := strconv.ParseUint(text, 16, 32)
	if err != nil || FormatKeyID(uint32(id)) != text {
		return 0, errors.New("a key id is 8 hexadecimal digits in lower case")
	}
	return uint32(id), nil
}

// MarshalJSON writes the reference as documents hold it.
func (r KeyRef) MarshalJSON() ([]byte, error) {
	name, ok := purposeNames[r.Purpose]
	if !ok {
		return nil, fmt.Errorf("envelope: a key of the unknown purpose %d", uint8(r.Purpose))
	}
	return json.Marshal(keyRefText{name, r.Generation, FormatKeyID(r.KeyID), r.State})
}

// UnmarshalJSON is the inverse of MarshalJSON.
func (r *KeyRef) UnmarshalJSON(raw []byte) error {
	var t keyRefText
	if err := json.Unmarshal(raw, &t); err != nil {
		return err
	}
	id, err := ParseKeyID(t.KeyID)
	if err != nil {
		return err
	}
	for p, name := range purposeNames {
		if name == t.Purpose {
			*r = KeyRef{p, t.Generation, id, t.State}
			return nil
		}
	}
	return errors.New("envelope: a key of an unknown purpose")
}

// KeyIDOf returns the key id that a wrapped DEK or a control-plane value names.
// It needs no key and proves nothing about the value.
func KeyIDOf(sealed []byte) (uint32, error) {
	k, err := decodeKeyed(sealed, PartWrappedKey)
	return k.keyID, err
}

// ref returns the reference of an opened generation: that of the key which its
// keyset seals under.
func (g *generation) ref() (KeyRef, error) {
	e, err := g.handle.Primary()
	if err != nil {
		return KeyRef{}, damagedKeyset(nil)
	}
	return KeyRef{g.purpose, g.number, e.KeyID(), g.state}, nil
}
