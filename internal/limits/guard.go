package limits

import (
	"hash/maphash"
	"math"
	"net/netip"
	"time"
)

// What failed authentications lead to. A failure weighs half after halfLife.
const (
	halfLife     = 5 * time.Minute
	slowFrom     = 5.0   // of a client at an address: each further failure doubles the pause
	blockFrom    = 10.0  // then the pair waits blockFor
	networkFrom  = 100.0 // of all clients at an address
	blockFor     = 15 * time.Minute
	trustedPause = 30 * time.Second // the longest pause of a pair that has succeeded
	trustFor     = 30 * 24 * time.Hour
	tryEvery     = 50 * time.Millisecond // unknown tokens from a blocked address

	pairCapacity    = 65_536
	addressesPlaced = 65_536
)

// GuardEvent tells that a client at an address, or an address, was blocked or
// is no longer: once for each change, however many requests there were.
type GuardEvent struct {
	Blocked bool
	Client  string // empty: the address for all clients that have not succeeded from there
	Address string
	Until   time.Time
}

// Guard slows down and blocks who fails to authenticate. It counts by client
// and address together and by address, never by client alone: whoever tries to
// guess a client's secret locks that client out nowhere but where he is. A pair
// that has succeeded is never blocked by what others do at its address, and
// waits 30 seconds at most for its own failures. Blocks end by themselves.
type Guard struct {
	now       func() time.Time
	tell      func(GuardEvent)
	seed      maphash.Seed
	pairs     *shelf[suspect]
	addresses *shelf[suspect]
}

// suspect is what is known of a pair, or an address.
type suspect struct {
	score   float64
	at      int64 // of the score, unix nanoseconds
	next    int64 // nothing is tried before
	good    int64 // the last success
	blocked bool  // it was told to be
	client  string
	address netip.Addr
}

// NewGuard returns a guard that tells of changes; tell must not block.
func NewGuard(now func() time.Time, tell func(GuardEvent)) *Guard {
	weigh := func(s *suspect, now int64) float64 {
		switch {
		case now < s.next:
			return 1 + s.score
		case s.trusted(now):
			return 0.99
		}
		return min(0.98, s.decayed(now)/slowFrom)
	}
	return &Guard{now: now, tell: tell, seed: maphash.MakeSeed(),
		pairs: newShelf(pairCapacity, weigh), addresses: newShelf(addressesPlaced, weigh)}
}

func (s *suspect) decayed(now int64) float64 {
	if s.score == 0 {
		return 0
	}
	return s.score * math.Exp2(-float64(now-s.at)/float64(halfLife))
}

func (s *suspect) trusted(now int64) bool { return s.good != 0 && now-s.good < int64(trustFor) }

func (g *Guard) pairKey(client string, a netip.Addr) (k key) {
	var h maphash.Hash
	h.SetSeed(g.seed)
	address := AddressKey(a)
	h.Write(address[:])
	h.WriteString(client)
	sum := h.Sum64()
	h.WriteByte(0)
	more := h.Sum64()
	for j := range 8 {
		k[j], k[8+j] = byte(sum>>(8*j)), byte(more>>(8*j))
	}
	return k
}

// Check says whether a client may try to authenticate from an address now; the
// error is a *Refusal.
func (g *Guard) Check(client string, a netip.Addr) error {
	now := g.now().UnixNano()
	wait, trusted := int64(0), false
	g.pairs.with(g.pairKey(client, a), false, now, func(s *suspect) {
		wait, trusted = s.next-now, s.trusted(now)
	})
	if !trusted {
		g.addresses.with(AddressKey(a), false, now, func(s *suspect) { wait = max(wait, s.next-now) })
	}
	if wait <= 0 {
		return nil
	}
	return &Refusal{Is: ErrFailures, Wait: time.Duration(wait)}
}

// Blocked reports whether an address is blocked for all who have not succeeded
// from there, and when that ends.
func (g *Guard) Blocked(a netip.Addr) (wait time.Duration) {
	now := g.now().UnixNano()
	g.addresses.with(AddressKey(a), false, now, func(s *suspect) { wait = time.Duration(max(0, s.next-now)) })
	return wait
}

// Try reports whether one more token that was never seen may be verified for a
// blocked address: twenty a second.
func (g *Guard) Try(a netip.Addr) (ok bool) {
	now := g.now().UnixNano()
	g.addresses.with(AddressKey(a), false, now, func(s *suspect) {
		if ok = now-s.good >= int64(tryEvery); ok {
			s.good = now // an address has no success of its own
		}
	})
	return ok
}

// nameless is what a request without a good token weighs: tokens expire, and
// health checks ask without one.
const nameless = 0.25

// Failed notes a failed authentication. The client is empty when none was named.
func (g *Guard) Failed(client string, a netip.Addr) {
	now := g.now().UnixNano()
	if client != "" {
		g.pairs.with(g.pairKey(client, a), true, now, func(s *suspect) {
			s.client, s.address = client, a
			s.fail(now, 1)
			g.slow(s, now)
		})
	}
	g.addresses.with(AddressKey(a), true, now, func(s *suspect) {
		s.address = a
		if now < s.next { // it is blocked: the block ends all the same
			return
		}
		weight := 1.0
		if client == "" {
			weight = nameless
		}
		s.fail(now, weight)
		if s.score >= networkFrom {
			g.block(s, now, blockFor)
		}
	})
}

func (s *suspect) fail(now int64, weight float64) { s.score, s.at = s.decayed(now)+weight, now }

// slow makes a pair wait, longer with each failure.
func (g *Guard) slow(s *suspect, now int64) {
	if s.score < slowFrom-0.5 { // the failures before have decayed a little
		return
	}
	pause := time.Duration(min(float64(blockFor), math.Exp2(s.score-slowFrom)*float64(time.Second)))
	switch {
	case s.trusted(now):
		s.next = now + int64(min(pause, trustedPause))
	case s.score >= blockFrom-0.5:
		g.block(s, now, blockFor)
	default:
		s.next = now + int64(pause)
	}
}

func (g *Guard) block(s *suspect, now int64, d time.Duration) {
	s.next = now + int64(d)
	if !s.blocked {
		s.blocked = true
		g.say(s)
	}
}

// Succeeded notes a success: the pair is trusted, and its failures are forgotten.
func (g *Guard) Succeeded(client string, a netip.Addr) {
	now := g.now().UnixNano()
	g.pairs.with(g.pairKey(client, a), true, now, func(s *suspect) {
		s.client, s.address = client, a
		s.score, s.next, s.good = 0, 0, now
		g.free(s)
	})
}

// Sweep tells of blocks that have ended.
func (g *Guard) Sweep() {
	now := g.now().UnixNano()
	ended := func(_ key, s *suspect) {
		if s.blocked && now >= s.next {
			g.free(s)
		}
	}
	g.pairs.each(ended)
	g.addresses.each(ended)
}

func (g *Guard) free(s *suspect) {
	if s.blocked {
		s.blocked = false
		g.say(s)
	}
}

func (g *Guard) say(s *suspect) {
	if g.tell != nil {
		g.tell(GuardEvent{Blocked: s.blocked, Client: s.client, Address: addressText(AddressKey(s.address)), Until: time.Unix(0, s.next)})
	}
}
