package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"sync"
	"time"
)

// ImportOptions go with an import.
type ImportOptions struct {
	Upsert     bool   // by Key; otherwise each line creates
	Key        string // a unique field
	OnConflict string // replace, merge, ignore or fail
	Continue   bool   // past a line that fails
}

// ImportResult tells what became of a line.
type ImportResult struct {
	Line    int // from 1
	ID      string
	Created bool  // false: a record was there and was written or left alone
	Err     error // of a line that was not stored: a *Problem
}

// Import streams lines, each the JSON of a record as POST takes it (NDJSON), to
// the server and yields what became of each while it still reads. An import is
// not sent again by itself: what was yielded was stored. A failed line is a
// result; an error ends the import. ErrTruncated comes when the stream lacks its
// end mark: lines that were not answered may have been stored all the same.
func (c *Client) Import(ctx context.Context, ref CollectionRef, o ImportOptions, lines io.Reader) iter.Seq2[ImportResult, error] {
	return func(yield func(ImportResult, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		q := importCall(ref, o)
		if c.prover != nil {
			q.set("Expect", "100-continue") // what is refused for its proof is not read, and can be sent again
		}
		res, _, err := c.send(ctx, q, &unread{Reader: lines}, true)
		if err != nil {
			yield(ImportResult{}, err)
			return
		}
		defer res.Body.Close()
		for line, err := range streamLines(res) {
			if err != nil {
				yield(ImportResult{}, err)
				return
			}
			r, err := readResult(line)
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// readResult reads the line of a result. That of a failed line is a problem
// document with the line's number.
func readResult(line []byte) (ImportResult, error) {
	var wire struct {
		Line   int    `json:"line"`
		Status int    `json:"status"`
		ID     string `json:"id"`
	}
	if err := decodeLine(line, &wire); err != nil {
		return ImportResult{}, err
	}
	r := ImportResult{Line: wire.Line, ID: wire.ID, Created: wire.Status == http.StatusCreated}
	if wire.Status >= 300 {
		p := new(Problem)
		if err := decodeLine(line, p); err != nil {
			return r, err
		}
		r.Err = p
	}
	return r, nil
}

func importCall(ref CollectionRef, o ImportOptions) *call {
	q := &call{method: http.MethodPost, path: recordsPath(ref) + ":import"}
	q.set("Content-Type", ndjson)
	if o.Upsert {
		q.param("mode", "upsert")
		q.param("key", o.Key)
	}
	if o.OnConflict != "" {
		q.param("on_conflict", o.OnConflict)
	}
	if o.Continue {
		q.param("on_error", "continue")
	}
	return q
}

// ImportRecords is Import of records that are made as they go.
func (c *Client) ImportRecords(ctx context.Context, ref CollectionRef, o ImportOptions, records iter.Seq[RecordInput]) iter.Seq2[ImportResult, error] {
	return func(yield func(ImportResult, error) bool) {
		r, w := io.Pipe()
		defer r.Close()
		go func() { w.CloseWithError(encodeLines(w, records)) }()
		c.Import(ctx, ref, o, r)(yield)
	}
}

func encodeLines(w io.Writer, records iter.Seq[RecordInput]) error {
	buffered := &promptWriter{w: bufio.NewWriterSize(w, 64<<10)}
	encoder := json.NewEncoder(buffered)
	for r := range records {
		if err := encoder.Encode(r.body(false)); err != nil {
			return fmt.Errorf("client: encode a record: %w", err)
		}
	}
	return buffered.Flush()
}

// promptness is how long a line may wait for others to be sent with.
const promptness = 10 * time.Millisecond

// promptWriter is a buffer that is flushed when it is full, and a moment after
// it was written to: a slow source is not held up, a fast one not cut up.
type promptWriter struct {
	mu    sync.Mutex
	w     *bufio.Writer
	armed bool
}

func (p *promptWriter) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.armed {
		p.armed = true
		time.AfterFunc(promptness, func() { _ = p.Flush() })
	}
	return p.w.Write(b)
}

// Flush writes what waits; the writer keeps an error for the next call.
func (p *promptWriter) Flush() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed = false
	return p.w.Flush()
}

// Export yields the records of a collection with the fields that this client
// may see. ErrTruncated comes when the stream lacks its end mark or its count is
// not what came: a partial export is never taken for a whole one.
func (c *Client) Export(ctx context.Context, ref CollectionRef, o ListOptions) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		q := get(recordsPath(ref) + ":export")
		o.params(q)
		res, _, err := c.send(ctx, q, nil, false)
		if err != nil {
			yield(nil, err)
			return
		}
		defer res.Body.Close()
		if err := readExport(res, yield); err != nil {
			yield(nil, err)
		}
	}
}

// readExport yields records until the end mark; nil also when the consumer
// stopped.
func readExport(res *http.Response, yield func(*Record, error) bool) error {
	for line, err := range streamLines(res) {
		if err != nil {
			return err
		}
		r := new(Record)
		if err := r.read(bytes.Clone(line)); err != nil {
			return err
		}
		if !yield(r, nil) {
			return nil
		}
	}
	return nil
}

// endMark is the last line of a stream.
type endMark struct {
	End     bool     `json:"end"`
	Count   uint64   `json:"count"`  // records, or lines that were stored
	Failed  uint64   `json:"failed"` // lines that were not
	Problem *Problem `json:"problem"`
}

// streamLines yields the lines of an NDJSON body up to its end mark, each valid
// until the next one. A stream that ends without a mark, whose mark says that it
// broke off, or whose count is not what came, ends in an error.
func streamLines(res *http.Response) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		lines := bufio.NewScanner(res.Body)
		lines.Buffer(make([]byte, 64<<10), maxAnswer)
		came := uint64(0)
		for lines.Scan() {
			line := lines.Bytes()
			if bytes.HasPrefix(line, []byte(`{"end":`)) {
				if err := readEnd(line, came); err != nil {
					yield(nil, err)
				}
				return
			}
			if came++; !yield(line, nil) {
				return
			}
		}
		err := ErrTruncated
		if cause := lines.Err(); cause != nil {
			err = fmt.Errorf("%w: %w", err, cause)
		}
		yield(nil, err)
	}
}

// readEnd checks the end mark against the number of lines that came.
func readEnd(line []byte, came uint64) error {
	var mark endMark
	if err := decodeLine(line, &mark); err != nil {
		return err
	}
	switch {
	case mark.Problem != nil:
		return fmt.Errorf("%w: %w", ErrTruncated, mark.Problem)
	case !mark.End || mark.Count+mark.Failed != came:
		return fmt.Errorf("%w: %d of %d lines came", ErrTruncated, came, mark.Count+mark.Failed)
	}
	return nil
}

func decodeLine(line []byte, into any) error {
	if err := json.Unmarshal(line, into); err != nil {
		return fmt.Errorf("client: a line of the stream is not what was expected: %w", err)
	}
	return nil
}
