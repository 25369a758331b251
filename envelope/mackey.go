package envelope

import (
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/prf/hmacprf"
)

// macKeys is the PRFs of one domain: one of each generation of its keyset. It
// computes under the primary one, and under the others what was computed under
// them once. It does not change once made.
type macKeys struct {
	primary KeyRef
	refs    []KeyRef // of all generations, newest first
	open    []uint32 // generations under which something may stand, the primary first
	prf     prf.PRF  // the primary's
	others  map[uint32]prf.PRF
}

// newMACKeys makes them of the generations given, newest first.
func newMACKeys(newestFirst []generation) (*macKeys, error) {
	primary, err := resolveStates(newestFirst)
	if err != nil {
		return nil, err
	}
	k := &macKeys{open: []uint32{newestFirst[primary].number}, others: map[uint32]prf.PRF{}}
	for i, g := range newestFirst {
		if err := k.add(g); err != nil {
			return nil, err
		}
		if i == primary {
			k.primary, k.prf = k.refs[i], k.others[g.number]
		}
	}
	return k, nil
}

func (k *macKeys) add(g generation) error {
	if !allHMACSHA256(g.handle) {
		return damagedKeyset(nil)
	}
	ref, err := g.ref()
	if err != nil {
		return err
	}
	k.refs = append(k.refs, ref)
	if g.state == StateDisabled {
		return nil
	}
	set, err := prf.NewPRFSet(g.handle)
	if err != nil {
		return damagedKeyset(nil)
	}
	p, ok := set.PRFs[set.PrimaryID]
	if !ok {
		return damagedKeyset(nil)
	}
	k.others[g.number] = p
	if g.state.computes() && g.number != k.open[0] {
		k.open = append(k.open, g.number)
	}
	return nil
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

// at returns the PRF of a generation, or nil for one that is disabled or that
// the domain does not have.
func (k *macKeys) at(generation uint32) prf.PRF {
	if generation == k.primary.Generation {
		return k.prf
	}
	return k.others[generation]
}

// compute returns the PRF's first size bytes. It panics when Tink refuses,
// which it does for a size above macSize only.
func compute(p prf.PRF, input []byte, size int) []byte {
	if size > macSize {
		panic("envelope: a PRF output longer than its hash")
	}
	out, err := p.ComputePRF(input, uint32(size))
	if err != nil {
		panic("envelope: the PRF failed")
	}
	return out
}
