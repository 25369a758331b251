package envelope

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
)

// Opener opens the fields of one revision. It is a small value, holds the
// revision's DEK, and is safe for concurrent use. The zero Opener opens
// nothing.
type Opener struct {
	cipher cipher.AEAD
	prefix []byte // associated data of a field, up to its path
}

var errZeroOpener = errors.New("envelope: a field of an Opener that Open did not return")

// Open opens a revision's DEK and with it authenticates its header: only after
// it has returned without an error may anything be decided on the header's
// labels. It calls no key service.
//
// A key id that the domain does not know is ErrUnknownKey (see there), a
// disabled one ErrKeyDisabled; anything else that does not fit is an
// *IntegrityError.
func (m *Domain) Open(id Identity, header, wrappedDEK []byte) (Opener, error) {
	if err := m.owns(id); err != nil {
		return Opener{}, err
	}
	dek, err := m.unwrap(id, header, wrappedDEK)
	if err != nil {
		return Opener{}, err
	}
	defer clear(dek)
	cipher, err := newCipher(dek)
	if err != nil {
		return Opener{}, fmt.Errorf("envelope: open: %w", err)
	}
	return Opener{cipher, appendIdentity(make([]byte, 0, fieldPrefixSize(id)), tagField, id)}, nil
}

// newCipher makes the AEAD of fields: AES-256-GCM (NIST SP 800-38D) with 96 bits
// of random nonce, under a key that seals one revision. What it writes is what
// Tink's AES-GCM does without a prefix: nonce, ciphertext, tag. It is the
// standard library's, which appends to a buffer where Tink's makes one for each
// field. It keeps the expanded key, which cannot be zeroed; the caller zeroes
// its own.
func newCipher(dek []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(dek)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// fieldPrefixSize is the size of a field's associated data up to its path.
func fieldPrefixSize(id Identity) int {
	return len(tagField) + 2 + 3*(4+len(id.Store)) + 4 + len(id.Record) + 4 + 8
}

func (m *Domain) unwrap(id Identity, header, wrappedDEK []byte) ([]byte, error) {
	k, err := decodeWrappedDEK(wrappedDEK)
	if err != nil {
		return nil, err
	}
	b := borrow()
	associated := appendDEK(*b, id, header)
	defer giveBack(b, associated)
	return m.wrapping.open(k, associated, PartWrappedKey, DamageWrappedKey)
}

// Field opens a sealed field and appends its value to dst, which may be nil.
// The path must be the one that it was sealed under. On an error nothing was
// appended and the result is nil.
func (o Opener) Field(dst []byte, path string, sealed []byte) ([]byte, error) {
	if o.cipher == nil {
		return nil, errZeroOpener
	}
	text, err := decodeField(sealed, path)
	if err != nil {
		return nil, err
	}
	b := borrow()
	associated := appendPart(append(*b, o.prefix...), path)
	value, err := o.cipher.Open(dst, nil, text, associated)
	giveBack(b, associated)
	if err != nil {
		return nil, &IntegrityError{Damage: DamageField, In: PartField, Path: path}
	}
	return value, nil
}
