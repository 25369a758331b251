package api

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"strongroom/internal/identity"
	"strongroom/internal/limits"
	"strongroom/internal/schema"
	"strongroom/store"
)

// quick is a store that reads in no time, so that a benchmark sees the handler.
type quick struct {
	*scripted
	one store.Record
}

func (q *quick) GetRecord(context.Context, store.Caller, store.RecordRef, store.ReadOptions) (store.Record, error) {
	return q.one, nil
}

func newQuick(b *testing.B) (*Server, string) { return newQuickBehind(b, nil) }

func newQuickBehind(b *testing.B, gate *limits.Gate) (*Server, string) {
	q := &quick{scripted: newScript()}
	q.one = q.record
	q.one.Fields = nil
	for i := range 8 {
		q.one.Fields = append(q.one.Fields, schema.Value{Path: fmt.Sprintf("field_%d", i), JSON: []byte(`"` + strings.Repeat("x", 64) + `"`)})
	}
	tokens, err := identity.New(identity.Config{Directory: q, Issuer: "urn:test"})
	if err != nil {
		b.Fatal(err)
	}
	token, err := tokens.Exchange(b.Context(), identity.Request{Form: map[string][]string{
		"grant_type": {"client_credentials"}, "client_id": {"invoicing"}, "client_secret": {"right"}}})
	if err != nil {
		b.Fatal(err)
	}
	s, err := New(Config{Store: q, Jobs: scriptedJobs{q.scripted}, Keys: scriptedKeys{q.scripted}, Erasures: scriptedErasures{q.scripted}, Tokens: tokens, Gate: gate, Logger: slog.New(slog.NewJSONHandler(io.Discard, nil))})
	if err != nil {
		b.Fatal(err)
	}
	return s, "Bearer " + token.Value.Reveal()
}

// nowhere is a ResponseWriter that costs next to nothing.
type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (n *nowhere) WriteHeader(int)             {}

// BenchmarkRead is all that the API adds to a read: routing, authentication,
// encoding, headers, counting. The aim is 8 us.
func BenchmarkRead(b *testing.B) {
	s, bearer := newQuick(b)
	r := httptest.NewRequest("GET", someRecord, nil)
	r.Header.Set("Authorization", bearer)
	r.Header.Set("User-Agent", "bench")
	w := &nowhere{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		s.Handler().ServeHTTP(w, r)
	}
}

// reading is a record of eight fields in a real store, and a request for it.
type reading struct {
	house   *house
	request *http.Request
}

func newReading(t testing.TB, gate *limits.Gate) *reading {
	h := newHouseBehind(t, gate)
	var properties, fields []string
	for i := range 8 {
		properties = append(properties, fmt.Sprintf(`"field_%d":{"type":"string"}`, i))
		fields = append(fields, fmt.Sprintf(`"field_%d":"%064d"`, i, i))
	}
	h.root.do("PUT", acme, `{}`).want(201)
	h.root.do("PUT", customers, `{"schema":{"type":"object","properties":{`+strings.Join(properties, ",")+`}}}`).want(201)
	reader := h.hire("reader", `{"integrations":["*"],"collections":["*"],"actions":["read","create"],"read":{"*":"clear"},"write":["*"]}`)
	place := reader.do("POST", customers+"/records", `{"fields":{`+strings.Join(fields, ",")+`}}`).want(201).Header.Get("Location")
	r := httptest.NewRequest("GET", place, nil)
	r.Header.Set("Authorization", "Bearer "+reader.token)
	return &reading{h, r}
}

// handler answers as the house does, but for what change changes.
func (r *reading) handler(t testing.TB, change func(*Config)) http.Handler {
	config := r.house.server.Config
	config.Logger, config.Metrics = slog.New(slog.DiscardHandler), nil
	change(&config)
	s, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return s.Handler()
}

// readThrough makes a request for a record of eight fields of a real store and
// the handler that answers it: all of a read but net/http and TLS.
func readThrough(t testing.TB) (http.Handler, *http.Request) {
	r := newReading(t, nil)
	return r.handler(t, func(*Config) {}), r.request
}

// BenchmarkReadThrough is a read from the handler to the disk and back, with its
// audit entry.
func BenchmarkReadThrough(b *testing.B) {
	h, r := readThrough(b)
	w := &nowhere{http.Header{}}
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		clear(w.header)
		h.ServeHTTP(w, r)
	}
}

// TestReadAllocatesLittle holds a read to what it allocates: a request that
// begins to copy or to convert shows here before it does in a benchmark. The
// bound leaves room for the race detector, under which pools forget.
func TestReadAllocatesLittle(t *testing.T) {
	h, r := readThrough(t)
	w := &nowhere{http.Header{}}
	const most = 50
	if n := testing.AllocsPerRun(500, func() {
		clear(w.header)
		h.ServeHTTP(w, r)
	}); n > most {
		t.Errorf("a read makes %v allocations, want %d at most", n, most)
	}
}

// threeLimits puts three limits in force that match every request, with two
// windows each, beside the defaults.
func threeLimits(gate *limits.Gate) *limits.Gate {
	defs := map[string]*limits.Definition{}
	for name, per := range map[string]limits.Scope{"one": limits.PerClient, "two": limits.InTotal, "three": limits.PerAddress} {
		defs[name] = &limits.Definition{Per: per, Requests: []limits.Window{{Limit: 2e9, Window: limits.Span(time.Second)}, {Limit: 2e9, Window: limits.Span(24 * time.Hour)}}}
	}
	gate.Define(defs)
	return gate
}

// BenchmarkReadBehindTheGate is the same with the gate before it, the default
// limits and three that match: the difference is what limits cost.
func BenchmarkReadBehindTheGate(b *testing.B) {
	s, bearer := newQuickBehind(b, threeLimits(limits.NewGate(time.Now, nil)))
	r := httptest.NewRequest("GET", someRecord, nil)
	r.Header.Set("Authorization", bearer)
	w := &nowhere{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		s.Handler().ServeHTTP(w, r)
	}
}

// BenchmarkTurnedAway is what a request without a token from a blocked address
// costs.
func BenchmarkTurnedAway(b *testing.B) {
	gate := limits.NewGate(time.Now, nil)
	s, _ := newQuickBehind(b, gate)
	r := httptest.NewRequest("GET", someRecord, nil)
	for range 1000 {
		gate.Guard.Failed("", otherEnd(r))
	}
	w := &nowhere{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		s.Handler().ServeHTTP(w, r)
	}
}

// BenchmarkRoute is the router alone.
func BenchmarkRoute(b *testing.B) {
	s, _ := newQuick(b)
	r := httptest.NewRequest("TRACE", someRecord, nil)
	w := &nowhere{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		s.Handler().ServeHTTP(w, r)
	}
}

func BenchmarkEncodeRecord(b *testing.B) {
	r := &store.Record{ID: "0197f3a0-0000-7000-8000-000000000000", Revision: 3, CreatedAt: at, UpdatedAt: at, Flat: true, HasFields: true}
	for i := range 8 {
		r.Fields = append(r.Fields, schema.Value{Path: fmt.Sprintf("field_%d", i), JSON: []byte(`"` + strings.Repeat("x", 64) + `"`)})
	}
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		out = appendRecord(out[:0], r)
	}
}

// BenchmarkDecodeLine reads a line of an import with eight small fields. The
// aim is 2 us.
func BenchmarkDecodeLine(b *testing.B) {
	var fields []string
	for i := range 8 {
		fields = append(fields, fmt.Sprintf(`"field_%d":"value number %d"`, i, i))
	}
	line := []byte(`{"id":"rec-1","fields":{` + strings.Join(fields, ",") + `}}`)
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodeLine(line); err != nil {
			b.Fatal(err)
		}
	}
}
