package limits

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestSeveralWindowsAtOnce(t *testing.T) {
	l, c := limiter(t, map[string]string{"x": `{"per":"client","requests":[{"limit":1,"window":"1s"},{"limit":5,"window":"24h"}]}`})
	for i := range 5 {
		if err := once(l, request("a")); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		if err := once(l, request("a")); !errors.Is(err, ErrRate) {
			t.Fatalf("the second request of a second: %v", err)
		}
		if err := once(l, request("b")); err != nil && i == 0 {
			t.Errorf("another client pays for it: %v", err)
		}
		c.add(1100 * time.Millisecond)
	}
	err := once(l, request("a"))
	refused, ok := errors.AsType[*Refusal](err)
	if !ok || refused.Wait < 23*time.Hour || refused.Limit != "x" {
		t.Fatalf("the sixth of a day: %+v", refused)
	}
	c.add(refused.Wait)
	if err := once(l, request("a")); err != nil {
		t.Errorf("after the wait that it was told: %v", err)
	}
}

func TestNothingIsChargedWhenOneWindowRefuses(t *testing.T) {
	l, c := limiter(t, map[string]string{
		"narrow": `{"per":"client","requests":[{"limit":1,"window":"1s"}]}`,
		"wide":   `{"per":"total","requests":[{"limit":10,"window":"1h"}]}`,
		"role":   `{"per":"role","roles":["r*"],"requests":[{"limit":10,"window":"1h"}]}`,
	})
	q := request("a")
	q.Roles = []string{"r1", "r2", "other"}
	for range 20 {
		_ = once(l, q)
	}
	for _, name := range []string{"wide", "role"} {
		for _, u := range l.Use(name).Most {
			if u.Windows[0].Used != 1 || u.UnderWay != 0 {
				t.Errorf("%s of %s: %+v", name, u.Who, u)
			}
		}
	}
	if got := len(l.Use("role").Most); got != 2 {
		t.Errorf("%d roles are counted", got)
	}
	c.add(time.Hour * 2)
	if u := l.Use("wide").Most; len(u) != 0 {
		t.Errorf("after the window: %+v", u)
	}
}

// A model that remembers every request: no span of the window's length holds
// more than the limit, what is told to be left is left, and who waits as told
// is admitted.
func TestWindowsAgainstALog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newClock()
		l := New(c.now)
		windows := rapid.SliceOfNDistinct(rapid.IntRange(1, 300), 1, 4, rapid.ID).Draw(t, "windows")
		d := &Definition{Per: PerClient}
		for _, w := range windows {
			d.Requests = append(d.Requests, Window{Limit: uint64(rapid.IntRange(1, 20).Draw(t, "limit")), Window: Span(time.Duration(w) * time.Second)})
		}
		l.Define(map[string]*Definition{"x": d})
		var log []time.Time
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			c.add(time.Duration(rapid.Int64Range(0, int64(20*time.Second)).Draw(t, "pause")))
			var ticket Ticket
			err := l.AdmitClient(&ticket, request("a"))
			if refused, ok := errors.AsType[*Refusal](err); ok {
				checkRefused(t, d, log, c.now())
				c.add(refused.Wait)
				if err = l.AdmitClient(&ticket, request("a")); err != nil {
					t.Fatalf("refused after the wait of %s", refused.Wait)
				}
			}
			log = append(log, c.now())
			l.Finish(&ticket, 0, 0)
			for _, w := range d.Requests {
				if n := within(log, c.now(), time.Duration(w.Window)); n > w.Limit {
					t.Fatalf("%d requests in %s, of %d", n, w.Window, w.Limit)
				}
			}
		}
	})
}

// within counts what was logged in the window that ends now.
func within(log []time.Time, now time.Time, span time.Duration) (n uint64) {
	for _, at := range log {
		if now.Sub(at) < span {
			n++
		}
	}
	return n
}

// checkRefused looks that a refusal was due: a window that is a slice longer
// must be full.
func checkRefused(t *rapid.T, d *Definition, log []time.Time, now time.Time) {
	for _, w := range d.Requests {
		longer := time.Duration(w.Window) + time.Duration(sliceOf(w.Window)) + time.Nanosecond
		if within(log, now, longer) >= w.Limit {
			return
		}
	}
	t.Fatalf("refused without need")
}

func TestRemainingIsExact(t *testing.T) {
	l, _ := limiter(t, map[string]string{"x": `{"per":"client","requests":[{"limit":3,"window":"10s"},{"limit":100,"window":"1h"}]}`})
	for want := 2; want >= 0; want-- {
		var ticket Ticket
		if err := l.AdmitClient(&ticket, request("a")); err != nil {
			t.Fatal(err)
		}
		if ticket.left != uint64(want) || ticket.tight.name != "x-10s" {
			t.Errorf("%d are left of %s, not %d", ticket.left, ticket.tight.name, want)
		}
		if got, want := strings.Join(ticket.Policy(), "|"), `"x-10s";q=3;w=10, "x-1h";q=100;w=3600`; got != want {
			t.Errorf("the policy is %s", got)
		}
		l.Finish(&ticket, 0, 0)
	}
	var ticket Ticket
	err := l.AdmitClient(&ticket, request("a"))
	if state := string(ticket.AppendState(nil)); err == nil || state != `"x-10s";r=0;t=11` && state != `"x-10s";r=0;t=10` {
		t.Errorf("%v, %s", err, state)
	}
	if ticket.Policy() == nil {
		t.Error("a refusal tells no policy")
	}
}

func TestConcurrencyIsGivenBack(t *testing.T) {
	l, _ := limiter(t, map[string]string{"x": `{"per":"client","concurrency":2}`})
	tickets := make([]Ticket, 3)
	for i := range 2 {
		if err := l.AdmitClient(&tickets[i], request("a")); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.AdmitClient(&tickets[2], request("a")); !errors.Is(err, ErrConcurrency) {
		t.Fatalf("the third: %v", err)
	}
	l.Finish(&tickets[2], 0, 0)
	l.Finish(&tickets[0], 0, 0)
	if err := l.AdmitClient(&tickets[2], request("a")); err != nil {
		t.Errorf("after one ended: %v", err)
	}
}

func TestBytes(t *testing.T) {
	l, _ := limiter(t, map[string]string{"x": `{"per":"client","request_bytes":[{"limit":6400,"window":"1h"}],"response_bytes":[{"limit":6400,"window":"1h"}]}`})
	send := func(known, read, written int64) error {
		var ticket Ticket
		q := request("a")
		q.Bytes = known
		err := l.AdmitClient(&ticket, q)
		l.Finish(&ticket, read, written)
		return err
	}
	if err := send(6401, 0, 0); !errors.Is(err, ErrRate) {
		t.Errorf("a body beyond the limit: %v", err)
	}
	if err := send(3200, 0, 0); err != nil {
		t.Error(err)
	}
	if err := send(3201, 0, 0); !errors.Is(err, ErrRate) {
		t.Errorf("a body beyond what is left: %v", err)
	}
	if err := send(-1, 3200, 100); err != nil {
		t.Errorf("a body of unknown length: %v", err)
	}
	if err := send(0, 0, 0); !errors.Is(err, ErrRate) {
		t.Errorf("after all bytes were used: %v", err)
	}
}

func TestChangedLimitGoesOnCounting(t *testing.T) {
	one := `{"per":"client","requests":[{"limit":%d,"window":"1h"}]}`
	l, _ := limiter(t, map[string]string{"x": fmt.Sprintf(one, 2)})
	for range 2 {
		if err := once(l, request("a")); err != nil {
			t.Fatal(err)
		}
	}
	l.Define(parseAll(t, map[string]string{"x": fmt.Sprintf(one, 3)}))
	if err := once(l, request("a")); err != nil {
		t.Errorf("a raised limit: %v", err)
	}
	if err := once(l, request("a")); err == nil {
		t.Error("raising a limit was a reset")
	}
	l.Define(nil)
	if err := once(l, request("a")); err != nil {
		t.Errorf("a deleted limit: %v", err)
	}
}

func TestCountsOutlastARestart(t *testing.T) {
	defs := map[string]string{
		"day":  `{"per":"client","requests":[{"limit":1,"window":"1s"},{"limit":3,"window":"24h"}]}`,
		"role": `{"per":"role","requests":[{"limit":3,"window":"24h"}]}`,
		"read": `{"per":"client","exposure":{"records":[{"limit":2,"window":"24h"}],"when_exhausted":"refuse"}}`,
	}
	l, c := limiter(t, defs)
	q := request("a")
	q.Roles = []string{"r"}
	for range 3 {
		if err := once(l, q); err != nil {
			t.Fatal(err)
		}
		c.add(2 * time.Second)
	}
	for _, id := range []string{"r1", "r2"} {
		if v := l.Claim(exposed("a", id)); v.Err != nil {
			t.Fatal(v.Err)
		}
	}
	saved, secret := l.Save()
	again := New(c.now)
	again.Define(parseAll(t, defs))
	again.Restore(saved, secret)
	if err := once(again, q); !errors.Is(err, ErrRate) {
		t.Errorf("the restart was a reset: %v", err)
	}
	if v := again.Claim(exposed("a", "r3")); !errors.Is(v.Err, ErrExposure) {
		t.Errorf("the restart gave a budget back: %+v", v)
	}
	if v := again.Claim(exposed("a", "r1")); v.Err != nil {
		t.Errorf("a record that was read before the restart: %+v", v)
	}
	c.add(27 * time.Hour)
	if err := once(again, q); err != nil {
		t.Errorf("the counts of before the restart don't end: %v", err)
	}
}

func TestAddressesByNetwork(t *testing.T) {
	l, _ := limiter(t, map[string]string{"x": `{"per":"address","routes":["read"],"requests":[{"limit":1,"window":"1h"}]}`})
	ask := func(address string, g Group) error {
		var ticket Ticket
		err := l.AdmitAddress(&ticket, &Request{Group: g, Address: netip.MustParseAddr(address)})
		l.Finish(&ticket, 0, 0)
		return err
	}
	for _, address := range []string{"192.0.2.1", "2001:db8::1", "192.0.2.2", "2001:db8:0:1::1"} {
		if err := ask(address, GroupRead); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{"192.0.2.1", "::ffff:192.0.2.1", "2001:db8::2"} {
		if err := ask(address, GroupRead); !errors.Is(err, ErrRate) {
			t.Errorf("%s again: %v", address, err)
		}
	}
	if err := ask("192.0.2.1", GroupWrite); err != nil {
		t.Errorf("another group: %v", err)
	}
}

func TestManyAtOnceAreCountedRight(t *testing.T) {
	l, _ := limiter(t, map[string]string{
		"a": `{"per":"client","requests":[{"limit":500,"window":"1h"}]}`,
		"b": `{"per":"total","requests":[{"limit":700,"window":"1h"}]}`,
		"c": `{"per":"role","requests":[{"limit":600,"window":"1h"}]}`,
	})
	var mu sync.Mutex
	admitted := map[string]int{}
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			name := []string{"x", "y"}[g%2]
			q := request(name)
			q.Roles = []string{"r1", "r2"}
			if g%2 == 1 {
				slices.Reverse(q.Roles)
			}
			for range 300 {
				if once(l, q) == nil {
					mu.Lock()
					admitted[name]++
					mu.Unlock()
				}
			}
		})
	}
	group.Wait()
	if sum := admitted["x"] + admitted["y"]; sum != 600 {
		t.Errorf("%d were admitted, not 600: %v", sum, admitted)
	}
}

func TestThreeLimitsAllocateNothing(t *testing.T) {
	l, q, ticket := threeLimits(t)
	if n := testing.AllocsPerRun(1000, func() {
		if err := l.AdmitClient(ticket, q); err != nil {
			t.Fatal(err)
		}
		l.Finish(ticket, 0, 1000)
	}); n != 0 {
		t.Errorf("%.0f allocations", n)
	}
}

// BenchmarkThreeLimits is what an authenticated request pays for limits when
// three match, two windows each: below 1 us and no allocation.
func BenchmarkThreeLimits(b *testing.B) {
	l, q, ticket := threeLimits(b)
	b.ReportAllocs()
	for b.Loop() {
		if err := l.AdmitClient(ticket, q); err != nil {
			b.Fatal(err)
		}
		l.Finish(ticket, 0, 1000)
	}
}

func threeLimits(t testing.TB) (*Limiter, *Request, *Ticket) {
	l := New(time.Now)
	l.Define(parseAll(t, map[string]string{
		"client":              `{"per":"client","requests":[{"limit":2000000000,"window":"1s"},{"limit":2000000000,"window":"24h"}]}`,
		"role":                `{"per":"role","requests":[{"limit":2000000000,"window":"1s"},{"limit":2000000000,"window":"24h"}]}`,
		"total":               `{"per":"total","routes":["read"],"requests":[{"limit":2000000000,"window":"1s"}],"concurrency":1000}`,
		"default-concurrency": `{"per":"client","concurrency":1,"disabled":true}`,
	}))
	q := request("a")
	q.Roles = []string{"reader"}
	return l, q, new(Ticket)
}
