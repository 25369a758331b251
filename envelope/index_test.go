package envelope

import (
	"bytes"
	"fmt"
	"math"
	"math/bits"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/uid"
)

func TestTokensAreBoundToTheirPlace(t *testing.T) {
	f := newFixture(t, Options{})
	m, collection := f.domain(), uid.New()
	token := m.Token(collection, "email", []byte("a@b.c"), UniqueBits)
	if again := m.Token(collection, "email", []byte("a@b.c"), UniqueBits); !bytes.Equal(token, again) {
		t.Error("the same value has two tokens")
	}
	f.integration = f.addIntegration()
	for name, other := range map[string]Token{
		"value":       m.Token(collection, "email", []byte("a@b.d"), UniqueBits),
		"path":        m.Token(collection, "mail", []byte("a@b.c"), UniqueBits),
		"collection":  m.Token(uid.New(), "email", []byte("a@b.c"), UniqueBits),
		"integration": f.domain().Token(collection, "email", []byte("a@b.c"), UniqueBits),
	} {
		if bytes.Equal(token, other) {
			t.Errorf("another %s has the same token", name)
		}
	}
}

func TestATokenIsTheTopBitsOfTheWholeOne(t *testing.T) {
	f := newFixture(t, Options{})
	m, collection := f.domain(), uid.New()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.SliceOf(rapid.Byte()).Draw(t, "value")
		n := rapid.IntRange(1, UniqueBits).Draw(t, "bits")
		whole := m.Token(collection, "p", value, UniqueBits)
		short := m.Token(collection, "p", value, n)
		if len(short) != (n+7)/8 {
			t.Fatalf("%d bits in %d bytes", n, len(short))
		}
		for i := range len(short) * 8 {
			got := short[i/8] >> (7 - i%8) & 1
			want := whole[i/8] >> (7 - i%8) & 1
			if i >= n {
				want = 0
			}
			if got != want {
				t.Fatalf("bit %d of %d is %d, want %d", i, n, got, want)
			}
		}
	})
}

// Short tokens must spread values evenly, or the rule of IndexBits says
// nothing: 4,096 values over 64 tokens are 64 each, and a spread of eight
// standard deviations around that is never left by chance.
func TestShortTokensSpreadEvenly(t *testing.T) {
	m, collection := newFixture(t, Options{}).domain(), uid.New()
	counts := map[string]int{}
	for i := range 4096 {
		counts[string(m.Token(collection, "p", fmt.Appendf(nil, "value %d", i), 6))]++
	}
	if len(counts) != 64 {
		t.Errorf("%d tokens, want 64", len(counts))
	}
	for token, n := range counts {
		if n < 1 || n > 128 {
			t.Errorf("token %x has %d values", token, n)
		}
	}
}

func TestABadTokenLengthPanics(t *testing.T) {
	m := newFixture(t, Options{}).domain()
	for _, n := range []int{-1, 0, 129} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%d bits did not panic", n)
				}
			}()
			m.Token(uid.New(), "p", nil, n)
		}()
	}
}

func TestIndexBits(t *testing.T) {
	for r, want := range map[uint64]int{
		0: 17, 1: 1, 2: 1, 15: 1, 16: 3, 63: 4, 64: 4, 100: 4, 1000: 7, 1_000_000: 17, 1 << 20: 18, math.MaxUint64: 61,
	} {
		if got := IndexBits(r); got != want {
			t.Errorf("%d records: %d bits, want %d", r, got, want)
		}
	}
}

func TestIndexBitsKeepTheRule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rapid.Uint64Range(16, math.MaxUint64).Draw(t, "records") >> rapid.IntRange(0, 59).Draw(t, "shift")
		if r < 16 {
			t.Skip("below the rule")
		}
		l := IndexBits(r)
		share := math.Ldexp(float64(r), -l)
		if share < 2 || share >= math.Sqrt(float64(r)) {
			t.Fatalf("%d records: %d bits, %.2f records a token", r, l, share)
		}
		if l > bits.Len64(r) || l < 1 || l > UniqueBits {
			t.Fatalf("%d records: %d bits", r, l)
		}
	})
}
