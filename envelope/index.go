package envelope

import (
	"math/bits"

	"strongroom/internal/uid"
)

// UniqueBits is the size of the token of a unique field: enough that two
// values never share one by chance. Equal values have equal tokens, which
// whoever reads the disk can see.
const UniqueBits = 128

// defaultExpected is the number of records that is assumed when none is said.
const defaultExpected = 1_000_000

// Token is a blind index token: the top bits of a PRF of a field's normalised
// value, in ceil(bits/8) bytes, the rest zero. It is what stands in the index.
type Token []byte

// Token returns the token of a value under the domain's primary index key. bits
// is IndexBits of the collection or UniqueBits. The PRF's input has store,
// integration, collection and path too: the same value elsewhere has an
// unrelated token. It panics when bits is not in 1..128.
func (m *Domain) Token(collection uid.UID, path string, normalised []byte, bits int) Token {
	return m.TokenAt(m.index.primary.Generation, collection, path, normalised, bits)
}

// TokenAt is Token under the key of a generation that may be an older one. It
// is nil for one that is disabled, or that the domain does not have: no value
// has a token there.
func (m *Domain) TokenAt(generation uint32, collection uid.UID, path string, normalised []byte, bits int) Token {
	key := m.index.at(generation)
	if key == nil {
		return nil
	}
	if bits < 1 || bits > UniqueBits {
		panic("envelope: a token has 1 to 128 bits")
	}
	b := borrow()
	input := appendTag(*b, tagIndex, 5)
	input = appendUID(input, m.store)
	input = appendUID(input, m.integration)
	input = appendUID(input, collection)
	input = appendPart(input, path)
	mark := len(input)
	input = appendPart(input, normalised)
	t := Token(compute(key, input, (bits+7)/8))
	clear(input[mark:])
	giveBack(b, input)
	if spare := len(t)*8 - bits; spare > 0 {
		t[len(t)-1] &= 0xff << spare
	}
	return t
}

// IndexBits returns the length L of the tokens of a collection that expects
// this many records, R, so that 2 <= R/2^L < sqrt(R) (the rule for blind
// indexes of CipherSweet): a token is shared by enough records that it does
// not give a value away, and by few enough that looking through them is cheap.
//
// For 64 records and more R/2^L lies in [4, 8), so that a collection that grew
// to half of what was expected still keeps two records a token. From 16 to 63
// it lies in [2, 4). Below that no length fits the rule and the token has one
// bit. Zero stands for the default of one million.
func IndexBits(expectedRecords uint64) int {
	if expectedRecords == 0 {
		expectedRecords = defaultExpected
	}
	log2 := bits.Len64(expectedRecords) - 1
	switch {
	case expectedRecords >= 64:
		return log2 - 2
	case expectedRecords >= 16:
		return log2 - 1
	}
	return 1
}
