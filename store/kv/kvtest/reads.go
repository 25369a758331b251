package kvtest

import (
	"testing"

	"strongroom/store/kv"
)

func emptyTables(t *testing.T, e kv.Engine) {
	view(t, e, func(tx kv.ReadTx) {
		for _, table := range kv.Tables() {
			want(t, table.String(), text(tx.Get(table, []byte("k"))), "-")
			wantKeys(t, table.String(), scan(tx, table, "", ""))
			wantKeys(t, table.String(), scanBack(tx, table, "", ""))
		}
	})
}

func readBack(t *testing.T, e kv.Engine) {
	put(t, e, kv.Records, "a", "1")
	want(t, "written", get(t, e, kv.Records, "a"), "1")
	put(t, e, kv.Records, "a", "2")
	want(t, "overwritten", get(t, e, kv.Records, "a"), "2")
	update(t, e, func(tx kv.Tx) {
		tx.Delete(kv.Records, []byte("a"))
		tx.Delete(kv.Records, []byte("never there"))
	})
	want(t, "deleted", get(t, e, kv.Records, "a"), "-")
}

func emptyValue(t *testing.T, e kv.Engine) {
	update(t, e, func(tx kv.Tx) {
		tx.Put(kv.Labels, []byte("nil"), nil)
		tx.Put(kv.Labels, []byte("empty"), []byte{})
		want(t, "within, nil", text(tx.Get(kv.Labels, []byte("nil"))), "")
	})
	want(t, "nil", get(t, e, kv.Labels, "nil"), "")
	want(t, "empty", get(t, e, kv.Labels, "empty"), "")
	view(t, e, func(tx kv.ReadTx) { wantKeys(t, "scan", scan(tx, kv.Labels, "", ""), "empty", "nil") })
}

func tablesApart(t *testing.T, e kv.Engine) {
	update(t, e, func(tx kv.Tx) {
		for _, table := range kv.Tables() {
			tx.Put(table, []byte("same"), []byte(table.String()))
		}
	})
	for _, table := range kv.Tables() {
		want(t, "value", get(t, e, table, "same"), table.String())
	}
}

func scans(t *testing.T, e kv.Engine) {
	put(t, e, kv.Index, "b", "", "a", "", "d", "", "c", "", "ca", "")
	put(t, e, kv.Labels, "other", "")
	for _, c := range []struct {
		from, to string
		want     []string
	}{
		{"", "", []string{"a", "b", "c", "ca", "d"}},
		{"b", "d", []string{"b", "c", "ca"}},
		{"bb", "cb", []string{"c", "ca"}},
		{"", "a", nil},
		{"", "b", []string{"a"}},
		{"d", "", []string{"d"}},
		{"e", "", nil},
		{"c", "c", nil},
		{"d", "a", nil},
		{"", "z", []string{"a", "b", "c", "ca", "d"}},
	} {
		view(t, e, func(tx kv.ReadTx) {
			wantKeys(t, "scan "+c.from+".."+c.to, scan(tx, kv.Index, c.from, c.to), c.want...)
			wantKeys(t, "scan back "+c.from+".."+c.to, scanBack(tx, kv.Index, c.from, c.to), c.want...)
		})
	}
}

func scanStops(t *testing.T, e kv.Engine) {
	put(t, e, kv.Index, "a", "1", "b", "2", "c", "3")
	var seen string
	stopAtB := func(k, v []byte) bool {
		seen += string(k) + string(v)
		return string(k) != "b"
	}
	view(t, e, func(tx kv.ReadTx) {
		tx.Scan(kv.Index, nil, nil, stopAtB)
		tx.ScanBack(kv.Index, nil, nil, stopAtB)
	})
	want(t, "seen", seen, "a1b2c3b2")
}

func ownWrites(t *testing.T, e kv.Engine) {
	put(t, e, kv.Records, "a", "old", "b", "old")
	update(t, e, func(tx kv.Tx) {
		tx.Put(kv.Records, []byte("a"), []byte("new"))
		tx.Delete(kv.Records, []byte("b"))
		tx.Put(kv.Records, []byte("c"), []byte("new"))
		want(t, "a", text(tx.Get(kv.Records, []byte("a"))), "new")
		want(t, "b", text(tx.Get(kv.Records, []byte("b"))), "-")
		wantKeys(t, "scan", scan(tx, kv.Records, "", ""), "a", "c")
		wantKeys(t, "scan back", scanBack(tx, kv.Records, "", ""), "a", "c")
	})
}

// scansAfterDeletes empties whole pages within a transaction: B-trees tend to
// stumble over those.
func scansAfterDeletes(t *testing.T, e kv.Engine) {
	const n = 2000
	value := make([]byte, 100)
	update(t, e, func(tx kv.Tx) {
		for i := range n {
			tx.Put(kv.Tokens, key(i), value)
		}
	})
	update(t, e, func(tx kv.Tx) {
		for i := 500; i < 1500; i++ {
			tx.Delete(kv.Tokens, key(i))
		}
		want(t, "forth", len(scan(tx, kv.Tokens, "", "")), n-1000)
		want(t, "back", len(scanBack(tx, kv.Tokens, "", "")), n-1000)
		want(t, "back before a gap", len(scanBack(tx, kv.Tokens, "", string(key(1200)))), 500)
		for i := range n {
			tx.Delete(kv.Tokens, key(i))
		}
		wantKeys(t, "forth, all deleted", scan(tx, kv.Tokens, "", ""))
		wantKeys(t, "back, all deleted", scanBack(tx, kv.Tokens, "", ""))
		tx.Put(kv.Tokens, key(1000), value)
		wantKeys(t, "back, one left", scanBack(tx, kv.Tokens, "", ""), string(key(1000)))
	})
}

func oneMoment(t *testing.T, e kv.Engine) {
	put(t, e, kv.Records, "a", "1", "b", "1")
	view(t, e, func(tx kv.ReadTx) {
		want(t, "a", text(tx.Get(kv.Records, []byte("a"))), "1")
		put(t, e, kv.Records, "a", "2", "b", "2", "c", "2")
		want(t, "b", text(tx.Get(kv.Records, []byte("b"))), "1")
		wantKeys(t, "scan", scan(tx, kv.Records, "", ""), "a", "b")
	})
	want(t, "a after", get(t, e, kv.Records, "a"), "2")
}

func viewError(t *testing.T, e kv.Engine) {
	wantError(t, e.View(background, func(kv.ReadTx) error { return errRefused }), errRefused)
}
