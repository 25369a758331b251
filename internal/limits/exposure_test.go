package limits

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func exposed(client, id string, fields ...string) *Exposed {
	return &Exposed{Client: client, ClientUID: nameKey(client), Record: id, Fields: fields}
}

func TestBudgetOfRecordsAndFields(t *testing.T) {
	l, c := limiter(t, map[string]string{"x": `{"per":"client","clients":["a"],"exposure":{
		"records":[{"limit":3,"window":"1h"}],"fields":[{"limit":4,"window":"24h"}],"when_exhausted":"refuse"}}`})
	if l.Bounded("b", nil) || !l.Bounded("a", nil) {
		t.Error("the wrong client is bounded")
	}
	steps := []struct {
		id     string
		fields []string
		ok     bool
	}{
		{"r1", []string{"f", "g"}, true},
		{"r1", []string{"f", "g"}, true}, // seen already
		{"r2", []string{"f"}, true},
		{"r3", []string{"f", "g"}, false}, // five fields
		{"r3", []string{"f"}, true},       // what was refused was not charged
		{"r4", []string{"f"}, false},
		{"r1", []string{"f"}, true},
	}
	for i, s := range steps {
		if v := l.Claim(exposed("a", s.id, s.fields...)); (v.Err == nil) != s.ok {
			t.Errorf("step %d: %+v", i, v)
		}
	}
	c.add(2 * time.Hour)
	v := l.Claim(exposed("a", "r5", "f"))
	if refused, ok := errors.AsType[*Refusal](v.Err); !ok || refused.Wait < 20*time.Hour {
		t.Errorf("the fields of the day come back: %+v", v)
	}
	c.add(26 * time.Hour)
	if v := l.Claim(exposed("a", "r5", "f")); v.Err != nil {
		t.Errorf("after a day: %v", v.Err)
	}
}

func TestExhaustedBudgetMasksOrThrottles(t *testing.T) {
	l, c := limiter(t, map[string]string{
		"m": `{"per":"client","clients":["m"],"exposure":{"records":[{"limit":1,"window":"1h"}],"when_exhausted":"mask"}}`,
		"t": `{"per":"client","clients":["t"],"exposure":{"records":[{"limit":2,"window":"10s"}],"when_exhausted":"throttle"}}`,
	})
	l.Claim(exposed("m", "r1"))
	if v := l.Claim(exposed("m", "r2")); !v.Masked || v.Err != nil {
		t.Errorf("masked: %+v", v)
	}
	if v := l.Claim(exposed("m", "r1")); v.Masked {
		t.Errorf("what was seen is masked: %+v", v)
	}
	var waits []time.Duration
	for i := range 6 {
		v := l.Claim(exposed("t", fmt.Sprint(i)))
		if waits = append(waits, v.Wait); v.Err != nil {
			break
		}
	}
	if want := []time.Duration{0, 0, 0, 5 * time.Second, 10 * time.Second, 0}; fmt.Sprint(waits) != fmt.Sprint(want) {
		t.Errorf("throttled by %v, not %v", waits, want)
	}
	c.add(8 * time.Second)
	if v := l.Claim(exposed("t", "later")); v.Err != nil || v.Wait != 7*time.Second {
		t.Errorf("later: %+v", v)
	}
}

// The set against a map of when each member was last seen.
func TestDistinctAgainstAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newDistinct(exactCount, new(atomic.Int64))
		last := map[uint64]int64{}
		slice := rapid.Int64Range(0, 1<<40).Draw(t, "start")
		d.advance(slice)
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			slice += rapid.Int64Range(0, 40).Draw(t, "pause") / 20 * rapid.Int64Range(0, 9).Draw(t, "slices")
			d.advance(slice)
			h := hashOf([]byte{byte(rapid.IntRange(0, 60).Draw(t, "member"))})
			seen, known := last[h]
			if want := known && slice-seen < slots; d.has(h) != want {
				t.Fatalf("has is %t, seen in slice %d, now %d", !want, seen, slice)
			}
			d.add(h)
			last[h] = slice
			want := uint64(0)
			for _, at := range last {
				if slice-at < slots {
					want++
				}
			}
			if d.count() != want {
				t.Fatalf("counts %d, not %d", d.count(), want)
			}
		}
	})
}

func TestSampledSetIsNearAndSmall(t *testing.T) {
	pool := new(atomic.Int64)
	d := newDistinct(2_000_000, pool)
	for i := range 1_000_000 {
		d.add(hashOf(fmt.Append(nil, i)))
	}
	if off := math.Abs(float64(d.count())-1e6) / 1e6; off > 0.03 {
		t.Errorf("a million counts as %d", d.count())
	}
	if len(d.words) > 131_072*2 {
		t.Errorf("it takes %d words", len(d.words))
	}
	shift, words := d.sample(savedMembers)
	if n := float64(uint64(len(words)) << shift); len(words) > savedMembers || math.Abs(n-1e6)/1e6 > 0.06 {
		t.Errorf("the saved sample of %d members counts as %.0f", len(words), n)
	}
}

func TestPoolBoundsAllSets(t *testing.T) {
	pool := new(atomic.Int64)
	pool.Store(poolWords - 1000)
	d := newDistinct(exactCount, pool)
	for i := range 50_000 {
		d.add(hashOf(fmt.Append(nil, i)))
	}
	if pool.Load() > poolWords {
		t.Errorf("%d words, of %d", pool.Load(), poolWords)
	}
	if off := math.Abs(float64(d.count())-5e4) / 5e4; off > 0.25 {
		t.Errorf("50,000 counts as %d in %d words", d.count(), len(d.words))
	}
	d.release()
	if pool.Load() != poolWords-1000 {
		t.Errorf("not all was given back: %d", pool.Load())
	}
}
