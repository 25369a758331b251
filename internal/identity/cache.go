package identity

import (
	"crypto/sha256"
	"encoding/binary"
	"sync/atomic"
	"time"

	"strongroom/internal/access"
	"strongroom/store"
)

// ways is how many tokens may share a place of the cache.
const ways = 4

// digest is the SHA-256 of a token: the cache never holds a token itself, so
// that a copy of the memory of this process hands out none.
type digest [sha256.Size]byte

// grant is what a verified token says.
type grant struct {
	store.TokenRef
	token   digest
	issued  time.Time
	expires time.Time
	scope   *access.Scope     // nil: all that the roles give
	remote  *kept[*remoteSet] // where the key stands that it was got by, nil when that is here
	last    atomic.Pointer[narrowing]
}

// narrowing is a policy and what the scope of a token leaves of it.
type narrowing struct{ from, to *access.Policy }

// narrow returns what the token's scope leaves of a policy. It is worked out
// once for each policy: until the client's roles change.
func (g *grant) narrow(p *access.Policy) *access.Policy {
	if n := g.last.Load(); n != nil && n.from == p {
		return n.to
	}
	n := &narrowing{from: p, to: p.Narrow(g.scope)}
	g.last.Store(n)
	return n.to
}

// cache remembers verified tokens until they expire. It is a set-associative
// table of atomic pointers: it never grows, a hit takes no lock and allocates
// nothing, and when a place is full an older grant gives way, which costs that
// token one more verification and nothing else.
type cache struct {
	slots []atomic.Pointer[grant]
	mask  uint64 // number of places - 1
	turn  atomic.Uint32
}

func newCache(size int) *cache {
	places := 1
	for places*2*ways <= size {
		places *= 2
	}
	return &cache{slots: make([]atomic.Pointer[grant], places*ways), mask: uint64(places - 1)}
}

// place returns the slots that a digest may be in. The digest of a token that
// somebody else chose is as good as random.
func (c *cache) place(d digest) []atomic.Pointer[grant] {
	i := (binary.LittleEndian.Uint64(d[:8]) & c.mask) * ways
	return c.slots[i : i+ways]
}

// get returns the grant of a token, nil when it is not held or has expired.
func (c *cache) get(d digest, now time.Time) *grant {
	place := c.place(d)
	for i := range place {
		g := place[i].Load()
		if g != nil && g.token == d {
			if !now.Before(g.expires) {
				return nil
			}
			return g
		}
	}
	return nil
}

// drop forgets a grant.
func (c *cache) drop(g *grant) {
	place := c.place(g.token)
	for i := range place {
		place[i].CompareAndSwap(g, nil)
	}
}

// put holds a grant. It prefers an empty or expired slot.
func (c *cache) put(g *grant, now time.Time) {
	place := c.place(g.token)
	victim := int(c.turn.Add(1)) % ways
	for i := range place {
		old := place[i].Load()
		if old == nil || old.token == g.token || !now.Before(old.expires) {
			victim = i
			break
		}
	}
	place[victim].Store(g)
}
