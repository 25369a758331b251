package store_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"strongroom/internal/audit"
	"strongroom/internal/uid"
	"strongroom/store"
	"strongroom/store/kv"
)

// TestAForeignEntryHarmsNothing puts entries into every table that the store
// never writes: keys cut off anywhere, keys that are too long, values of no
// layout. Whatever walks over them goes on, and every record is as it was.
func TestAForeignEntryHarmsNothing(t *testing.T) {
	r := empty(t)
	r.fill(t)
	root := t.TempDir()
	before := r.sights(t, r.engine.clone(), within(t, root, 0))
	n := 0
	for _, e := range r.engine.entries() {
		step := 7
		if long() {
			step = 1
		}
		for cut := 1; cut < len(e.Key)+2; cut += step {
			n++
			f := kv.Entry{Table: e.Table, Key: append(bytes.Clone(e.Key), 0, 0)[:cut], Value: e.Value}
			if cut == len(e.Key) || e.Table == kv.Meta || r.engine.Get(e.Table, f.Key) != nil {
				continue
			}
			foreign(t, r, before, f, within(t, root, n))
		}
	}
	for _, table := range kv.Tables() {
		for size := 1; size < 40; size += 5 {
			n++
			if key := make([]byte, size); r.engine.Get(table, key) == nil {
				foreign(t, r, before, kv.Entry{Table: table, Key: key}, within(t, root, n))
			}
		}
	}
}

// foreign looks at a store with an entry more.
func foreign(t *testing.T, r *rich, before seen, f kv.Entry, dir string) {
	t.Helper()
	broken := r.engine.clone()
	broken.Put(f.Table, f.Key, f.Value)
	s, err := r.reopen(t, broken, dir)
	if err != nil {
		if f.Table != kv.Control && f.Table != kv.Keysets {
			t.Errorf("an entry of table %s, key %q: the store does not open: %v", f.Table, f.Key, err)
		}
		return
	}
	defer s.close(t)
	if _, err := s.Sweep(always); err != nil {
		t.Errorf("an entry of table %s, key %q: sweep: %v", f.Table, f.Key, err)
	}
	after := r.look(s.Store)
	for at, was := range before {
		if is := after[at]; is != was {
			t.Errorf("an entry of table %s, key %q: %v was %.300s, and is %.300s", f.Table, f.Key, at, was, is)
		}
	}
	if _, err := s.Fsck(always, store.FsckOptions{Deep: true}); err != nil {
		t.Errorf("an entry of table %s, key %q: fsck: %v", f.Table, f.Key, err)
	}
}

// TestWhatIsErasedByItselfIsNamed holds the audit log and the operations
// against what a sweep erased.
func TestWhatIsErasedByItselfIsNamed(t *testing.T) {
	r := empty(t)
	r.fill(t)
	r.now = r.now.Add(48 * time.Hour) // rec-2 is due, and rec-1 to be purged
	dir := within(t, t.TempDir(), 0)
	s, err := r.reopen(t, r.engine, dir)
	need(t, err)
	defer s.close(t)
	stats, err := s.Sweep(always)
	need(t, err)
	if stats.Erased != 4 {
		t.Errorf("%d records were erased, want 4", stats.Erased)
	}
	erased := map[string]bool{}
	for _, e := range audited(t, dir, audit.Filter{Action: "erase", Phase: audit.Intent}) {
		for _, id := range e.Records {
			erased[e.Integration+"/"+e.Collection+"/"+id] = true
			u, err := uid.Parse(e.Operation)
			need(t, err)
			if what := r.engine.Get(kv.Operations, u[:]); !strings.Contains(string(what), id) {
				t.Errorf("operation %s does not name %s", e.Operation, id)
			}
		}
	}
	want := fmt.Sprint(map[string]bool{"acme/customers/rec-1": true, "acme/customers/rec-2": true, "globex/customers/rec-1": true, "globex/customers/rec-2": true})
	if got := fmt.Sprint(erased); got != want {
		t.Errorf("the audit log names %s, want %s", got, want)
	}
}
