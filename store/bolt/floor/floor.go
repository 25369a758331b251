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

// Store is a bbolt file with a committer. It is safe for concurrent use; Close
// comes after the last Put.
type Store struct {
	db      *bbolt.DB
	path    string
	queue   chan *put
	puts    atomic.Uint64
	commits atomic.Uint64
	ended   chan struct{}
}

// put waits for its commit.
type put struct {
	key   [16]byte
	value []byte
	done  chan error
}

var puts = sync.Pool{New: func() any { return &put{done: make(chan error, 1)} }}

// Open makes the file at path, which must not exist.
func Open(path string) (*Store, error) {
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("floor: %s exists", path)
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout: time.Second, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType, InitialMmapSize: 1 << 33, NoStatistics: true,
	})
	if err != nil {
		return nil, fmt.Errorf("floor: %w", err)
	}
	s := &Store{db: db, path: path, queue: make(chan *put, maxBatch), ended: make(chan struct{})}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket(bucket)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, db.Close(), os.Remove(path))
	}
	go s.commitAll()
	return s, nil
}

// Close removes the file.
func (s *Store) Close() error {
	close(s.queue)
	<-s.ended
	return errors.Join(s.db.Close(), os.Remove(s.path))
}

// Put stores a value and returns when it is durable. Keys ascend, which is the
// kindest order for a B+tree and the one that time-ordered record ids have.
func (s *Store) Put(value []byte) error {
	p := puts.Get().(*put)
	defer puts.Put(p)
	p.value = value
	binary.BigEndian.PutUint64(p.key[:], s.puts.Add(1))
	s.queue <- p
	return <-p.done
}

// commitAll commits what waits, again and again, until the queue is closed.
func (s *Store) commitAll() {
	defer close(s.ended)
	batch := make([]*put, 0, maxBatch)
	last := 0
	for p := range s.queue {
		batch = s.gather(append(batch[:0], p), last)
		last = len(batch)
		err := s.db.Update(func(tx *bbolt.Tx) error { return putAll(tx.Bucket(bucket), batch) })
		s.commits.Add(1)
		for _, p := range batch {
			p.done <- err
		}
	}
}

func putAll(b *bbolt.Bucket, batch []*put) error {
	for _, p := range batch {
		if err := b.Put(p.key[:], p.value); err != nil {
			return err
		}
	}
	return nil
}

// gather adds what waits. The writers of the last batch get a moment to come
// back first, or each commit would serve half of them.
func (s *Store) gather(batch []*put, last int) []*put {
	for yields := 0; len(batch) < maxBatch; {
		select {
		case p, open := <-s.queue:
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
