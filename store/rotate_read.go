package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"time"

	"strongroom/envelope"
	"strongroom/store/kv"
)

// Bounds of a view that a sweep reads in. They keep it far below the 100 ms
// that the engine bears, also where the pages come from a disk.
const (
	viewItems   = 1024
	viewScanned = 16 << 10
	viewTime    = 40 * time.Millisecond
	viewBytes   = 4 << 20 // of revisions that are sealed anew
)

// maxChunkBytes bounds the revisions of a chunk.
const maxChunkBytes = 16 << 20

// maxScanned bounds the values that a chunk passes by which need no move.
const maxScanned = 64 << 10

// extend reads on in one view, and reports whether the chunk can take more.
func (w *Sweeper) extend(ctx context.Context, c *chunk, keys sweepKeys, size int) (more bool, err error) {
	v := &sweepView{w: w, c: c, keys: keys, size: size, until: time.Now().Add(viewTime)}
	had, at, scanned, bytes := len(c.items), c.end, c.scanned, c.bytes
	err = w.s.engine.View(ctx, func(tx kv.ReadTx) error {
		c.items, c.end, c.scanned, c.bytes = c.items[:had], at, scanned, bytes
		v.tx = tx
		v.read()
		return nil
	})
	if err != nil {
		return false, err
	}
	if !v.complete {
		return len(c.items) < size && c.scanned < maxScanned && c.bytes < maxChunkBytes, nil
	}
	c.end = w.nextTable(c.table)
	if len(c.items) == 0 && !c.end.done() {
		c.table = c.end.table
		return c.scanned < maxScanned, nil
	}
	return false, nil
}

// arena is room for copies of small values, so that each is not an allocation
// of its own.
type arena []byte

const arenaSize = 64 << 10

func (a *arena) clone(b []byte) []byte {
	if cap(*a)-len(*a) < len(b) {
		*a = make([]byte, 0, max(arenaSize, len(b)))
	}
	start := len(*a)
	*a = append(*a, b...)
	return (*a)[start:len(*a):len(*a)]
}

// sweepView is one view of a sweep.
type sweepView struct {
	w        *Sweeper
	c        *chunk
	keys     sweepKeys
	tx       kv.ReadTx
	size     int
	until    time.Time
	taken    int
	scanned  int
	bytes    int
	space    arena
	complete bool // the table has come to its end
}

func (v *sweepView) read() {
	if v.c.table == sweepsControl {
		v.complete = v.scan(kv.Control, v.c.end.key, nil, v.control)
		return
	}
	for _, coll := range v.w.s.catalog.Load().collectionsOf(v.w.d.UID) {
		from, ok := v.c.end.from(coll)
		if !ok {
			continue
		}
		first := len(v.c.items)
		if v.c.table == sweepsTokens {
			ok = v.scan(kv.Tokens, from, after(coll[:]), v.token)
		} else {
			ok = v.scan(kv.DEKs, from, after(coll[:]), v.dek)
			ok = v.headers(first) && ok
		}
		if !ok {
			return
		}
		v.c.end.key = append(bytes.Clone(coll[:]), 0xff) // behind every key of it
	}
	v.complete = true
}

// scan goes through a range and hands each value to want, which takes what is
// to be moved. It reports whether it has come to the end of the range.
func (v *sweepView) scan(t kv.Table, from, to []byte, want func(key, value []byte) bool) bool {
	whole := true
	var last []byte
	v.tx.Scan(t, from, to, func(key, value []byte) bool {
		v.c.scanned++
		v.scanned++
		if want(key, value) {
			v.c.items = append(v.c.items, item{key: v.space.clone(key), old: v.space.clone(value)})
			v.taken++
		}
		last = key
		whole = !v.full()
		return whole
	})
	if !whole {
		v.c.end.key = bytes.Clone(last)
	}
	return whole
}

func (v *sweepView) full() bool {
	return v.taken >= viewItems || len(v.c.items) >= v.size || v.scanned >= viewScanned ||
		v.scanned%128 == 0 && !time.Now().Before(v.until)
}

// dek wants wrapped DEKs that are not under the primary key.
func (v *sweepView) dek(_, value []byte) bool {
	id, err := envelope.KeyIDOf(value)
	return err != nil || id != v.keys.keyID || v.w.all
}

// control wants control values that are not under the primary key.
func (v *sweepView) control(_, value []byte) bool {
	stored, err := decodeControlValue(value)
	if err != nil {
		return true
	}
	return v.dek(nil, stored.sealed)
}

// headers reads the headers of the revisions whose wrapped DEKs were taken, from
// the item first on: side by side where there are many, else one by one. When
// there are too many bytes of them, the items that it has not come to are left
// for another view, and it reports false.
func (v *sweepView) headers(first int) bool {
	items := v.c.items[first:]
	read := len(items)
	switch {
	case read == 0:
	case read*4 < v.scanned:
		read = v.headersByKey(items)
	default:
		read = v.headersInOrder(items)
	}
	if read == len(items) {
		return true
	}
	v.c.scanned -= uint64(len(items) - read)
	v.c.items = v.c.items[:first+read]
	v.c.end.key = items[read-1].key
	return false
}

// headersByKey and headersInOrder return how many items they have come to.
func (v *sweepView) headersByKey(items []item) int {
	for i := range items {
		if v.header(&items[i], v.tx.Get(kv.Revisions, items[i].key)); v.bytes >= viewBytes {
			return i + 1
		}
	}
	return len(items)
}

func (v *sweepView) headersInOrder(items []item) int {
	i := 0
	v.tx.Scan(kv.Revisions, items[0].key, nil, func(key, value []byte) bool {
		for i < len(items) && bytes.Compare(items[i].key, key) < 0 {
			v.header(&items[i], nil)
			i++
		}
		if i < len(items) && bytes.Equal(items[i].key, key) {
			v.header(&items[i], value)
			i++
		}
		return i < len(items) && v.bytes < viewBytes
	})
	for ; i < len(items) && v.bytes < viewBytes; i++ {
		v.header(&items[i], nil)
	}
	return i
}

// header takes from a revision what is needed to move its DEK: the digest of
// its header, or all of it when it is sealed anew.
func (v *sweepView) header(it *item, value []byte) {
	if value == nil {
		it.why = damaged("revision", errMissing)
		return
	}
	raw, ok := rawHeaderOf(value)
	if !ok {
		it.why = damaged("revision", errLayout)
		return
	}
	if v.w.o.Reseal {
		it.value = v.space.clone(value)
		v.bytes += len(value)
		v.c.bytes += len(value)
		return
	}
	it.digest = sha256.Sum256(raw)
}

// rawHeaderOf returns the header of a stored revision without looking at
// the fields.
func rawHeaderOf(value []byte) ([]byte, bool) {
	r := reader{b: value}
	format := r.u8()
	header := r.take(int(r.u32()))
	return header, format == revisionFormat && !r.bad
}
