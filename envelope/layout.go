package envelope

import "encoding/binary"

// Every stored value begins with a format byte. Format 1 is the first.
const format1 = 0x01

const (
	prefixSize = 5  // Tink's output prefix: 01 | key id u32be
	nonceSize  = 24 // XAES-256-GCM: salt 12 | IV 12
	ivSize     = 12 // AES-256-GCM
	tagSize    = 16 // both
	dekSize    = 32

	tinkPrefix = 0x01 // first byte of Tink's output prefix
)

// keyed is a value sealed under a key of a keyset:
//
//	+--------+----+--------------+----------+--------+------------+---------+
//	| fmt 01 | 01 | key id u32be | salt 12B | IV 12B | ciphertext | tag 16B |
//	+--------+----+--------------+----------+--------+------------+---------+
//	         '------------- XAES-256-GCM as Tink writes it -----------------'
//
// A wrapped DEK is one whose ciphertext has 32 bytes: 78 bytes in all. A
// control value is one of any size.
type keyed struct {
	keyID uint32
	text  []byte // from Tink's prefix to the tag
}

// decodeKeyed reads the layout and copies nothing. It answers the damage that
// can be seen without a key.
func decodeKeyed(b []byte, in Part) (keyed, error) {
	if len(b) < 1+prefixSize+nonceSize+tagSize || b[0] != format1 || b[1] != tinkPrefix {
		return keyed{}, &IntegrityError{Damage: DamageFormat, In: in}
	}
	return keyed{keyID: binary.BigEndian.Uint32(b[2:]), text: b[1:]}, nil
}

// decodeWrappedDEK is decodeKeyed for a value whose size is known.
func decodeWrappedDEK(b []byte) (keyed, error) {
	k, err := decodeKeyed(b, PartWrappedKey)
	if err == nil && len(b) != 1+prefixSize+nonceSize+dekSize+tagSize {
		return keyed{}, &IntegrityError{Damage: DamageFormat, In: PartWrappedKey}
	}
	return k, err
}

// decodeField reads the layout of a sealed field and returns what follows the
// format byte:
//
//	+--------+--------+------------+---------+
//	| fmt 01 | IV 12B | ciphertext | tag 16B |
//	+--------+--------+------------+---------+
//	         '- AES-256-GCM as Tink writes it, without a prefix -'
//
// The DEK that opens it is the one of its revision, so no key id is needed.
func decodeField(b []byte, path string) ([]byte, error) {
	if len(b) < 1+ivSize+tagSize || b[0] != format1 {
		return nil, &IntegrityError{Damage: DamageFormat, In: PartField, Path: path}
	}
	return b[1:], nil
}

// decodeBlob reads the layout of a wrapped keyset and returns what the key
// service sealed:
//
//	+--------+---------------------------------------------------------+
//	| fmt 01 | a serialised Tink keyset, as the key service wrapped it |
//	+--------+---------------------------------------------------------+
//
// What it was wrapped for (store, integration, purpose, generation) is its
// associated data.
func decodeBlob(b []byte) ([]byte, error) {
	if len(b) < 2 || b[0] != format1 {
		return nil, &IntegrityError{Damage: DamageFormat, In: PartKeyset}
	}
	return b[1:], nil
}

// encode puts the format byte before a sealed text: the inverse of each decode.
func encode(text []byte) []byte {
	b := make([]byte, 1+len(text))
	b[0] = format1
	copy(b[1:], text)
	return b
}
