package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"sync/atomic"
	"time"
)

// Stats are figures of an engine. Counters begin at zero when it is opened.
type Stats struct {
	FileSize      int64         // bytes
	PageSize      int           // bytes
	FreePages     int           // pages that hold nothing; compaction gives them back
	Batches       int64         // commits that were stored
	Operations    int64         // operations in them
	Failures      int64         // commits that were not, or perhaps not, stored
	LastCommit    time.Duration // how long the last commit took, fsync included
	SlowestCommit time.Duration
	MeanBatch     float64 // operations a commit
}

// counters are what the committer counts.
type counters struct {
	batches, operations, failures atomic.Int64
	last, slowest                 atomic.Int64
}

func (c *counters) committed(operations int, took time.Duration, err error) {
	if err != nil {
		c.failures.Add(1)
		return
	}
	c.batches.Add(1)
	c.operations.Add(int64(operations))
	c.last.Store(int64(took))
	c.slowest.Store(max(c.slowest.Load(), int64(took)))
}

// Stats returns the figures of the moment. An engine that is closed has its
// counters only, and an error.
func (e *Engine) Stats() (Stats, error) {
	s := Stats{
		Batches:       e.counters.batches.Load(),
		Operations:    e.counters.operations.Load(),
		Failures:      e.counters.failures.Load(),
		LastCommit:    time.Duration(e.counters.last.Load()),
		SlowestCommit: time.Duration(e.counters.slowest.Load()),
	}
	if s.Batches > 0 {
		s.MeanBatch = float64(s.Operations) / float64(s.Batches)
	}
	err := e.fileStats(&s)
	for try := 0; errors.Is(err, errMoved) && try < 10; try++ {
		err = e.fileStats(&s)
	}
	return s, err
}

// fileStats adds what the file says.
func (e *Engine) fileStats(s *Stats) error {
	m, err := e.moment(context.Background())
	if err != nil {
		return err
	}
	defer m.release()
	f, err := os.Open(e.path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	s.FileSize, s.PageSize = info.Size(), m.tx.DB().Info().PageSize
	s.FreePages, err = freePages(f, s.PageSize, uint64(m.tx.ID()))
	return err
}

// errMoved comes when the meta page of a transaction was overwritten already.
var errMoved = errors.New("the file moved on while it was being read")

// freePages reads the length of the free list that belongs to transaction id,
// whose pages are not used again while somebody reads in it. bbolt itself tells
// only those who pay for its statistics. A page begins
//
//	u64 id | u16 flags | u16 count | u32 overflow
//
// and a meta page (0 and 1, by turns) goes on
//
//	u32 magic | u32 version | u32 page size | u32 flags | u64 root | u64 sequence |
//	u64 free list | u64 high water mark | u64 transaction | u64 checksum
//
// in the byte order of the machine. A count of 0xFFFF stands for one that
// follows as a u64. See bbolt's internal/common.
func freePages(f io.ReaderAt, pageSize int, id uint64) (int, error) {
	const header, freelist, transaction = 16, 16 + 32, 16 + 48
	var meta [header + 64]byte
	for page := range 2 {
		if _, err := f.ReadAt(meta[:], int64(page*pageSize)); err != nil {
			return 0, err
		}
		if binary.NativeEndian.Uint64(meta[transaction:]) == id {
			at := binary.NativeEndian.Uint64(meta[freelist:])
			return freelistLength(f, int64(at)*int64(pageSize))
		}
	}
	return 0, errMoved
}

func freelistLength(f io.ReaderAt, at int64) (int, error) {
	var page [24]byte
	if _, err := f.ReadAt(page[:], at); err != nil {
		return 0, err
	}
	if count := binary.NativeEndian.Uint16(page[10:]); count != 0xFFFF {
		return int(count), nil
	}
	return int(binary.NativeEndian.Uint64(page[16:])), nil
}
