package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"strongroom/store"
	"strongroom/store/kv"
	"strongroom/vaultkeys"
)

func TestFsckClean(t *testing.T) {
	r := empty(t)
	noDamage(t, r.check(t, r.engine))
	r.fill(t)
	noDamage(t, r.check(t, r.engine))
	var calls, done, all uint64
	report, err := r.Fsck(always, store.FsckOptions{Deep: true, Progress: func(d, a uint64) { calls, done, all = calls+1, d, a }})
	need(t, err)
	noDamage(t, report.Damages)
	want := store.FsckReport{Integrations: 2, Collections: 4, Records: 8, Revisions: 10, Fields: 50, IndexTokens: 12}
	if got := fmt.Sprintf("%+v", report); got != fmt.Sprintf("%+v", want) {
		t.Errorf("got %s, want %+v", got, want)
	}
	if calls == 0 || done != all || done != 18 {
		t.Errorf("progress ended at %d of %d after %d calls", done, all, calls)
	}
	kinds := map[string]bool{}
	for _, e := range r.engine.entries() {
		if kind, _, _ := bytes.Cut(e.Key, []byte{0}); e.Table == kv.Control {
			kinds[string(kind)] = true
		}
	}
	for _, kind := range store.ControlKinds() {
		if !kinds[kind] && kind != "purge" {
			t.Errorf("the store of these tests has no control value of the kind %s", kind)
		}
	}
	for _, table := range kv.Tables() {
		if len(r.engine.tables[table].keys) == 0 {
			t.Errorf("the store of these tests has nothing in table %s", table)
		}
	}
}

// alone are the kinds of control values that nothing refers to.
var alone = []string{"role", "signing-key", "attest-key", "ledger", "backup", "secret", "issuer", "secret-use", "ended-token", "change", "approval", "break-glass", "limit", "limit-count",
	"rotation", "rotation-part", "schedule", "schedule-run", "erasure", "keys"}

// unseen names what fsck can't see from the disk alone, by table and what was
// done: entries that nothing else refers to, and bytes that nothing vouches for.
func unseen(e kv.Entry, do string, at int) string {
	kind, _, _ := bytes.Cut(e.Key, []byte{0})
	switch {
	case do == "delete" && e.Table == kv.Control && slices.Contains(alone, string(kind)):
		return "a control value that nothing refers to"
	case do == "delete" && e.Table == kv.Counters && bytes.HasSuffix(e.Key, []byte("floor")):
		return "new records begin above it; what was erased is not known otherwise"
	case e.Table == kv.Counters && bytes.HasSuffix(e.Key, []byte("floor")):
		return "a lower floor looks like any other"
	case e.Table == kv.Operations:
		return "told for people alone"
	case do == "flip" && e.Table == kv.Records && at >= 34:
		return "by which operation"
	case do == "flip" && e.Table == kv.Records && at >= 18 && at < 26 && e.Value[1] == 2:
		return "when exactly it was deleted"
	case do == "flip" && e.Table == kv.Changes && at < 9:
		return "when exactly it changed"
	case do == "flip" && e.Table == kv.Generations && at >= 1 && at < 9:
		return "the epoch: a running store knows it"
	case do == "flip" && e.Table == kv.Meta && string(e.Key) == "sequence":
		return "a later sequence is a gap"
	case do == "flip" && e.Table == kv.Meta && at < 3:
		return "a newer format that this program may read"
	}
	return ""
}

// TestFsckFinds damages a store in every way, entry by entry: each is found.
func TestFsckFinds(t *testing.T) {
	r := empty(t)
	r.fill(t)
	entries := r.engine.entries()
	for i, e := range entries {
		for do, damage := range map[string]func(*memory){
			"delete": func(m *memory) { m.Delete(e.Table, e.Key) },
			"cut":    func(m *memory) { m.Put(e.Table, e.Key, e.Value[:max(len(e.Value)-1, 0)]) },
			"grow":   func(m *memory) { m.Put(e.Table, e.Key, append(bytes.Clone(e.Value), 0)) },
			"swap":   func(m *memory) { swap(m, entries, i) },
			"rename": func(m *memory) { m.Delete(e.Table, e.Key); m.Put(e.Table, append(bytes.Clone(e.Key), 'x'), e.Value) },
		} {
			broken := r.engine.clone()
			damage(broken)
			if same(broken, r.engine) || unseen(e, do, 0) != "" {
				continue
			}
			if len(r.check(t, broken)) == 0 {
				t.Errorf("%s of an entry of table %s was not found: key %q", do, e.Table, e.Key)
			}
		}
	}
}

// swap gives an entry and the next one of its table each other's value.
func swap(m *memory, entries []kv.Entry, i int) {
	if j := i + 1; j < len(entries) && entries[j].Table == entries[i].Table {
		m.Put(entries[i].Table, entries[i].Key, entries[j].Value)
		m.Put(entries[j].Table, entries[j].Key, entries[i].Value)
	}
}

func same(a, b *memory) bool {
	return fmt.Sprint(a.entries()) == fmt.Sprint(b.entries())
}

// TestFsckFindsFlips flips bits of values: all of the small ones, some of the
// large ones.
func TestFsckFindsFlips(t *testing.T) {
	r := empty(t)
	r.fill(t)
	for _, e := range r.engine.entries() {
		step := max(1, len(e.Value)/12)
		for at := 0; at < len(e.Value); at += step {
			broken := r.engine.clone()
			value := bytes.Clone(e.Value)
			value[at] ^= 1 << (at % 8)
			broken.Put(e.Table, e.Key, value)
			if found := len(r.check(t, broken)) > 0; !found && unseen(e, "flip", at) == "" {
				t.Errorf("a flipped byte %d of table %s was not found: key %q, value %x", at, e.Table, e.Key, e.Value)
			}
		}
	}
}

// TestFsckNames holds the words that an operator reads against what was done.
func TestFsckNames(t *testing.T) {
	r := empty(t)
	r.fill(t)
	first := func(table kv.Table, part string) []byte {
		for _, e := range r.engine.entries() {
			if e.Table == table && bytes.Contains(e.Key, []byte(part)) {
				return e.Key
			}
		}
		t.Fatalf("table %s has no key with %q", table, part)
		return nil
	}
	flip := func(table kv.Table, part string, at int) func(*memory) {
		return func(m *memory) {
			key := first(table, part)
			value := bytes.Clone(m.Get(table, key))
			value[(len(value)+at)%len(value)] ^= 1
			m.Put(table, key, value)
		}
	}
	drop := func(table kv.Table, part string) func(*memory) {
		return func(m *memory) { m.Delete(table, first(table, part)) }
	}
	for _, c := range []struct {
		name   string
		damage func(*memory)
		kind   string
	}{
		{"the state of a record", flip(kv.Records, "rec-0", 0), "record"},
		{"no state", drop(kv.Records, "rec-0"), "revision"},
		{"no current revision", drop(kv.Revisions, "rec-2"), "revision"},
		{"the header of a revision", flip(kv.Revisions, "rec-0", 20), "wrapped key"},
		{"the last field of a revision", flip(kv.Revisions, "rec-0", -1), "field"},
		{"a wrapped key", flip(kv.DEKs, "rec-0", -1), "wrapped key"},
		{"no wrapped key", drop(kv.DEKs, "rec-0"), "wrapped key"},
		{"no index entry", drop(kv.Index, "email"), "index"},
		{"no list of tokens", drop(kv.Tokens, "rec-0"), "index"},
		{"no label", drop(kv.Labels, "owner"), "label"},
		{"no change", drop(kv.Changes, ""), "change"},
		{"no purge", drop(kv.Expiry, "rec-1"), "expiry"},
		{"no erasure", drop(kv.Expiry, "rec-2"), "expiry"},
		{"a count", flip(kv.Counters, "revisions", -1), "counter"},
		{"a role", flip(kv.Control, "role", -1), "control"},
		{"no integration", drop(kv.Control, "integration"), "control"},
		{"a keyset", flip(kv.Keysets, "\x01\x00\x00\x00\x01", -1), "keyset"},
		{"no generation", drop(kv.Generations, ""), "keyset"},
		{"no sequence", drop(kv.Meta, "sequence"), "record"},
	} {
		broken := r.engine.clone()
		c.damage(broken)
		found := false
		damages := r.check(t, broken)
		for _, d := range damages {
			found = found || d.Kind == c.kind
		}
		if !found {
			t.Errorf("%s: no damage of kind %q in %v", c.name, c.kind, damages)
		}
	}
}

// TestFsckRunning finds what only a running store can know: a control value
// that is gone, or an older one that was put back.
func TestFsckRunning(t *testing.T) {
	r := empty(t)
	r.fill(t)
	before := r.engine.clone()
	_, _, err := r.PutClient(always, anyone(), "invoicing", store.ClientSpec{Roles: []string{"reader"}, Disabled: true}, store.Precondition{})
	need(t, err)
	for _, key := range []string{"client\x00invoicing", "role\x00reader"} {
		present := r.engine.Get(kv.Control, []byte(key))
		r.engine.Delete(kv.Control, []byte(key))
		wantKind(t, r, "control")
		r.engine.Put(kv.Control, []byte(key), present)
	}
	r.engine.Put(kv.Control, []byte("client\x00invoicing"), before.Get(kv.Control, []byte("client\x00invoicing")))
	wantKind(t, r, "control")
}

func wantKind(t *testing.T, r *rich, kind string) {
	t.Helper()
	report, err := r.Fsck(always, store.FsckOptions{})
	need(t, err)
	for _, d := range report.Damages {
		if d.Kind == kind {
			return
		}
	}
	t.Errorf("no damage of kind %q in %v", kind, report.Damages)
}

// TestFsckKeyService tells a key service that is away from damage.
func TestFsckKeyService(t *testing.T) {
	r := empty(t)
	r.fill(t)
	r.keys.Unavailable(true)
	if _, err := r.Fsck(always, store.FsckOptions{}); !errors.Is(err, store.ErrKeyServiceUnavailable) {
		t.Errorf("with the key service away: %v", err)
	}
	r.keys.Unavailable(false)
	in, err := r.GetIntegration(always, anyone(), "acme")
	need(t, err)
	need(t, r.keys.Destroy(always, keyOf(r, in)))
	wantKind(t, r, "keyset")
	_, err = r.DeleteIntegration(always, anyone(), "globex", false)
	need(t, err)
	ctx, cancel := context.WithCancel(always)
	cancel()
	if _, err := r.Fsck(ctx, store.FsckOptions{}); err == nil {
		t.Error("fsck went on after its context had ended")
	}
}

func keyOf(r *rich, in store.Integration) vaultkeys.KeyName {
	return vaultkeys.IntegrationKey(r.UID(), in.UID)
}

// shoppers is a schema with fields of every kind: indexed, unique, nested.
const shoppers = `{"type":"object","properties":{"email":{"type":"string","x-index":"exact"},"card":{"type":"string"},
	"external_id":{"type":"string","x-index":"unique"},
	"customer":{"type":"object","properties":{"name":{"type":"string"},"phone":{"type":"string","x-field":true}}}},"required":["email"]}`
