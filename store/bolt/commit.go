package bolt

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"

	"strongroom/store/kv"
)

// commitLoop is the committer. resume says that a batch was left half way,
// with writeMu held.
func (e *Engine) commitLoop(resume bool) {
	debug.SetPanicOnFault(true)
	b := &e.batch
	for resume || e.queue.wait() {
		if !resume {
			e.writeMu.Lock()
			b.reset(e.queue.earn())
		}
		resume = false
		e.runBatch(b)
		e.writeMu.Unlock()
		b.deliver()
	}
	close(e.drained)
}

// finish commits the batch's transaction, if one of its n operations has
// written, and returns what they are told.
func (e *Engine) finish(b *batch, n int) error {
	if !b.writer.touched {
		return b.tx.Rollback()
	}
	start := time.Now()
	number, err := e.commit(b.tx)
	if err != nil {
		err = e.settleFailure(number, err)
	} else if err := e.advance(); err != nil {
		e.breakDown(err) // the commit itself is stored
	}
	e.counters.committed(n, time.Since(start), err)
	e.recordDirty(b.writer.changes, err)
	return err
}

// commit numbers the transaction and commits it. A panic, which bbolt raises
// over a broken file, becomes an error.
func (e *Engine) commit(tx *bbolt.Tx) (number uint64, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
		if err != nil {
			abandon(tx)
		}
	}()
	meta := tx.Bucket(tableName(kv.Meta))
	number = meta.Sequence() + 1
	if err := meta.SetSequence(number); err != nil {
		return number, err
	}
	return number, e.opts.hooks.commit(tx)
}

// abandon lets go of a transaction that could not be committed, in whatever
// state that has left it, so that the file can be closed.
func abandon(tx *bbolt.Tx) {
	defer func() { _ = recover() }()
	_ = tx.Rollback()
}

// misled is what an operation is told that failed by itself in a batch that
// was not stored, or perhaps not: it wrote nothing, and can be tried again.
func misled(err error) error {
	if errors.Is(err, kv.ErrNotPersisted) {
		return err
	}
	return fmt.Errorf("%w: it shared a commit whose outcome is unknown", kv.ErrNotPersisted)
}
