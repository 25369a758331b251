package bolt

import (
	"fmt"
	"sync"
	"sync/atomic"

	"go.etcd.io/bbolt"

	"strongroom/store/kv"
)

// A moment is a commit as readers see it: one read transaction of bbolt's that
// all of them share until the next commit is durable.
//
// Sharing has two gains. A reader never sees what a crash could still take
// back, whereas bbolt shows a commit as soon as its last page is written. And
// beginning to read takes no lock, whereas bbolt's Begin waits while that page
// is being written, and scans the list of readers.
//
// bbolt says that a transaction is not safe for concurrent use. What holds it
// back is its cache of buckets and nodes, which only a write transaction has;
// Get and cursors of a read transaction write nothing but atomic counters.
type moment struct {
	tx      *bbolt.Tx
	buckets buckets
	refs    atomic.Int64 // one of them is the engine's, while it is current
	idle    sync.Pool    // of *reader, each for one function at a time
}

// buckets are those of the tables, by table.
type buckets [tableCount]*bbolt.Bucket

func newMoment(db *bbolt.DB) (*moment, error) {
	tx, err := db.Begin(false)
	if err != nil {
		return nil, err
	}
	m := &moment{tx: tx}
	m.refs.Store(1)
	for _, t := range kv.Tables() {
		if m.buckets[t] = tx.Bucket(tableName(t)); m.buckets[t] == nil {
			m.release()
			return nil, fmt.Errorf("%w: table %v is missing", ErrDamaged, t)
		}
	}
	return m, nil
}

// reader lends a reader of the moment, which goes back by giveBack.
func (m *moment) reader() *reader {
	if r, ok := m.idle.Get().(*reader); ok {
		return r
	}
	return &reader{tx: m.tx, buckets: &m.buckets}
}

// giveBack keeps a reader for the next function, unless it has failed.
func (m *moment) giveBack(r *reader) {
	if r.err == nil {
		m.idle.Put(r)
	}
}

// number returns the number of the last commit that the moment has.
func (m *moment) number() uint64 { return m.buckets[kv.Meta].Sequence() }

// acquire takes a reference; false when the last one is gone already.
func (m *moment) acquire() bool {
	for {
		n := m.refs.Load()
		if n == 0 {
			return false
		}
		if m.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release gives a reference back. The last one ends the transaction, aside:
// that can wait for a page to be written.
func (m *moment) release() {
	if m.refs.Add(-1) == 0 {
		go m.tx.Rollback()
	}
}
