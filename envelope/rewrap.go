package envelope

import (
	"crypto/sha256"
)

// SealedField is a field of a stored revision: Text is what Seal made of it.
type SealedField struct {
	Path string
	Text []byte
}

// Rewrap opens a wrapped DEK and seals it anew under the domain's primary key,
// for the same revision. Whatever key it is under, the present one included,
// the result is under the present one. The fields stay as they are. Errors are
// those of Open.
func (m *Domain) Rewrap(id Identity, header, wrappedDEK []byte) ([]byte, error) {
	return m.RewrapDigest(id, sha256.Sum256(header), wrappedDEK, nil)
}

// RewrapDigest is Rewrap for a header of which the caller has the SHA-256. It
// appends the new wrapped DEK to dst, which may be nil; what is returned shares
// no memory with wrappedDEK. It is what a sweep calls for every value, from as
// many goroutines as it likes.
func (m *Domain) RewrapDigest(id Identity, digest [sha256.Size]byte, wrappedDEK, dst []byte) ([]byte, error) {
	if err := m.owns(id); err != nil {
		return nil, err
	}
	k, err := decodeWrappedDEK(wrappedDEK)
	if err != nil {
		return nil, err
	}
	b := borrow()
	associated := appendPart(appendIdentity(*b, tagDEK, id), digest[:])
	defer giveBack(b, associated)
	dek, err := m.wrapping.open(k, associated, PartWrappedKey, DamageWrappedKey)
	if err != nil {
		return nil, err
	}
	defer clear(dek)
	return m.wrapping.seal(dst, dek, associated)
}

// Reseal opens a stored revision, every field of it, and seals it anew for the
// same place: a fresh DEK, under the domain's primary key. No value leaves this
// package. The fields come back in their order. Errors are those of Open and of
// Opener.Field.
func (m *Domain) Reseal(id Identity, header, wrappedDEK []byte, fields []SealedField) (Sealed, error) {
	o, err := m.Open(id, header, wrappedDEK)
	if err != nil {
		return Sealed{}, err
	}
	size := 0
	for i := range fields {
		size += len(fields[i].Text)
	}
	values := make([]byte, 0, size) // a sealed field is longer than its value, so this never moves
	defer func() { clear(values[:cap(values)]) }()
	opened := make([]Field, len(fields))
	for i, f := range fields {
		start := len(values)
		if values, err = appendField(o, values, f); err != nil {
			return Sealed{}, err
		}
		opened[i] = Field{Path: f.Path, Value: values[start:]}
	}
	return m.Seal(id, header, opened)
}

// appendField appends a field's value. On an error dst comes back as it was, so
// that its owner can still zero it.
func appendField(o Opener, dst []byte, f SealedField) ([]byte, error) {
	next, err := o.Field(dst, f.Path, f.Text)
	if err != nil {
		return dst, err
	}
	return next, nil
}

// Reseal opens a control-plane value and seals it anew for the same place under
// the primary key. Errors are those of Open.
func (s *System) Reseal(kind, id string, version uint64, sealed []byte) ([]byte, error) {
	value, err := s.Open(kind, id, version, sealed)
	if err != nil {
		return nil, err
	}
	defer clear(value)
	return s.Seal(kind, id, version, value)
}
