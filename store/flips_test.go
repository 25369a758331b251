package store_test

import (
	"bytes"
	"testing"

	"strongroom/store"
	"strongroom/store/kv"
)

// TestAFlippedByteShowsNothingElse flips the bytes of every value that a small
// store holds, one at a time. What is read with it is refused, or fsck finds
// it; and nothing shows another value than before. The long run flips every
// byte, a plain one some of each value.
func TestAFlippedByteShowsNothingElse(t *testing.T) {
	r := empty(t)
	r.fill(t)
	a, root := r.atlas(t), t.TempDir()
	before := r.sights(t, r.engine.clone(), within(t, root, 0))
	flips, refused := 0, map[kv.Table]int{}
	for _, e := range r.engine.entries() {
		step := 1
		if !long() {
			step = max(1, len(e.Value)/4)
		}
		for at := 0; at < len(e.Value); at += step {
			flips++
			f := flip{entry: e, at: at, dir: within(t, root, flips)}
			if f.refusedOrFound(t, r, a, before) {
				refused[e.Table]++
			}
		}
	}
	t.Logf("%d flips, refused on reading, by table: %v", flips, refused)
	for _, table := range []kv.Table{kv.Meta, kv.Control, kv.Keysets, kv.Records, kv.Revisions, kv.DEKs, kv.Idempotency} {
		if refused[table] == 0 {
			t.Errorf("no read refused a flip in table %s", table)
		}
	}
}

// flip is one changed byte.
type flip struct {
	entry kv.Entry
	at    int
	dir   string // of the audit log
}

// refusedOrFound looks at a store with the flip, and reports whether the look
// was enough to find it.
func (f *flip) refusedOrFound(t *testing.T, r *rich, a atlas, before seen) bool {
	t.Helper()
	value := bytes.Clone(f.entry.Value)
	value[f.at] ^= 1 << (f.at % 8)
	broken := r.engine.clone()
	broken.Put(f.entry.Table, f.entry.Key, value)
	m := &move{what: "a flip in table " + f.entry.Table.String(), table: f.entry.Table, key: f.entry.Key, value: value, sound: f.entry.Value}
	s, err := r.reopen(t, broken, f.dir)
	if err != nil {
		wantRefusedStore(t, m, err)
		return true
	}
	defer s.close(t)
	j := judge{t: t, a: a, m: m, before: before, after: r.look(s.Store)}
	if j.compare() {
		return true
	}
	report, err := s.Fsck(always, store.FsckOptions{Deep: true})
	need(t, err)
	if len(report.Damages) == 0 && unseen(f.entry, "flip", f.at) == "" {
		j.errorf("nothing finds the flip of byte %d of %d", f.at, len(value))
	}
	return false
}
