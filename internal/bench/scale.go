package bench

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// scaleConnections is how many connections import at a time: each has one
// import under way, whose lines the server commits together.
const scaleConnections = 4

// sampled is how many ids of a large import are kept to read by.
const sampled = 100_000

// Scale is what an import of many records measured.
type Scale struct {
	Records    uint64  `json:"records"`
	Seconds    float64 `json:"seconds"`
	Rate       float64 `json:"rate"` // records a second, durable
	PlainBytes uint64  `json:"plain_bytes"`
	FileBytes  int64   `json:"file_bytes,omitempty"`
	Overhead   float64 `json:"overhead,omitempty"` // file bytes for each plaintext byte
	Memory     memory  `json:"memory"`
	Points     []Point `json:"points"`
}

// Point is how reads go at a number of records.
type Point struct {
	Records   uint64   `json:"records"`
	Rate      float64  `json:"import_rate"` // since the point before
	FileBytes int64    `json:"file_bytes,omitempty"`
	Memory    memory   `json:"memory"`
	Reads     []Result `json:"reads"`
}

// RunScale imports n records and measures reads at 10,000, 100,000, 1,000,000
// and n of them.
func RunScale(ctx context.Context, o Options, n uint64) (*Scale, error) {
	b, err := prepare(ctx, o)
	if err != nil {
		return nil, err
	}
	s, err := b.scale(ctx, n)
	return s, errors.Join(err, b.cleanUp())
}

func (b *Bench) scale(ctx context.Context, n uint64) (*Scale, error) {
	s := &Scale{}
	if err := b.liftLimits(ctx); err != nil {
		return s, err
	}
	for _, stop := range stops(n) {
		took, err := b.importUpTo(ctx, stop)
		if err != nil {
			return s, err
		}
		p := Point{Records: stop, FileBytes: b.fileBytes(), Memory: b.memory()}
		p.Rate = float64(stop-s.Records) / took.Seconds()
		s.Seconds += took.Seconds()
		s.Records = stop
		b.say("%9d records  %8.0f records/s  file %d MiB  resident %d MiB", stop, p.Rate, p.FileBytes>>20, p.Memory.Resident>>20)
		if p.Reads, err = b.reads(ctx); err != nil {
			return s, err
		}
		s.Points = append(s.Points, p)
	}
	s.Rate = float64(s.Records) / s.Seconds
	s.PlainBytes = s.Records * uint64(len(newMaker(1).fields(nil, 1)))
	s.FileBytes, s.Memory = b.fileBytes(), b.memory()
	if s.FileBytes > 0 {
		s.Overhead = float64(s.FileBytes) / float64(s.PlainBytes)
	}
	return s, nil
}

func stops(n uint64) []uint64 {
	var all []uint64
	for _, s := range []uint64{10_000, 100_000, 1_000_000} {
		if s < n {
			all = append(all, s)
		}
	}
	return append(all, n)
}

// importUpTo imports until b.next is stop.
func (b *Bench) importUpTo(ctx context.Context, stop uint64) (time.Duration, error) {
	if err := b.renew(ctx); err != nil {
		return 0, err
	}
	workers, err := b.connect(b.target, scaleConnections)
	if err != nil {
		return 0, err
	}
	defer closeAll(workers)
	var left atomic.Int64
	left.Store(int64(stop - b.next.Load()))
	errs := make([]error, len(workers))
	var ids sync.Mutex
	var group sync.WaitGroup
	start := time.Now()
	for i, w := range workers {
		group.Go(func() { errs[i] = w.importShare(ctx, &left, &ids) })
	}
	group.Wait()
	return time.Since(start), errors.Join(errs...)
}

// importShare takes batches off left until none is.
func (w *worker) importShare(ctx context.Context, left *atomic.Int64, ids *sync.Mutex) error {
	const batch = 2000
	for ctx.Err() == nil {
		n := min(batch, left.Add(-batch)+batch)
		if n <= 0 {
			return nil
		}
		token, err := w.bench.client.Token(ctx)
		if err != nil {
			return err
		}
		w.c.target.token = token.Reveal()
		if _, err := w.importBatch(int(n)); err != nil {
			return err
		}
		ids.Lock()
		w.importedIDs(w.bench.remember)
		ids.Unlock()
	}
	return ctx.Err()
}

// remember keeps an even sample of all ids: once there are enough, a new one
// takes the place of a random old one, ever more rarely (reservoir sampling).
func (b *Bench) remember(id string) {
	seen := b.seed.Add(1)
	if len(b.ids) < sampled {
		b.ids = append(b.ids, id)
		return
	}
	if i := mix(seen) % seen; i < sampled {
		b.ids[i] = id
	}
}

// mix is the finaliser of SplitMix64: an even spread of consecutive numbers.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (b *Bench) reads(ctx context.Context) ([]Result, error) {
	var out []Result
	for _, n := range b.o.Connections {
		r, err := b.measure(ctx, Read, n)
		if err != nil {
			return out, err
		}
		b.say("%-10s %3d connections  %9.0f/s  p50 %8.0f us  p99 %8.0f us", Read, n, r.Rate, r.P50, r.P99)
		out = append(out, r)
	}
	return out, nil
}

func (b *Bench) fileBytes() int64 {
	info, err := os.Stat(b.o.DataFile)
	if b.o.DataFile == "" || err != nil {
		return 0
	}
	return info.Size()
}
