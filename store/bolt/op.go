package bolt

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"strongroom/store/kv"
)

// op is one call of Update on its way through the committer.
type op struct {
	fn    func(kv.Tx) error
	size  int
	class kv.Class
	phase atomic.Int32 // opWaiting, then opStarted or opAbandoned
	done  chan struct{}

	// The outcome: written by the committer before done, read by the caller
	// after.
	err       error
	panicked  any
	exited    bool // fn called runtime.Goexit
	failed    bool // fn failed after a write: it is not run again
	uncertain bool // fn saw writes of the batch that were not durable yet
}

const (
	opWaiting int32 = iota
	opStarted
	opAbandoned
)

var ops = sync.Pool{New: func() any { return &op{done: make(chan struct{}, 1)} }}

func newOp(class kv.Class, size int, fn func(kv.Tx) error) *op {
	o := ops.Get().(*op)
	o.fn, o.size, o.class = fn, max(size, 0), class
	return o
}

func (o *op) release() {
	o.phase.Store(opWaiting)
	o.fn, o.err, o.panicked = nil, nil, nil
	o.exited, o.failed, o.uncertain = false, false, false
	ops.Put(o)
}

// start claims the operation for the committer; false when its caller left.
func (o *op) start() bool { return o.phase.CompareAndSwap(opWaiting, opStarted) }

// wait returns the outcome. When ctx ends before the operation was started,
// wait leaves it to the committer to throw away.
func (o *op) wait(ctx context.Context) error {
	select {
	case <-o.done:
	case <-ctx.Done():
		if o.phase.CompareAndSwap(opWaiting, opAbandoned) {
			return ctx.Err()
		}
		<-o.done
	}
	return o.outcome()
}

// outcome releases the operation and ends as fn did: with its error, its
// panic, or the end of the goroutine.
func (o *op) outcome() error {
	err, panicked, exited := o.err, o.panicked, o.exited
	o.release()
	if panicked != nil {
		panic(panicked)
	}
	if exited {
		runtime.Goexit()
	}
	return err
}

// call runs fn once. It returns false when fn ended its goroutine, whose
// deferred functions are running then.
func (o *op) call(tx kv.Tx, ended func()) {
	o.err, o.panicked = nil, nil
	returned := false
	defer func() {
		if returned {
			return
		}
		if o.panicked = recover(); o.panicked == nil {
			o.exited = true
			ended()
		}
	}()
	o.err = o.fn(tx)
	returned = true
}
