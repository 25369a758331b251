package bench

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// The workloads.
const (
	Read   = "read"   // GET of one record with its eight fields, a random one each time
	Write  = "write"  // POST of one record
	Mixed  = "mixed"  // four reads to a write
	Search = "search" // POST :search by an indexed field, one record found
	Import = "import" // POST :import of 500 lines; a line counts as an operation
)

// Workloads returns all, in the order of a run.
func Workloads() []string { return []string{Read, Write, Mixed, Search, Import} }

// The floors.
const (
	BareHTTP  = "bare-http"  // reads of a net/http server that answers with the same bytes
	BareWrite = "bare-write" // writes to it: the same requests and answers, and raw bbolt behind
	RawBbolt  = "raw-bbolt"  // bbolt group commits of the same bytes, fsync included; no network
)

// importLines is how many records a request of the import workload brings.
const importLines = 500

// Result is what one workload at one number of connections gave.
type Result struct {
	Workload    string  `json:"workload"`
	Connections int     `json:"connections"`
	Operations  uint64  `json:"operations"`
	Seconds     float64 `json:"seconds"`
	Rate        float64 `json:"rate"` // operations a second
	// Latencies of a request, in microseconds.
	P50 float64 `json:"p50_us"`
	P90 float64 `json:"p90_us"`
	P99 float64 `json:"p99_us"`
	Max float64 `json:"max_us"`
	// ServerCPU is the server's processor time of an operation, in microseconds;
	// 0 when the server is not ours.
	ServerCPU float64 `json:"server_cpu_us,omitempty"`
}

func newResult(workload string, connections int, operations uint64, took time.Duration, h *histogram) Result {
	us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
	return Result{
		Workload: workload, Connections: connections, Operations: operations,
		Seconds: took.Seconds(), Rate: float64(operations) / took.Seconds(),
		P50: us(h.quantile(0.50)), P90: us(h.quantile(0.90)), P99: us(h.quantile(0.99)), Max: us(h.max),
	}
}

// worker sends the requests of one connection.
type worker struct {
	c       *connection
	m       *maker
	bench   *Bench
	buffer  []byte
	body    []byte
	scratch histogram
	done    uint64 // operations
	failed  uint64 // requests beside noise
}

// step sends one request and returns how many operations it was.
type step func(*worker) (operations uint64, err error)

func (b *Bench) stepOf(workload string) (step, error) {
	switch workload {
	case Read:
		return (*worker).read, nil
	case Write:
		return (*worker).write, nil
	case Mixed:
		return (*worker).mixed, nil
	case Search:
		return (*worker).search, nil
	case Import:
		return (*worker).importLines, nil
	case BareHTTP:
		return (*worker).read, nil
	case BareWrite:
		return (*worker).write, nil
	}
	return nil, fmt.Errorf("there is no workload %q; there are %v", workload, Workloads())
}

func (w *worker) send(method, path, contentType string, body []byte, want int) error {
	w.buffer = w.c.target.request(w.buffer[:0], method, path, contentType, body)
	status, err := w.c.roundTrip(w.buffer, false)
	if err == nil && status != want {
		err = fmt.Errorf("%s answered %d, not %d", method, status, want)
	}
	return err
}

// answer sends one request and returns the body of its answer.
func (w *worker) answer(method, path, contentType string, body []byte, want int) ([]byte, error) {
	w.buffer = w.c.target.request(w.buffer[:0], method, path, contentType, body)
	status, err := w.c.roundTrip(w.buffer, true)
	if err == nil && status != want {
		err = fmt.Errorf("bench: %s answered %d, not %d", method, status, want)
	}
	return bytes.Clone(w.c.body), err
}

func (w *worker) read() (uint64, error) {
	ids := w.bench.ids
	return 1, w.send("GET", recordsPath+"/"+ids[w.m.r.IntN(len(ids))], "", nil, 200)
}

func (w *worker) write() (uint64, error) {
	w.body = w.m.record(w.body[:0], w.bench.next.Add(1))
	return 1, w.send("POST", recordsPath, "application/json", w.body, 201)
}

func (w *worker) mixed() (uint64, error) {
	if w.m.r.IntN(5) == 0 {
		return w.write()
	}
	return w.read()
}

func (w *worker) search() (uint64, error) {
	w.body = w.m.search(w.body[:0], 1+w.m.r.Uint64N(uint64(len(w.bench.ids))))
	return 1, w.send("POST", recordsPath+":search", "application/json", w.body, 200)
}

func (w *worker) importLines() (uint64, error) {
	ids, err := w.importBatch(importLines)
	return uint64(ids), err
}

// importBatch imports n records in one request and checks each line's result.
func (w *worker) importBatch(n int) (stored int, err error) {
	w.body = w.body[:0]
	last := w.bench.next.Add(uint64(n))
	for i := last - uint64(n) + 1; i <= last; i++ {
		w.body = append(w.m.record(w.body, i), '\n')
	}
	w.buffer = w.c.target.request(w.buffer[:0], "POST", recordsPath+":import", "application/x-ndjson", w.body)
	status, err := w.c.stream(w.buffer)
	switch {
	case err != nil:
		return 0, err
	case status != 200:
		return 0, fmt.Errorf("an import answered %d", status)
	}
	if stored = bytes.Count(w.c.body, []byte(`"status":201`)); stored != n {
		return stored, fmt.Errorf("an import stored %d of %d lines", stored, n)
	}
	return stored, nil
}

// importedIDs calls each with the id of every line of the last import.
func (w *worker) importedIDs(each func(id string)) {
	const mark = `"id":"`
	for rest := w.c.body; ; {
		i := bytes.Index(rest, []byte(mark))
		if i < 0 {
			return
		}
		rest = rest[i+len(mark):]
		if j := bytes.IndexByte(rest, '"'); j > 0 {
			each(string(rest[:j]))
		}
	}
}

// load runs a workload over n connections for the given time.
func (b *Bench) load(t *target, workload string, n int, duration time.Duration) (Result, error) {
	s, err := b.stepOf(workload)
	if err != nil {
		return Result{}, err
	}
	workers, err := b.connect(t, n)
	if err != nil {
		return Result{}, err
	}
	defer closeAll(workers)
	before := t.cpu()
	took, err := runAll(workers, s, duration)
	if err != nil {
		return Result{}, fmt.Errorf("%s at %s connections: %w", workload, strconv.Itoa(n), err)
	}
	var all histogram
	operations := uint64(0)
	for _, w := range workers {
		all.merge(&w.scratch)
		operations += w.done
	}
	r := newResult(workload, n, operations, took, &all)
	if spent := t.cpu() - before; spent > 0 && operations > 0 {
		r.ServerCPU = float64(spent.Microseconds()) / float64(operations)
	}
	return r, nil
}

func (b *Bench) connect(t *target, n int) ([]*worker, error) {
	workers := make([]*worker, 0, n)
	for range n {
		c, err := t.connect()
		if err != nil {
			closeAll(workers)
			return nil, err
		}
		workers = append(workers, &worker{c: c, m: newMaker(b.seed.Add(1)), bench: b})
	}
	return workers, nil
}

func closeAll(workers []*worker) {
	for _, w := range workers {
		w.c.close()
	}
}

// runAll lets every worker repeat the step. The first error ends all.
func runAll(workers []*worker, s step, duration time.Duration) (time.Duration, error) {
	var stop atomic.Bool
	errs := make([]error, len(workers))
	start := time.Now()
	var group sync.WaitGroup
	for i, w := range workers {
		group.Go(func() {
			for began := time.Now(); began.Sub(start) < duration && !stop.Load(); {
				n, err := s(w)
				if err != nil {
					errs[i] = err
					stop.Store(true)
					return
				}
				now := time.Now()
				w.scratch.record(now.Sub(began))
				w.done += n
				began = now
			}
		})
	}
	group.Wait()
	return time.Since(start), errors.Join(errs...)
}
