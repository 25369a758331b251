package bolt

import (
	"runtime"

	"go.etcd.io/bbolt"

	"strongroom/store/kv"
)

// batch is a group of operations that share commits: one, unless operations
// fail after a write. Then the others are run again without them, all together
// at first and one by one when that has happened too often.
type batch struct {
	pending  []*op // run again at the next attempt
	settled  []*op // have their outcome
	bytes    int
	mixed    bool // has interactive operations
	gathered bool // takes no more operations
	restarts int
	expected int // callers that may be about to join
	yields   int // in a row that brought nobody
	tx       *bbolt.Tx
	writer   writer
}

// maxRestarts is how often a batch is run again as a whole.
const maxRestarts = 4

// maxYields bounds how often in a row the committer lets other goroutines run
// before it commits a batch, when none of them comes with an operation.
const maxYields = 2

// reset empties the batch. Expected are the callers of the one before, who were
// woken a moment ago, and those who have come since.
func (b *batch) reset(waiting int) {
	b.expected = len(b.settled) + waiting
	clear(b.settled)
	b.pending, b.settled = b.pending[:0], b.settled[:0]
	b.bytes, b.mixed, b.gathered, b.restarts, b.yields = 0, false, false, 0, 0
}

func (b *batch) add(o *op) {
	b.pending = append(b.pending, o)
	b.bytes += o.size
	b.mixed = b.mixed || o.class == kv.Interactive
}

// settle gives the first n pending operations the outcome of their commit.
// Those that were dropped may have failed over what others wrote, and have to
// hear it when that was not stored.
func (b *batch) settle(n int, err error) {
	if err != nil {
		for _, o := range b.settled {
			if o.failed {
				o.conclude(err)
			}
		}
	}
	for _, o := range b.pending[:n] {
		o.conclude(err)
	}
	b.settled = append(b.settled, b.pending[:n]...)
	b.pending = append(b.pending[:0], b.pending[n:]...)
}

// drop settles the i-th pending operation, which failed after a write.
func (b *batch) drop(i int) {
	b.settled = append(b.settled, b.pending[i])
	b.pending = append(b.pending[:i], b.pending[i+1:]...)
	b.restarts++
}

// deliver wakes the callers.
func (b *batch) deliver() {
	for _, o := range b.settled {
		o.done <- struct{}{}
	}
}

// runBatch runs the batch, gathering operations as it goes, until each has its
// outcome. It can be called again on a batch that was left half way.
func (e *Engine) runBatch(b *batch) {
	for !b.gathered || len(b.pending) > 0 {
		e.attempt(b)
	}
}

// attempt runs operations in one transaction and commits it. It settles all of
// them, or drops the one that makes another attempt necessary.
func (e *Engine) attempt(b *batch) {
	if err := e.beginBatch(b); err != nil {
		e.gatherAll(b)
		b.settle(len(b.pending), err)
		return
	}
	n := 0
	for ; e.more(b, n); n++ {
		if e.run(b, b.pending[n]); b.pending[n].failed {
			b.tx.Rollback()
			b.drop(n)
			return
		}
	}
	b.settle(n, e.finish(b, n))
}

func (e *Engine) beginBatch(b *batch) error {
	s := e.state.Load()
	if s.db == nil {
		return s.err
	}
	tx, err := s.db.Begin(true)
	if err != nil {
		return err
	}
	b.tx = tx
	b.writer.reset(tx, e.dirty != nil)
	return nil
}

// more reports whether there is an n-th operation to run, and takes it off the
// queue where need be.
func (e *Engine) more(b *batch, n int) bool {
	if n < len(b.pending) {
		return n == 0 || b.restarts <= maxRestarts
	}
	return !b.gathered && e.gather(b)
}

// gather adds the next operation of the queue to the batch. When the queue is
// empty, those that are expected get a chance to join: without it callers fall
// apart into groups that take turns, and each commit serves one of them.
func (e *Engine) gather(b *batch) bool {
	for {
		n := len(b.pending) + len(b.settled)
		o := e.queue.next(n, b.bytes, b.mixed)
		switch {
		case o != nil && o.start():
			b.yields = 0
			b.add(o)
			return true
		case o != nil:
			o.release()
		case n < b.expected && b.yields < maxYields:
			b.yields++
			runtime.Gosched()
		default:
			b.gathered = true
			return false
		}
	}
}

// gatherAll fills the batch without running anything.
func (e *Engine) gatherAll(b *batch) {
	for !b.gathered && e.gather(b) {
	}
}

// run runs one operation in the batch's transaction.
func (e *Engine) run(b *batch, o *op) {
	w := &b.writer
	w.wrote, o.uncertain = false, w.touched
	o.call(w, func() { e.takeOver(b, o) })
	if w.err != nil && o.panicked == nil {
		o.err = w.err
	}
	o.failed = w.err != nil || w.wrote && (o.err != nil || o.panicked != nil)
}

// takeOver hands the batch to a new committer when an operation has ended the
// goroutine of this one: testing.T.FailNow does that.
func (e *Engine) takeOver(b *batch, o *op) {
	b.tx.Rollback()
	for i := range b.pending {
		if b.pending[i] == o {
			b.drop(i)
			break
		}
	}
	go e.commitLoop(true)
}

// conclude makes the outcome of the commit that of the operation. One that
// failed by itself keeps its error, unless it may have been misled by writes
// that were never stored: then nothing of it was stored either.
func (o *op) conclude(err error) {
	switch {
	case err == nil || o.panicked != nil:
	case o.err == nil:
		o.err = err
	case o.uncertain:
		o.err = misled(err)
	}
}
