package bolt

import (
	"bytes"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"strongroom/store/kv"
)

// ErrDamaged comes from a transaction that met pages which can't be read: the
// disk failed, or the structure of the file is broken.
var ErrDamaged = errors.New("the data file can't be read")

// tableCount is the number of tables, for arrays by table.
const tableCount = int(kv.Operations) + 1

// reader is a transaction as one function sees it. Its first failed read is
// kept in err and makes the whole transaction fail.
type reader struct {
	tx      *bbolt.Tx
	buckets *buckets
	finders [tableCount]*bbolt.Cursor // of Get, by table; made when needed
	err     error
}

// bucket returns the bucket of t, found once a transaction.
func (r *reader) bucket(t kv.Table) *bbolt.Bucket {
	if b := r.buckets[t]; b != nil {
		return b
	}
	b := r.tx.Bucket(tableName(t))
	if b == nil {
		panic("table " + t.String() + " is missing")
	}
	b.FillPercent = fillOf(t)
	r.buckets[t] = b // in a write transaction only: a moment has them all
	return b
}

// fillOf returns how full the pages of a table are left when they are split.
// Ids are ordered by time unless callers bring their own, and commits are
// numbered: most tables grow at their end, where bbolt's half would leave every
// page half empty for good. Revisions are so large that room for less than one
// would be lost on each page; what takes the place of one is as large as it. The
// order of the other tables is as good as random.
func fillOf(t kv.Table) float64 {
	switch t {
	case kv.Revisions:
		return 1
	case kv.Records, kv.DEKs, kv.Tokens, kv.Changes:
		return 0.9
	}
	return bbolt.DefaultFillPercent
}

// guard turns a panic of bbolt, or a memory fault in the mapped file, into the
// transaction's error. It must be deferred directly.
func (r *reader) guard() {
	if p := recover(); p != nil && r.err == nil {
		r.err = fmt.Errorf("%w: %v", ErrDamaged, p)
	}
}

// Get implements kv.ReadTx.
func (r *reader) Get(t kv.Table, key []byte) (value []byte) {
	defer r.guard()
	if r.err != nil {
		return nil
	}
	if k, v := r.finder(t).Seek(key); bytes.Equal(k, key) {
		return v
	}
	return nil
}

// finder returns the cursor that Get looks with. It keeps its stack from one
// key to the next, where bbolt's own Get makes four allocations each time.
func (r *reader) finder(t kv.Table) *bbolt.Cursor {
	if r.finders[t] == nil {
		r.finders[t] = r.bucket(t).Cursor()
	}
	return r.finders[t]
}

// Scan implements kv.ReadTx.
func (r *reader) Scan(t kv.Table, from, to []byte, fn func(key, value []byte) bool) {
	c := r.cursor(t)
	for k, v := r.seek(c, from); k != nil; k, v = r.step(c, (*bbolt.Cursor).Next) {
		if to != nil && bytes.Compare(k, to) >= 0 || !fn(k, v) {
			return
		}
	}
}

// ScanBack implements kv.ReadTx.
func (r *reader) ScanBack(t kv.Table, from, to []byte, fn func(key, value []byte) bool) {
	c := r.cursor(t)
	for k, v := r.seekBefore(c, to); k != nil; k, v = r.stepBack(c, k) {
		if bytes.Compare(k, from) < 0 || !fn(k, v) {
			return
		}
	}
}

func (r *reader) cursor(t kv.Table) (c *bbolt.Cursor) {
	defer r.guard()
	if r.err != nil {
		return nil
	}
	return r.bucket(t).Cursor()
}

// seek moves to the first key >= from.
func (r *reader) seek(c *bbolt.Cursor, from []byte) (k, v []byte) {
	if len(from) == 0 {
		return r.step(c, (*bbolt.Cursor).First)
	}
	return r.step(c, func(c *bbolt.Cursor) ([]byte, []byte) { return c.Seek(from) })
}

// seekBefore moves to the last key < to, or to the last key when to is nil.
func (r *reader) seekBefore(c *bbolt.Cursor, to []byte) (k, v []byte) {
	return r.step(c, func(c *bbolt.Cursor) ([]byte, []byte) {
		if r.nothingBefore(c, to) {
			return nil, nil
		}
		if to == nil {
			return c.Last()
		}
		if k, _ := c.Seek(to); k == nil {
			return c.Last()
		}
		return r.prev(c, to)
	})
}

// stepBack moves to the last key < key, on which the cursor stands.
func (r *reader) stepBack(c *bbolt.Cursor, key []byte) (k, v []byte) {
	return r.step(c, func(c *bbolt.Cursor) ([]byte, []byte) { return r.prev(c, key) })
}

// prev is Prev of a cursor that stands on key. Within a write transaction
// bbolt's own stops at a page that deletes have emptied, as if nothing came
// before it; one more step leaves that page.
func (r *reader) prev(c *bbolt.Cursor, key []byte) (k, v []byte) {
	if k, v = c.Prev(); k != nil || r.nothingBefore(c, key) {
		return k, v
	}
	for k == nil && r.tx.Writable() {
		k, v = c.Prev()
	}
	return k, v
}

// nothingBefore reports whether a write transaction sees no key < key in the
// table of c; a nil key stands for the end. It is asked because bbolt's Last
// never returns when deletes have emptied every page of a table, and because
// prev needs an end.
func (r *reader) nothingBefore(c *bbolt.Cursor, key []byte) bool {
	if !r.tx.Writable() {
		return false
	}
	first, _ := c.Bucket().Cursor().First()
	return first == nil || key != nil && bytes.Compare(first, key) >= 0
}

// step moves the cursor, unless a read has failed already.
func (r *reader) step(c *bbolt.Cursor, move func(*bbolt.Cursor) ([]byte, []byte)) (k, v []byte) {
	defer r.guard()
	if r.err != nil {
		return nil, nil
	}
	return move(c)
}
