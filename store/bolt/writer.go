package bolt

import (
	"go.etcd.io/bbolt"

	"strongroom/store/kv"
)

// writer is the write transaction of a batch, as one operation after the other
// sees it.
type writer struct {
	reader
	own     buckets
	wrote   bool    // the running operation has written
	touched bool    // any operation of the batch has written
	changes []entry // what was written, when a copy of the file is being made
	track   bool
}

// entry names a key of a table.
type entry struct {
	table kv.Table
	key   []byte
}

// reset starts the writer over for a transaction.
func (w *writer) reset(tx *bbolt.Tx, track bool) {
	clear(w.changes)
	*w = writer{reader: reader{tx: tx}, changes: w.changes[:0], track: track}
	w.buckets = &w.own
}

// Put implements kv.Tx.
func (w *writer) Put(t kv.Table, key, value []byte) {
	if value == nil {
		value = []byte{} // bbolt reads a nil back as a missing key
	}
	w.write(t, key, func(b *bbolt.Bucket) error { return b.Put(key, value) })
}

// Delete implements kv.Tx.
func (w *writer) Delete(t kv.Table, key []byte) {
	w.write(t, key, func(b *bbolt.Bucket) error { return b.Delete(key) })
}

func (w *writer) write(t kv.Table, key []byte, do func(*bbolt.Bucket) error) {
	defer w.guard()
	if w.err != nil {
		return
	}
	w.wrote, w.touched = true, true
	if err := do(w.bucket(t)); err != nil {
		w.err = err
		return
	}
	if w.track {
		w.changes = append(w.changes, entry{t, key})
	}
}
