package identity

import (
	"crypto/sha256"
	"strconv"
	"sync"
	"testing"
	"time"
)

func testGrant(n int, expires time.Time) *grant {
	return &grant{token: sha256.Sum256([]byte(strconv.Itoa(n))), client: strconv.Itoa(n), expires: expires}
}

func TestCacheIsBoundedAndTrue(t *testing.T) {
	now := time.Now()
	c := newCache(64)
	for n := range 1000 {
		g := testGrant(n, now.Add(time.Minute))
		c.put(g, now)
		if c.get(g.token, now) != g {
			t.Fatal("what was just put is not there")
		}
	}
	held := 0
	for n := range 1000 {
		if g := c.get(testGrant(n, now).token, now); g != nil {
			held++
			if g.client != strconv.Itoa(n) {
				t.Fatalf("token %d speaks for %s", n, g.client)
			}
		}
	}
	if held == 0 || held > 64 {
		t.Errorf("%d held, want 1 to 64", held)
	}
}

func TestExpiredGrantsGiveWayFirst(t *testing.T) {
	now := time.Now()
	c := newCache(ways) // one place
	for n := range ways - 1 {
		c.put(testGrant(n, now.Add(time.Hour)), now)
	}
	c.put(testGrant(100, now.Add(-time.Second)), now)
	c.put(testGrant(101, now.Add(time.Hour)), now)
	for n := range ways - 1 {
		if c.get(testGrant(n, now).token, now) == nil {
			t.Errorf("grant %d went although an expired one was there", n)
		}
	}
	if c.get(testGrant(100, now).token, now) != nil {
		t.Error("an expired grant is handed out")
	}
}

func TestCacheConcurrently(t *testing.T) {
	c, now := newCache(16), time.Now()
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for n := range 500 {
				g := testGrant(n*w%50, now.Add(time.Minute))
				c.put(g, now)
				if got := c.get(g.token, now); got != nil && got.client != g.client {
					t.Errorf("%s became %s", g.client, got.client)
				}
			}
		})
	}
	wg.Wait()
}

func TestHitAllocatesThePrincipalAlone(t *testing.T) {
	f := newFixture(t)
	token := f.token(t)
	n := testing.AllocsPerRun(100, func() {
		if _, err := f.Authenticate(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	})
	if n > 2 { // the principal, and the context of the test
		t.Errorf("%v allocations a hit", n)
	}
}

func BenchmarkAuthenticateHit(b *testing.B) {
	f := newFixture(b)
	token := f.token(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Authenticate(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzAuthenticate(f *testing.F) {
	x := newFixture(f)
	good := x.token(f)
	f.Add(good)
	f.Add("a.b.c")
	f.Add("")
	f.Fuzz(func(t *testing.T, token string) {
		// The last character of the signature has bits that stand for nothing.
		same := len(token) == len(good) && token[:len(token)-1] == good[:len(good)-1]
		if _, err := x.Authenticate(t.Context(), token); err == nil && !same {
			t.Errorf("another text than the token was accepted")
		}
	})
}
