package api

import (
	"net/http"
	"testing"
	"time"

	"strongroom/internal/access"
	"strongroom/internal/identity"
	"strongroom/internal/limits"
)

// oneCaller takes every token for that of the same caller, and looks at nothing.
type oneCaller struct {
	Tokens
	who *access.Principal
}

func (o oneCaller) Recall(*identity.Presented) (*access.Principal, error) { return o.who, nil }

// openDoor returns a reading behind the gate, and the handlers that answer it
// with and without authentication and limits.
func openDoor(t testing.TB) (r *reading, guarded, open http.Handler) {
	gate := limits.NewGate(time.Now, nil)
	r = newReading(t, gate)
	threeLimits(gate) // after the store has put its own in force
	_, token := authorization(r.request.Header)
	who, err := r.house.server.Tokens.Authenticate(t.Context(), &identity.Presented{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	guarded = r.handler(t, func(*Config) {})
	open = r.handler(t, func(c *Config) { c.Gate, c.Tokens = nil, oneCaller{c.Tokens, who} })
	return r, guarded, open
}

// serving answers the reading, and fails when the answer is no record.
func (r *reading) serving(t testing.TB, h http.Handler) func() {
	w := &nowhere{header: http.Header{}}
	return func() {
		clear(w.header)
		h.ServeHTTP(w, r.request)
		if w.header["Etag"] == nil {
			t.Fatal("the read was refused")
		}
	}
}

// BenchmarkFrontDoor is a read of a real store with authentication by a token
// that was verified before and with limits, without either, and each of them by
// itself. The decision is measured in package store (BenchmarkDecision). The aim
// for the three together is 5 us and 10 allocations.
func BenchmarkFrontDoor(b *testing.B) {
	r, guarded, open := openDoor(b)
	s := r.house.server
	_, token := authorization(r.request.Header)
	shown := &identity.Presented{Token: token}
	who, err := s.Tokens.Recall(shown)
	if who == nil {
		b.Fatal(err)
	}
	c := &call{s: s, e: &endpoint{group: limits.GroupRead}, r: r.request, who: who, w: &nowhere{http.Header{}}, status: http.StatusOK}
	for _, part := range []struct {
		name string
		run  func()
	}{
		{"read", r.serving(b, guarded)},
		{"read without", r.serving(b, open)},
		{"authentication", func() { _, _ = s.Tokens.Recall(shown) }},
		{"limits", func() { c.passBoth(b) }},
	} {
		b.Run(part.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				part.run()
			}
		})
	}
}

// passBoth goes through every limit and leaves again.
func (c *call) passBoth(t testing.TB) {
	if err := c.passAddress(); err != nil {
		t.Fatal(err)
	}
	if err := c.passClient(); err != nil {
		t.Fatal(err)
	}
	c.leave(1000)
	c.gate = passage{ticket: c.gate.ticket}
}

// TestFrontDoorAllocatesLittle bounds what authentication and limits add to a
// read: eight allocations, which leaves two of ten for the decision
// (TestDecisionAllocatesLittle). It is the difference of two counts, in which
// all that the reads have in common cancels out.
func TestFrontDoorAllocatesLittle(t *testing.T) {
	r, guarded, open := openDoor(t)
	with, without := testing.AllocsPerRun(500, r.serving(t, guarded)), testing.AllocsPerRun(500, r.serving(t, open))
	if with-without > 8 {
		t.Errorf("authentication and limits make %v allocations of the %v of a read, want 8 at most", with-without, with)
	}
	if with <= without {
		t.Errorf("a read makes %v allocations with them and %v without: they were not measured", with, without)
	}
}
