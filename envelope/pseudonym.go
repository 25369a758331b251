package envelope

// Pseudonym returns 128 bits of a PRF of a value under the integration's
// primary index key: equal values of one integration have equal ones, in
// whatever field and collection they stand, and whoever has no key can neither
// find a value to a pseudonym nor check a guess. It has nothing in common with
// a Token of the same value. A new index key changes all pseudonyms.
func (m *Domain) Pseudonym(value []byte) (out [16]byte) {
	b := borrow()
	input := appendTag(*b, tagPseudonym, 3)
	input = appendUID(input, m.store)
	input = appendUID(input, m.integration)
	mark := len(input)
	input = appendPart(input, value)
	copy(out[:], compute(m.index.prf, input, len(out)))
	clear(input[mark:])
	giveBack(b, input)
	return out
}
