package kvtest

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"strongroom/store/kv"
)

// A change is one Put or Delete of a transaction that rapid has drawn.
type change struct {
	Table  kv.Table
	Key    string
	Value  string
	Delete bool
}

var (
	tables  = rapid.SampledFrom([]kv.Table{kv.Meta, kv.Records, kv.Index})
	keys    = rapid.StringMatching(`[a-c]{1,4}`)
	bounds  = rapid.OneOf(rapid.Just(""), keys)
	changes = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) change {
		return change{tables.Draw(t, "table"), keys.Draw(t, "key"), rapid.StringN(0, 8, 300).Draw(t, "value"), rapid.Bool().Draw(t, "delete")}
	}), 1, 20)
)

func (c change) apply(tx kv.Tx) {
	if c.Delete {
		tx.Delete(c.Table, []byte(c.Key))
		return
	}
	tx.Put(c.Table, []byte(c.Key), []byte(c.Value))
}

// A shadow is what the tables should hold.
type shadow map[kv.Table]map[string]string

func (s shadow) apply(c change) {
	if s[c.Table] == nil {
		s[c.Table] = map[string]string{}
	}
	if c.Delete {
		delete(s[c.Table], c.Key)
	} else {
		s[c.Table][c.Key] = c.Value
	}
}

func (s shadow) copy() shadow {
	c := shadow{}
	for table, values := range s {
		c[table] = maps.Clone(values)
	}
	return c
}

// between returns the keys of [from, to) in order.
func (s shadow) between(table kv.Table, from, to string) []string {
	return slices.Collect(func(yield func(string) bool) {
		for _, k := range slices.Sorted(maps.Keys(s[table])) {
			if k >= from && (to == "" || k < to) && !yield(k) {
				return
			}
		}
	})
}

// compare reports where tx differs from the shadow.
func (s shadow) compare(tx kv.ReadTx) error {
	for _, table := range kv.Tables() {
		found := map[string]string{}
		tx.Scan(table, nil, nil, func(k, v []byte) bool {
			found[string(k)] = string(v)
			return true
		})
		if len(found) != len(s[table]) || len(found) > 0 && !maps.Equal(found, s[table]) {
			return fmt.Errorf("table %v holds %q, want %q", table, found, s[table])
		}
	}
	return nil
}

// model runs transactions one after the other, some of which fail, and
// compares what they and later readers see with a shadow.
func model(t *testing.T, e kv.Engine) {
	state := shadow{}
	rapid.Check(t, func(rt *rapid.T) {
		batch, fail := changes.Draw(rt, "changes"), rapid.Bool().Draw(rt, "fail")
		table, from, to := tables.Draw(rt, "table"), bounds.Draw(rt, "from"), bounds.Draw(rt, "to")
		var seen shadow
		err := e.Update(background, kv.Interactive, 100, func(tx kv.Tx) error {
			seen = state.copy()
			for _, c := range batch {
				c.apply(tx)
				seen.apply(c)
			}
			sameScans(rt, tx, seen, table, from, to)
			if fail {
				return errRefused
			}
			return seen.compare(tx)
		})
		if fail != (err != nil) {
			rt.Fatalf("update: %v", err)
		}
		if !fail {
			state = seen
		}
		view(t, e, func(tx kv.ReadTx) {
			if err := state.compare(tx); err != nil {
				rt.Fatal(err)
			}
			sameScans(rt, tx, state, table, from, to)
		})
	})
}

func sameScans(t *rapid.T, tx kv.ReadTx, s shadow, table kv.Table, from, to string) {
	expect := s.between(table, from, to)
	if got := scan(tx, table, from, to); !slices.Equal(got, expect) {
		t.Errorf("scan %q..%q: got %q, want %q", from, to, got, expect)
	}
	if got := scanBack(tx, table, from, to); !slices.Equal(got, expect) {
		t.Errorf("scan back %q..%q: got %q, want %q", from, to, got, expect)
	}
}

// concurrentModel runs transactions at the same time. Each takes the next
// number of a counter, which tells the order in which they happened: the
// tables must be what the shadow is after that order.
func concurrentModel(t *testing.T, e kv.Engine) {
	base, first := shadow{}, 0
	rapid.Check(t, func(rt *rapid.T) {
		batches := rapid.SliceOfN(changes, 2, 12).Draw(rt, "transactions")
		fails := rapid.SliceOfN(rapid.Bool(), len(batches), len(batches)).Draw(rt, "fail")
		order := make(map[int][]change)
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i, batch := range batches {
			wg.Go(func() {
				if number, ok := numbered(e, batch, fails[i], kv.Class(i%2)); ok {
					mu.Lock()
					defer mu.Unlock()
					order[number] = batch
				}
			})
		}
		wg.Wait()
		for n := first + 1; n <= first+len(order); n++ {
			for _, c := range order[n] {
				base.apply(c)
			}
		}
		first += len(order)
		base.apply(change{Table: kv.Counters, Key: "order", Value: string(counterValue(first))})
		view(t, e, func(tx kv.ReadTx) {
			if err := base.compare(tx); err != nil && first > 0 {
				rt.Fatal(err)
			}
		})
	})
}

// numbered applies a batch, and returns its place in the order of all.
func numbered(e kv.Engine, batch []change, fail bool, class kv.Class) (number int, ok bool) {
	err := e.Update(background, class, 100, func(tx kv.Tx) error {
		increment(tx, "order")
		number = counter(tx, "order")
		for _, c := range batch {
			c.apply(tx)
		}
		if fail {
			return errRefused
		}
		return nil
	})
	return number, err == nil
}
