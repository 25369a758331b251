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
	"strings"
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
	Line   int      `json:"line"` // from 1
	Status int      `json:"status"`
	ID     string   `json:"id,omitempty"`
	Error  *Problem `json:"error,omitempty"` // of a line that failed
}

// Import streams lines, each the JSON of a record as POST takes it (NDJSON), to
// the server and yields what became of each while it still reads. An import is
// not sent again by itself: what was yielded was stored. ErrTruncated comes when
// fewer results came than the server said.
func (c *Client) Import(ctx context.Context, ref CollectionRef, o ImportOptions, lines io.Reader) iter.Seq2[ImportResult, error] {
	return func(yield func(ImportResult, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		res, _, err := c.send(ctx, importCall(ref, o), io.NopCloser(lines), true)
		if err != nil {
			yield(ImportResult{}, err)
			return
		}
		defer res.Body.Close()
		for line, err := range streamLines(res) {
			var r ImportResult
			if err == nil && isEnd(line) {
				return
			}
			if err == nil {
				err = decodeLine(line, &r)
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
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
	buffered := bufio.NewWriterSize(w, 64<<10)
	encoder := json.NewEncoder(buffered)
	for r := range records {
		if err := encoder.Encode(r.body(false)); err != nil {
			return fmt.Errorf("client: encode a record: %w", err)
		}
	}
	return buffered.Flush()
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
	count := uint64(0)
	for line, err := range streamLines(res) {
		if err != nil {
			return err
		}
		if mark, ok := endMark(line); ok {
			if mark.Count != count {
				return fmt.Errorf("%w: %d of %d records came", ErrTruncated, count, mark.Count)
			}
			return nil
		}
		r := new(Record)
		if err := r.read(bytes.Clone(line)); err != nil {
			return err
		}
		if count++; !yield(r, nil) {
			return nil
		}
	}
	return ErrTruncated
}

// Backup writes a backup of the whole store to w as the server streams it.
// recipient is an age recipient to seal it for; empty leaves labels and ids
// readable in it. The caller verifies what came: see `strongroom restore --check`.
func (c *Client) Backup(ctx context.Context, recipient string, w io.Writer) (int64, error) {
	body := map[string]string{}
	if recipient != "" {
		body["recipient"] = recipient
	}
	q, err := post("/v1/backups", body)
	if err != nil {
		return 0, err
	}
	res, _, err := c.send(ctx, q, bytes.NewReader(q.body), true)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	n, err := io.Copy(w, res.Body)
	if err != nil {
		return n, fmt.Errorf("%w: %w", ErrTruncated, err)
	}
	return n, nil
}

type end struct {
	End   bool   `json:"end"`
	Count uint64 `json:"count"`
}

// isEnd tells the end mark from a line of content: only the mark begins so.
func isEnd(line []byte) bool {
	return strings.HasPrefix(string(line[:min(len(line), 16)]), `{"end":true`)
}

func endMark(line []byte) (mark end, ok bool) {
	if !isEnd(line) || json.Unmarshal(line, &mark) != nil {
		return end{}, false
	}
	return mark, mark.End
}

// decodeLine reads a result, or the problem that ended the stream.
func decodeLine(line []byte, into any) error {
	if err := json.Unmarshal(line, into); err != nil {
		return fmt.Errorf("client: a line of the stream is not what was expected: %w", err)
	}
	return nil
}

// streamLines yields the lines of an NDJSON body, valid until the next one. A
// line that is a problem document ends it with that error.
func streamLines(res *http.Response) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		lines := bufio.NewScanner(res.Body)
		lines.Buffer(make([]byte, 64<<10), maxAnswer)
		for lines.Scan() {
			if len(lines.Bytes()) == 0 {
				continue
			}
			if p := problemLine(lines.Bytes()); p != nil {
				yield(nil, p)
				return
			}
			if !yield(lines.Bytes(), nil) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(nil, fmt.Errorf("%w: %w", ErrTruncated, err))
		}
	}
}

func problemLine(line []byte) *Problem {
	if !bytes.HasPrefix(line, []byte(`{"type":`)) {
		return nil
	}
	p := new(Problem)
	if json.Unmarshal(line, p) != nil || p.Code == "" {
		return nil
	}
	return p
}
