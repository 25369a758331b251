package envelope

import (
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/prf/hmacprf"
)

// macKey is the PRF that a domain computes with: the primary key of the newest
// generation of its keyset.
type macKey struct {
	generation uint32
	prf        prf.PRF
}

func newMACKey(newestFirst []generation) (*macKey, error) {
	newest := newestFirst[0]
	for _, g := range newestFirst {
		if !allHMACSHA256(g.handle) {
			return nil, damagedKeyset(nil)
		}
	}
	set, err := prf.NewPRFSet(newest.handle)
	if err != nil {
		return nil, damagedKeyset(nil)
	}
	primary, ok := set.PRFs[set.PrimaryID]
	if !ok {
		return nil, damagedKeyset(nil)
	}
	return &macKey{newest.number, primary}, nil
}

// allHMACSHA256 reports whether a keyset holds what a MAC keyset may hold. One
// of another kind would give tokens that never match, or weaker ones.
func allHMACSHA256(h *keyset.Handle) bool {
	for i := range h.Len() {
		e, err := h.Entry(i)
		if err != nil {
			return false
		}
		p, ok := e.Key().Parameters().(*hmacprf.Parameters)
		if !ok || p.HashType() != hmacprf.SHA256 || p.KeySizeInBytes() < dekSize {
			return false
		}
	}
	return h.Len() > 0
}

// macSize is the size of HMAC-SHA256's output.
const macSize = 32

// compute returns the PRF's first size bytes. It panics when Tink refuses,
// which it does for a size above macSize only.
func (k *macKey) compute(input []byte, size int) []byte {
	if size > macSize {
		panic("envelope: a PRF output longer than its hash")
	}
	out, err := k.prf.ComputePRF(input, uint32(size))
	if err != nil {
		panic("envelope: the PRF failed")
	}
	return out
}
