package limits

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"testing"
	"time"
)

// statedMiB is what a million addresses may take of the heap, as docs/limits.md
// states it.
const statedMiB = 64

func TestAMillionAddressesAreBounded(t *testing.T) {
	g := NewGate(time.Now, nil)
	before := heapMiB()
	used := 0.0
	for i := range uint32(flood) {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], i*2654435761)
		a := netip.AddrFrom4(b)
		var connection, ask Ticket
		_ = g.AdmitConnection(&connection, a)
		_ = g.AdmitAddress(&ask, &Request{Group: GroupToken, Address: a})
		_ = g.Guard.Check("invoicing", a)
		g.Guard.Failed("invoicing", a)
		g.Finish(&ask, 0, 0)
		g.Finish(&connection, 0, 0)
		if i%(flood/4) == 0 {
			used = max(used, heapMiB()-before)
		}
	}
	used = max(used, heapMiB()-before)
	t.Logf("%d addresses take %.1f MiB", flood, used)
	if used > statedMiB {
		t.Errorf("a million addresses take %.1f MiB, more than the %d that are stated", used, statedMiB)
	}
	runtime.KeepAlive(g)
}

func heapMiB() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}

// A flood of addresses must not make the server forget who is blocked, or who
// has used up his limit.
func TestFloodDoesNotFreeWhoIsRefused(t *testing.T) {
	c := newClock()
	g := NewGate(c.now, nil)
	for range 100 {
		g.Guard.Failed("invoicing", attacker)
	}
	refusedAt := func() error {
		var ticket Ticket
		err := g.AdmitAddress(&ticket, &Request{Group: GroupToken, Address: attacker})
		g.Finish(&ticket, 0, 0)
		return err
	}
	for refusedAt() == nil {
	}
	for i := range uint32(flood / 4) {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], i|10<<24)
		a := netip.AddrFrom4(b)
		g.Guard.Failed("invoicing", a)
		var ticket Ticket
		_ = g.AdmitAddress(&ticket, &Request{Group: GroupToken, Address: a})
		g.Finish(&ticket, 0, 0)
	}
	if g.Guard.Check("invoicing", attacker) == nil || g.Guard.Blocked(attacker) == 0 {
		t.Error("the flood freed who was blocked")
	}
	if refusedAt() == nil {
		t.Error("the flood gave a used-up limit back")
	}
}
