// Package floor measures what bbolt and the disk under it give at most: puts of
// one value each, made durable by group commits, with nothing else done. It is
// the figure that a benchmark of the store's writes is held against.
package floor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
)

// maxBatch bounds what shares a commit, as the store's engine does.
const maxBatch = 1024

var bucket = []byte("records")

// Options say what to measure.
type Options struct {
	Path     string        // of the file, which must not exist; it is removed
	Writers  int           // goroutines, each of which waits for its put
	Duration time.Duration // of the measurement
	Value    []byte        // what each put stores
	// Observe hears how long each put took; it is called by Writers goroutines
	// at once, each with its own number.
	Observe func(writer int, took time.Duration)
}

// Result is what was measured.
type Result struct {
	Puts    uint64
	Commits uint64
	Elapsed time.Duration
}

// put waits for its commit.
type put struct {
	key  [16]byte
	done chan error
}

// Writes measures. Keys ascend, which is the kindest order for a B+tree and the
// one that time-ordered record ids have.
func Writes(o Options) (Result, error) {
	if _, err := os.Lstat(o.Path); err == nil {
		return Result{}, fmt.Errorf("floor: %s exists", o.Path)
	}
	db, err := bbolt.Open(o.Path, 0o600, &bbolt.Options{
		Timeout: time.Second, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType, InitialMmapSize: 1 << 33, NoStatistics: true,
	})
	if err != nil {
		return Result{}, fmt.Errorf("floor: %w", err)
	}
	defer os.Remove(o.Path)
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket(bucket)
		return err
	})
	if err != nil {
		return Result{}, errors.Join(err, db.Close())
	}
	r, err := measure(db, o)
	return r, errors.Join(err, db.Close())
}

func measure(db *bbolt.DB, o Options) (Result, error) {
	queue := make(chan *put, o.Writers)
	var counter atomic.Uint64
	start := time.Now()
	var writers sync.WaitGroup
	for w := range o.Writers {
		writers.Go(func() { write(queue, &counter, w, start.Add(o.Duration), o.Observe) })
	}
	go func() {
		writers.Wait()
		close(queue)
	}()
	commits, err := commitAll(db, queue, o)
	return Result{Puts: counter.Load(), Commits: commits, Elapsed: time.Since(start)}, err
}

// write puts until the deadline, one after the other.
func write(queue chan<- *put, counter *atomic.Uint64, w int, deadline time.Time, observe func(int, time.Duration)) {
	p := &put{done: make(chan error, 1)}
	for began := time.Now(); began.Before(deadline); {
		binary.BigEndian.PutUint64(p.key[:], counter.Add(1))
		queue <- p
		if <-p.done != nil {
			return
		}
		now := time.Now()
		if observe != nil {
			observe(w, now.Sub(began))
		}
		began = now
	}
}

// commitAll commits what waits, again and again, until the queue is closed.
func commitAll(db *bbolt.DB, queue <-chan *put, o Options) (commits uint64, failed error) {
	batch := make([]*put, 0, maxBatch)
	last := 0
	for p := range queue {
		batch = gather(append(batch[:0], p), queue, last)
		last = len(batch)
		err := db.Update(func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucket)
			for _, p := range batch {
				if err := b.Put(p.key[:], o.Value); err != nil {
					return err
				}
			}
			return nil
		})
		commits++
		failed = errors.Join(failed, err)
		for _, p := range batch {
			p.done <- err
		}
	}
	return commits, failed
}

// gather adds what waits. The writers of the last batch get a moment to come
// back first, or each commit would serve half of them.
func gather(batch []*put, queue <-chan *put, last int) []*put {
	for yields := 0; len(batch) < maxBatch; {
		select {
		case p, open := <-queue:
			if !open {
				return batch
			}
			batch = append(batch, p)
		default:
			if yields++; len(batch) >= last || yields > 2 {
				return batch
			}
			runtime.Gosched()
		}
	}
	return batch
}
