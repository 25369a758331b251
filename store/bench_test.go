package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"strongroom/internal/access"
	"strongroom/store"
	"strongroom/store/storetest"
)

// eight is a schema of eight plain text fields, the record of the benchmarks.
func eight() []byte {
	var b strings.Builder
	b.WriteString(`{"type":"object","additionalProperties":false,"properties":{`)
	for i := range 8 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"field_%d":{"type":"string","maxLength":256}`, i)
	}
	b.WriteString(`}}`)
	return []byte(b.String())
}

func eightFields(n int) []byte {
	var b strings.Builder
	b.WriteByte('{')
	for i := range 8 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"field_%d":"%064d"`, i, n+i)
	}
	b.WriteByte('}')
	return []byte(b.String())
}

func openEight(b testing.TB) (*storetest.Fixture, store.Caller, store.CollectionRef) {
	ctx := context.Background()
	f := storetest.Open(b)
	c := f.Root()
	ref := store.CollectionRef{Integration: "acme", Collection: "eight"}
	if _, _, err := f.PutIntegration(ctx, c, ref.Integration, store.IntegrationSpec{}, store.Precondition{}); err != nil {
		b.Fatal(err)
	}
	if _, _, err := f.PutCollection(ctx, c, ref, store.CollectionSpec{Schema: eight()}, store.Precondition{}); err != nil {
		b.Fatal(err)
	}
	return f, c, ref
}

func BenchmarkGetRecord(b *testing.B) {
	f, c, ref := openEight(b)
	ctx := context.Background()
	res, err := f.CreateRecord(ctx, c, ref, store.RecordInput{Fields: eightFields(1)}, store.WriteOptions{})
	if err != nil {
		b.Fatal(err)
	}
	rref := store.RecordRef{CollectionRef: ref, Record: res.ID}
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		if _, err := f.GetRecord(ctx, c, rref, store.ReadOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCreateRecord64(b *testing.B) {
	f, c, ref := openEight(b)
	ctx := context.Background()
	fields := eightFields(1)
	b.ReportAllocs()
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := f.CreateRecord(ctx, c, ref, store.RecordInput{Fields: fields}, store.WriteOptions{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkImport(b *testing.B) {
	f, c, ref := openEight(b)
	raw := eightFields(1)
	n := 0
	next := func() (store.ImportLine, bool) { n++; return store.ImportLine{Number: n, Raw: raw}, n <= b.N }
	o := store.ImportOptions{Decode: func(raw []byte) (store.RecordInput, error) { return store.RecordInput{Fields: raw}, nil }}
	b.ReportAllocs()
	b.ResetTimer()
	err := f.ImportRecords(context.Background(), c, ref, o, next, func(r store.ImportResult) error { return r.Err })
	if err != nil {
		b.Fatal(err)
	}
}

// deciding judges a read of eight fields.
func deciding(t testing.TB) func() {
	f, c, ref := openEight(t)
	role, err := access.ParseRole([]byte(`{"rules":[{"integrations":["acme"],"collections":["*"],"actions":["read"],"read":{"*":"clear","field_7":"none"}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	caller := *c
	caller.Policy = access.NewPolicy(map[string]*access.Role{"reader": role}, []string{"reader"}, false)
	fields := make([]string, 8)
	for i := range fields {
		fields[i] = fmt.Sprintf("field_%d", i)
	}
	return func() {
		if seen, err := f.DecideForTest(&caller, ref, "some-record", fields); err != nil || seen != 7 {
			t.Fatal(seen, err)
		}
	}
}

// BenchmarkDecision is the decision about a read: of the collection, of the
// record, and of each of its eight fields.
func BenchmarkDecision(b *testing.B) {
	decide := deciding(b)
	b.ReportAllocs()
	for b.Loop() {
		decide()
	}
}

// TestDecisionAllocatesLittle leaves the rest of the ten allocations that the
// front door may make a request to authentication and limits, which a test of
// package api counts.
func TestDecisionAllocatesLittle(t *testing.T) {
	if n := testing.AllocsPerRun(500, deciding(t)); n > 2 {
		t.Errorf("a decision makes %v allocations, want 2 at most", n)
	}
}

// BenchmarkConditions measures what conditions add to a read: none, one on a
// label that holds, one that denies, and eight.
func BenchmarkConditions(b *testing.B) {
	f, root, ref := openEight(b)
	ctx := context.Background()
	in := store.RecordInput{Fields: eightFields(1), SetLabels: true, Labels: map[string]string{"owner": "cust-42", "region": "eu"}}
	res, err := f.CreateRecord(ctx, root, ref, in, store.WriteOptions{})
	if err != nil {
		b.Fatal(err)
	}
	at := store.RecordRef{CollectionRef: ref, Record: res.ID}
	rule := func(when string) string {
		return `{"integrations":["*"],"collections":["*"],"actions":["read"],"read":{"*":"clear"}` + when + `}`
	}
	when := func(text string) string { return `,"when":"` + text + `"` }
	eight := make([]string, 8)
	for i := range eight {
		eight[i] = rule(when(fmt.Sprintf("record.labels.owner == 'cust-4%d'", i)))
	}
	for _, c := range []struct{ name, rules string }{
		{"none", rule("")},
		{"one", rule(when("record.labels.owner == client.labels.owner"))},
		{"one that denies", rule(when("record.labels.owner == client.labels.region"))},
		{"eight", strings.Join(eight, ",")},
	} {
		b.Run(c.name, func(b *testing.B) {
			role, err := access.ParseRole([]byte(`{"rules":[` + c.rules + `]}`))
			if err != nil {
				b.Fatal(err)
			}
			p := &access.Principal{Client: "c", Labels: map[string]string{"owner": "cust-42", "region": "us"},
				Policy: access.NewPolicy(map[string]*access.Role{"r": role}, []string{"r"}, false)}
			b.ReportAllocs()
			for b.Loop() {
				_, _ = f.GetRecord(ctx, p, at, store.ReadOptions{})
			}
		})
	}
}
