package identity

import (
	"crypto/sha256"
	"strconv"
	"sync"
	"testing"
	"time"

	"strongroom/internal/access"
	"strongroom/store"
)

func testGrant(n int, expires time.Time) *grant {
	return &grant{token: sha256.Sum256([]byte(strconv.Itoa(n))), TokenRef: store.TokenRef{Client: strconv.Itoa(n)}, expires: expires}
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
			if g.Client != strconv.Itoa(n) {
				t.Fatalf("token %d speaks for %s", n, g.Client)
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
				if got := c.get(g.token, now); got != nil && got.Client != g.Client {
					t.Errorf("%s became %s", g.Client, got.Client)
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
		if _, err := f.Authenticate(t.Context(), bearer(token)); err != nil {
			t.Fatal(err)
		}
	})
	if n > 2 { // the principal, and the context of the test
		t.Errorf("%v allocations a hit", n)
	}
}

func TestAHitOfAScopedTokenAllocatesNoMore(t *testing.T) {
	f := newFixture(t)
	f.dir.policy = access.NewPolicy(nil, []string{access.RoleAdministrator}, false)
	form := f.post()
	form.Set("scope", "administrator read:acme-*")
	made, err := f.Exchange(t.Context(), Request{Form: form})
	if err != nil || made.Scope != "administrator read:acme-*" {
		t.Fatal(err, made.Scope)
	}
	token := made.Value.Reveal()
	n := testing.AllocsPerRun(100, func() {
		p, err := f.Authenticate(t.Context(), bearer(token))
		if err != nil || len(p.Scopes) != 2 || !p.Policy.Can(access.ManageClients) {
			t.Fatal(err)
		}
	})
	if n > 2 {
		t.Errorf("%v allocations a hit", n)
	}
	f.dir.policy = access.NewPolicy(nil, nil, false) // the role was taken away
	if p, err := f.Authenticate(t.Context(), bearer(token)); err != nil || p.Policy.Can(access.ManageClients) {
		t.Errorf("what was narrowed before is used on: %v", err)
	}
}

func BenchmarkAuthenticateHit(b *testing.B) {
	f := newFixture(b)
	token := f.token(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Authenticate(b.Context(), bearer(token)); err != nil {
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
		if _, err := x.Authenticate(t.Context(), bearer(token)); err == nil && !same {
			t.Errorf("another text than the token was accepted")
		}
	})
}
