package limits

import (
	"net/netip"
	"sync"
	"testing"
	"time"
)

// clock is a time that a test sets.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Unix(1_800_000_000, 0)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func parse(t testing.TB, text string) *Definition {
	t.Helper()
	d, err := Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return d
}

func limiter(t testing.TB, defs map[string]string) (*Limiter, *clock) {
	t.Helper()
	c := newClock()
	l := New(c.now)
	l.Define(parseAll(t, defs))
	return l, c
}

func parseAll(t testing.TB, defs map[string]string) map[string]*Definition {
	all := map[string]*Definition{}
	for name, text := range defs {
		all[name] = parse(t, text)
	}
	return all
}

func request(client string) *Request {
	return &Request{Group: GroupRead, Route: "/r", Client: client, ClientUID: nameKey(client), Address: netip.MustParseAddr("192.0.2.1")}
}

// once admits a request and ends it.
func once(l *Limiter, q *Request) error {
	var t Ticket
	err := l.AdmitClient(&t, q)
	l.Finish(&t, 0, 0)
	return err
}
