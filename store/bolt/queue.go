package bolt

import (
	"sync"

	"strongroom/store/kv"
)

// queue holds the operations that wait for the committer, in the order of
// their arrival within a class.
//
// Interactive operations go first. So that a steady stream of them can't
// starve bulk operations, each batch earns bulk a credit of bytes, which it
// may spend next to interactive operations.
type queue struct {
	mu       sync.Mutex
	waiting  [2]fifo
	closed   bool
	credit   int
	wake     chan struct{} // holds a token when something changed
	maxOps   int
	maxBytes int
}

// bulkShare is the part of a batch that bulk operations earn while
// interactive ones keep coming.
const bulkShare = 8

func newQueue(maxOps, maxBytes int) *queue {
	return &queue{wake: make(chan struct{}, 1), maxOps: maxOps, maxBytes: maxBytes}
}

// push adds an operation; false when the queue is closed.
func (q *queue) push(o *op) bool {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return false
	}
	q.waiting[o.class].push(o)
	q.mu.Unlock()
	q.signal()
	return true
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// close refuses further operations; those that wait are still served.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.signal()
}

// wait returns when something waits; false when the queue is closed and empty.
func (q *queue) wait() bool {
	for {
		q.mu.Lock()
		some := q.waiting[kv.Interactive].len()+q.waiting[kv.Bulk].len() > 0
		closed := q.closed
		q.mu.Unlock()
		if some || closed {
			return some
		}
		<-q.wake
	}
}

// next takes the operation that should join a batch which has ops operations
// of bytes bytes so far; nil when none does. mixed says that the batch has
// interactive ones.
func (q *queue) next(ops, bytes int, mixed bool) *op {
	q.mu.Lock()
	defer q.mu.Unlock()
	if o := q.waiting[kv.Interactive].front(); o != nil && q.fits(o, ops, bytes) {
		return q.waiting[kv.Interactive].pop()
	}
	o := q.waiting[kv.Bulk].front()
	if o == nil || mixed && !q.spend(o) || !mixed && !q.fits(o, ops, bytes) {
		return nil
	}
	return q.waiting[kv.Bulk].pop()
}

func (q *queue) fits(o *op, ops, bytes int) bool {
	return ops == 0 || ops < q.maxOps && bytes+o.size <= q.maxBytes
}

// spend pays for a bulk operation next to interactive ones. Credit is then its
// only bound: the batch may be full already, and twice as large with it.
func (q *queue) spend(o *op) bool {
	price := min(max(o.size, 1), q.maxBytes)
	if q.credit < price {
		return false
	}
	q.credit -= price
	return true
}

// earn gives waiting bulk operations their share of a batch. It returns how
// many operations wait in all.
func (q *queue) earn() (waiting int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	bulk := q.waiting[kv.Bulk].len()
	if q.credit = min(q.credit+q.maxBytes/bulkShare, q.maxBytes); bulk == 0 {
		q.credit = 0
	}
	return bulk + q.waiting[kv.Interactive].len()
}

// fifo is a queue in a slice that reuses its space.
type fifo struct {
	ops  []*op
	head int
}

func (f *fifo) len() int { return len(f.ops) - f.head }

func (f *fifo) front() *op {
	if f.len() == 0 {
		return nil
	}
	return f.ops[f.head]
}

func (f *fifo) push(o *op) {
	if f.head > 64 && f.head > len(f.ops)/2 {
		n := copy(f.ops, f.ops[f.head:])
		clear(f.ops[n:])
		f.ops, f.head = f.ops[:n], 0
	}
	f.ops = append(f.ops, o)
}

func (f *fifo) pop() *op {
	o := f.ops[f.head]
	f.ops[f.head] = nil
	if f.head++; f.head == len(f.ops) {
		f.ops, f.head = f.ops[:0], 0
	}
	return o
}
