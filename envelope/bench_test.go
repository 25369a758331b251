package envelope

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"strongroom/internal/uid"
)

var benchHeader = bytes.Repeat([]byte("h"), 240)

func benchFields() []Field {
	fields := make([]Field, 8)
	for i := range fields {
		fields[i] = Field{Path: fmt.Sprintf("field_%d", i), Value: bytes.Repeat([]byte{'v'}, 64)}
	}
	return fields
}

func BenchmarkSeal8x64(b *testing.B) {
	f := newFixture(b, Options{})
	m, id, fields := f.domain(), f.identity(), benchFields()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Seal(id, benchHeader, fields); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen8x64(b *testing.B) {
	f := newFixture(b, Options{})
	m, id, fields := f.domain(), f.identity(), benchFields()
	sealed, err := m.Seal(id, benchHeader, fields)
	must(b, err)
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		o, err := m.Open(id, benchHeader, sealed.DEK)
		if err != nil {
			b.Fatal(err)
		}
		dst = dst[:0]
		for i := range fields {
			if dst, err = o.Field(dst, fields[i].Path, sealed.Fields[i]); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkOpenHeaderOnly(b *testing.B) {
	f := newFixture(b, Options{})
	m, id := f.domain(), f.identity()
	sealed, err := m.Seal(id, benchHeader, nil)
	must(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Open(id, benchHeader, sealed.DEK); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDomainHit(b *testing.B) {
	f := newFixture(b, Options{Now: time.Now})
	f.domain()
	ctx := context.Background()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := f.Open(ctx, f.integration); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkDomainMiss(b *testing.B) {
	f := newFixture(b, Options{})
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		f.Drop(f.integration)
		if _, err := f.Open(ctx, f.integration); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkToken(b *testing.B) {
	m := newFixture(b, Options{}).domain()
	collection, value := uid.New(), []byte("someone@example.com")
	b.ReportAllocs()
	for b.Loop() {
		m.Token(collection, "email", value, 17)
	}
}

func BenchmarkSystemOpen(b *testing.B) {
	s := newFixture(b, Options{}).system()
	sealed, err := s.Seal("role", "billing", 3, bytes.Repeat([]byte{'r'}, 300))
	must(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Open("role", "billing", 3, sealed); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRewrap is what a sweep does with each value, the digest of its
// header included.
func BenchmarkRewrap(b *testing.B) {
	m, id, dek := rewrapFixture(b)
	var dst []byte
	var err error
	b.ReportAllocs()
	for b.Loop() {
		if dst, err = m.RewrapDigest(id, sha256.Sum256(benchHeader), dek, dst[:0]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRewrapParallel(b *testing.B) {
	m, id, dek := rewrapFixture(b)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		var dst []byte
		var err error
		for pb.Next() {
			if dst, err = m.RewrapDigest(id, sha256.Sum256(benchHeader), dek, dst[:0]); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkReseal8x64 is what a sweep of depth data does with each revision.
func BenchmarkReseal8x64(b *testing.B) {
	f := newFixture(b, Options{})
	m, id, fields := f.domain(), f.identity(), benchFields()
	sealed, err := m.Seal(id, benchHeader, fields)
	must(b, err)
	stored := make([]SealedField, len(fields))
	for i := range fields {
		stored[i] = SealedField{fields[i].Path, sealed.Fields[i]}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Reseal(id, benchHeader, sealed.DEK, stored); err != nil {
			b.Fatal(err)
		}
	}
}

func rewrapFixture(b *testing.B) (*Domain, Identity, []byte) {
	b.Helper()
	f := newFixture(b, Options{})
	id := f.identity()
	sealed, err := f.domain().Seal(id, benchHeader, nil)
	must(b, err)
	generation, _ := f.add(PurposeWrapping)
	f.promote(f.integration, PurposeWrapping, generation)
	return f.domain(), id, sealed.DEK
}
