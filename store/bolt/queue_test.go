package bolt

import (
	"context"
	"testing"

	"strongroom/store/kv"
)

func queueOf(maxOps, maxBytes int, waiting ...*op) *queue {
	q := newQueue(maxOps, maxBytes)
	for _, o := range waiting {
		q.push(o)
	}
	return q
}

// drain takes one batch out of the queue, as the committer does.
func (q *queue) drain() (sizes []int) {
	q.earn()
	bytes, mixed := 0, false
	for o := q.next(len(sizes), bytes, mixed); o != nil; o = q.next(len(sizes), bytes, mixed) {
		sizes = append(sizes, o.size)
		bytes += o.size
		mixed = mixed || o.class == kv.Interactive
	}
	return sizes
}

func interactive(size int) *op { return newOp(kv.Interactive, size, nil) }
func bulk(size int) *op        { return newOp(kv.Bulk, size, nil) }

func wantBatch(t *testing.T, got []int, sizes ...int) {
	t.Helper()
	same := len(got) == len(sizes)
	for i := range sizes {
		same = same && got[i] == sizes[i]
	}
	if !same {
		t.Errorf("the batch has %v, want %v", got, sizes)
	}
}

func TestBatchBounds(t *testing.T) {
	q := queueOf(3, 100, interactive(60), interactive(50), interactive(500), interactive(1), interactive(2), interactive(3), interactive(4))
	wantBatch(t, q.drain(), 60)
	wantBatch(t, q.drain(), 50)
	wantBatch(t, q.drain(), 500) // larger than a batch: alone
	wantBatch(t, q.drain(), 1, 2, 3)
	wantBatch(t, q.drain(), 4)
	wantBatch(t, q.drain())
}

func TestInteractiveFirst(t *testing.T) {
	q := queueOf(10, 800, bulk(90), bulk(91), bulk(300), interactive(1), interactive(2))
	wantBatch(t, q.drain(), 1, 2, 90) // an eighth of a batch is bulk's share
	q.push(interactive(3))
	wantBatch(t, q.drain(), 3, 91)
	wantBatch(t, q.drain(), 300) // nobody else waits
}

func TestBulkEarnsItsTurn(t *testing.T) {
	q := queueOf(10, 800, bulk(5000))
	batches := 1
	for q.push(interactive(1)); len(q.drain()) == 1; q.push(interactive(1)) {
		if batches++; batches > 20 {
			t.Fatal("bulk never had its turn")
		}
	}
	want(t, "batches until bulk was served", batches, bulkShare)
}

// TestBulkAmongMany has more interactive operations waiting than a batch takes.
func TestBulkAmongMany(t *testing.T) {
	q := queueOf(3, 800, bulk(700))
	for batches := 1; ; batches++ {
		for q.waiting[kv.Interactive].len() < 10 {
			q.push(interactive(1))
		}
		if sizes := q.drain(); len(sizes) == 4 {
			wantBatch(t, sizes, 1, 1, 1, 700)
			want(t, "batches until bulk was served", batches, bulkShare-1)
			return
		}
		if batches > 20 {
			t.Fatal("bulk never had its turn")
		}
	}
}

// TestAbandonedInQueue leaves operations behind whose callers have gone.
func TestAbandonedInQueue(t *testing.T) {
	e := create(t, Options{})
	release := block(e)
	for range 100 {
		ctx, cancel := context.WithCancel(background)
		cancel()
		o := newOp(kv.Interactive, 1, func(kv.Tx) error { t.Error("ran"); return nil })
		e.queue.push(o)
		wantError(t, o.wait(ctx), context.Canceled)
	}
	release()
	mustPut(t, e, kv.Records, "a", "1")
}

func TestFifo(t *testing.T) {
	var f fifo
	in, out := 0, 0
	for round := range 200 {
		for range round % 17 {
			f.push(interactive(in))
			in++
		}
		for range round % 13 {
			if f.len() == 0 {
				break
			}
			want(t, "front", f.front().size, out)
			want(t, "pop", f.pop().size, out)
			out++
		}
		want(t, "length", f.len(), in-out)
	}
	if cap(f.ops) > 4*(in-out)+128 {
		t.Errorf("%d places for %d operations", cap(f.ops), in-out)
	}
}
