package dpop

import (
	"crypto/rand"
	"sync"
	"time"
)

// ledger holds the two nonces that are accepted, and the proofs that were used
// with each. A nonce gives way after its life, or earlier when as many proofs
// came with it as are remembered: the memory is bounded, and what is forgotten
// is not accepted any more.
type ledger struct {
	life time.Duration
	most int

	mu       sync.Mutex
	current  page
	previous page
	began    time.Time // when current did
}

// page is a nonce and the proofs that were used with it.
type page struct {
	nonce string
	used  map[[16]byte]struct{}
}

// nonce returns the nonce to hand out.
func (l *ledger) nonce(now time.Time) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn(now)
	return l.current.nonce
}

// accepts reports whether a nonce counts now.
func (l *ledger) accepts(nonce string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn(now)
	return l.page(nonce) != nil
}

// spend writes a proof down, once.
func (l *ledger) spend(p Proof, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn(now)
	page := l.page(p.nonce)
	if page == nil {
		return errNonce
	}
	if _, used := page.used[p.id]; used {
		return refuse("the proof was used before")
	}
	if len(page.used) >= l.most {
		return errNonce // the previous page is full; the next proof has the current nonce
	}
	if page.used == nil {
		page.used = map[[16]byte]struct{}{}
	}
	page.used[p.id] = struct{}{}
	return nil
}

func (l *ledger) page(nonce string) *page {
	switch {
	case nonce == "":
		return nil
	case nonce == l.current.nonce:
		return &l.current
	case nonce == l.previous.nonce:
		return &l.previous
	}
	return nil
}

// turn begins a new page when the current one has had its time or is full. A
// clock that went back ends both: their time is not known any more.
func (l *ledger) turn(now time.Time) {
	age := now.Sub(l.began)
	stale := l.current.nonce == "" || age >= 2*l.life || age < 0
	if !stale && age < l.life && len(l.current.used) < l.most {
		return
	}
	used := l.previous.used
	l.previous = l.current
	if stale {
		l.previous.nonce = ""
	}
	clear(used) // its memory serves again
	l.current = page{nonce: rand.Text(), used: used}
	l.began = now
}
