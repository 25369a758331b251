package dpop

import (
	"encoding/binary"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func numbered(nonce string, n uint64) (p Proof) {
	p.nonce = nonce
	binary.BigEndian.PutUint64(p.id[:], n)
	return p
}

// TestTheLedgerIsBounded floods it: its memory stays under the 16 MiB that the
// documentation states, however many proofs are used, and none counts twice.
func TestTheLedgerIsBounded(t *testing.T) {
	d := newDoor(t, Config{})
	before := heap()
	for n := range uint64(5 << 17) {
		p := numbered(d.Nonce(), n)
		if err := d.Spend(p); err != nil {
			t.Fatalf("proof %d: %v", n, err)
		}
		if n%1000 == 0 && d.Spend(p) == nil {
			t.Fatalf("proof %d counts twice", n)
		}
	}
	if grown := heap() - before; grown > 16<<20 {
		t.Errorf("the ledger holds %d bytes", grown)
	}
	runtime.KeepAlive(d)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestAFullPageTurns(t *testing.T) {
	d := newDoor(t, Config{MaxUsed: 2})
	first := d.Nonce()
	for n := range uint64(2) {
		if err := d.Spend(numbered(first, n)); err != nil {
			t.Fatal(err)
		}
	}
	if d.Nonce() == first {
		t.Fatal("a full page does not turn")
	}
	var r *Refused
	if err := d.Spend(numbered(first, 1)); !errors.As(err, &r) || r.Nonce {
		t.Errorf("used before the page turned: %v", err)
	}
	if err := d.Spend(numbered(first, 3)); !errors.As(err, &r) || !r.Nonce {
		t.Errorf("a proof that cannot be remembered: %v", err)
	}
}

// TestNoSequenceCountsTwice: whatever time does and whoever comes, a proof is
// accepted at most once.
func TestNoSequenceCountsTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := ledger{life: time.Minute, most: 3}
		now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		var nonces []string
		counted := map[Proof]bool{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(-5, 50).Draw(t, "seconds")) * time.Second)
			nonces = append(nonces, l.nonce(now))
			p := numbered(rapid.SampledFrom(nonces).Draw(t, "nonce"), rapid.Uint64Range(0, 4).Draw(t, "id"))
			if l.spend(p, now) != nil {
				continue
			}
			if counted[p] {
				t.Fatal("a proof counted twice")
			}
			counted[p] = true
			if len(l.current.used) > 3 || len(l.previous.used) > 3 {
				t.Fatal("more is remembered than was allowed")
			}
		}
	})
}

func TestOneOfManyAtOnceCounts(t *testing.T) {
	d := newDoor(t, Config{})
	p := numbered(d.Nonce(), 1)
	var wg sync.WaitGroup
	var counted atomic.Int64
	for range 32 {
		wg.Go(func() {
			if d.Spend(p) == nil {
				counted.Add(1)
			}
		})
	}
	wg.Wait()
	if counted.Load() != 1 {
		t.Errorf("a proof counted %d times", counted.Load())
	}
}
