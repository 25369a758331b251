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
// of bytes bytes so far; nil when none fits. mixed says that the batch has
// interactive ones.
func (q *queue) next(ops, bytes int, mixed bool) *op {
	q.mu.Lock()
	defer q.mu.Unlock()
	if ops >= q.maxOps {
		return nil
	}
	if o := q.waiting[kv.Interactive].front(); o != nil {
		if ops > 0 && bytes+o.size > q.maxBytes {
			return nil
		}
		return q.waiting[kv.Interactive].pop()
	}
	return q.nextBulk(ops, bytes, mixed)
}

// nextBulk takes a bulk operation. Next to interactive ones its credit is the
// only bound, so that one as large as a batch gets its turn too; a batch can
// then be twice as large as usual.
func (q *queue) nextBulk(ops, bytes int, mixed bool) *op {
	o := q.waiting[kv.Bulk].front()
	if o == nil {
		return nil
	}
	if mixed {
		price := min(max(o.size, 1), q.maxBytes)
		if q.credit < price {
			return nil
		}
		q.credit -= price
	} else if ops > 0 && bytes+o.size > q.maxBytes {
		return nil
	}
	return q.waiting[kv.Bulk].pop()
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
