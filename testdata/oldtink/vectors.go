package main

import "encoding/hex"

// Hex is bytes that JSON shows in hexadecimal.
type Hex []byte

// MarshalText writes hexadecimal digits.
func (h Hex) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

// UnmarshalText reads hexadecimal digits.
func (h *Hex) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// Vectors is what one library wrote and the other must read. Every key in it
// is a test's. Package envelope's tests have the same shape.
type Vectors struct {
	MadeBy string
	KEK    Hex // AES-256-GCM key that wraps the keysets
	AEAD   *Keyset
	PRF    *Keyset
	Field  *Raw
}

// Keyset is a keyset, wrapped under the KEK, and what it was used for.
type Keyset struct {
	Associated Hex // associated data of the wrapping
	Wrapped    Hex // encrypted_keyset of Tink's EncryptedKeyset
	Cases      []Case
}

// Raw is an AES-256-GCM key outside of any keyset: a DEK.
type Raw struct {
	Key   Hex
	Cases []Case
}

// Case is one sealed value, or one PRF output: then Associated is empty and
// Out may be cut.
type Case struct {
	In, Associated, Out Hex
}
