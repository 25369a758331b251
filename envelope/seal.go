package envelope

import (
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
)

// Seal seals a revision: it makes a fresh DEK, seals each field under it,
// bound to the identity and the field's path, and wraps the DEK under the
// primary key, bound to the identity and the SHA-256 of the header. The header
// is the caller's and is stored as it is; what is not byte for byte the same
// when the revision is opened makes it unreadable.
//
// It calls no key service, so it may run inside a transaction. A carried field
// that does not open is an *IntegrityError with its path.
func (m *Domain) Seal(id Identity, header []byte, fields []Field) (Sealed, error) {
	if err := m.owns(id); err != nil {
		return Sealed{}, err
	}
	dek := make([]byte, dekSize)
	defer clear(dek)
	rand.Read(dek) // never fails: crypto/rand crashes the program instead
	cipher, err := newCipher(dek)
	if err != nil {
		return Sealed{}, fmt.Errorf("envelope: seal: %w", err)
	}
	sealed, err := sealFields(cipher, id, fields)
	if err != nil {
		return Sealed{}, err
	}
	wrapped, err := m.wrap(id, header, dek)
	if err != nil {
		return Sealed{}, err
	}
	return Sealed{DEK: wrapped, Fields: sealed}, nil
}

func (m *Domain) wrap(id Identity, header, dek []byte) ([]byte, error) {
	b := borrow()
	associated := appendDEK(*b, id, header)
	defer giveBack(b, associated)
	return m.wrapping.seal(nil, dek, associated)
}

func appendDEK(dst []byte, id Identity, header []byte) []byte {
	digest := sha256.Sum256(header)
	return appendPart(appendIdentity(dst, tagDEK, id), digest[:])
}

// sealFields seals all fields into one allocation, which they share.
func sealFields(to cipher.AEAD, id Identity, fields []Field) ([][]byte, error) {
	b := borrow()
	prefix := appendIdentity(*b, tagField, id)
	associated := prefix
	defer func() { giveBack(b, associated) }()
	arena := make([]byte, 0, sealedSize(fields))
	sealed := make([][]byte, len(fields))
	for i := range fields {
		associated = appendPart(prefix, fields[i].Path)
		start := len(arena)
		next, err := fields[i].seal(append(arena, format1), to, associated)
		if err != nil {
			return nil, err
		}
		arena = next
		sealed[i] = arena[start:len(arena):len(arena)]
	}
	return sealed, nil
}

func sealedSize(fields []Field) int {
	n := 0
	for i := range fields {
		n += max(len(fields[i].Carried), 1+ivSize+tagSize+len(fields[i].Value))
	}
	return n
}

// seal appends the sealed value to dst.
func (f *Field) seal(dst []byte, to cipher.AEAD, associated []byte) ([]byte, error) {
	value := f.Value
	if f.Carried != nil {
		carried, err := f.From.Field(nil, f.Path, f.Carried)
		if err != nil {
			return nil, err
		}
		defer clear(carried)
		value = carried
	}
	return to.Seal(dst, nil, value, associated), nil
}
