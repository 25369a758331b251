package api

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"

	"strongroom/store"
)

// transfer is what the store does with streams of records.
type transfer interface {
	ImportRecords(ctx context.Context, c store.Caller, ref store.CollectionRef, o store.ImportOptions,
		next func() (store.ImportLine, bool), emit func(store.ImportResult) error) error
	ExportRecords(ctx context.Context, c store.Caller, ref store.CollectionRef, o store.ListOptions,
		emit func(*store.Record) error) (uint64, error)
}

// importOptions reads the query of an import.
func (c *call) importOptions() (o store.ImportOptions, err error) {
	mode, err := c.query.choice("mode", "create", "upsert")
	if err != nil {
		return o, err
	}
	onError, err := c.query.choice("on_error", "stop", "continue")
	if err != nil {
		return o, err
	}
	way, known := conflictWay(c.query.text("on_conflict"))
	o = store.ImportOptions{Upsert: mode == "upsert", Key: c.query.text("key"), OnConflict: way,
		Continue: onError == "continue", Decode: decodeLine}
	_, hasWay := c.query.raw("on_conflict")
	switch {
	case !known:
		return o, refuse(errRequest, "on_conflict must be one of "+conflictWays)
	case o.Upsert && o.Key == "":
		return o, refuse(errRequest, "mode=upsert needs key=FIELD, a unique field")
	case !o.Upsert && (o.Key != "" || hasWay):
		return o, refuse(errRequest, "key and on_conflict go with mode=upsert")
	}
	return o, nil
}

// importRecords stores the lines of the body while they arrive and answers each
// while others still arrive. The answer begins with the first result, so that
// an import that is refused as a whole has a status that says so.
func (s *Server) importRecords(c *call) error {
	o, err := c.importOptions()
	if err != nil {
		return err
	}
	if err := c.checkMediaType(); err != nil {
		return err
	}
	in, out := c.openStream()
	defer out.stop()
	lines := &lineReader{body: in, longest: int(c.s.MaxBody)}
	tally := importTally{c: c, out: out}
	err = s.Store.ImportRecords(c.ctx(), c.who, c.collection(), o, lines.next, tally.emit)
	if err == nil {
		err = lines.err
	}
	if err != nil && !out.begun() {
		return err
	}
	s.Metrics.Imported(tally.stored, tally.failed)
	return tally.end(err)
}

// importTally writes the results of an import and counts them.
type importTally struct {
	c              *call
	out            *streamWriter
	stored, failed uint64
	last           error // of the line that failed last
}

// emit writes what became of one line.
func (t *importTally) emit(r store.ImportResult) error {
	if r.Err != nil {
		t.failed++
		t.last = r.Err
		return t.out.line(t.failure(r))
	}
	t.stored++
	return t.out.append(func(b []byte) []byte {
		b = append(b, `{"line":`...)
		b = strconv.AppendInt(b, int64(r.Line), 10)
		if r.Created {
			b = append(b, `,"status":201,"id":`...)
		} else {
			b = append(b, `,"status":200,"id":`...)
		}
		return append(appendText(b, r.ID), "}\n"...)
	})
}

// lineFailure is the result of a line that was not stored.
type lineFailure struct {
	Line int `json:"line"`
	problem
}

func (t *importTally) failure(r store.ImportResult) lineFailure {
	p, told := problemOf(r.Err)
	p.RequestID = t.c.id
	if !told {
		t.c.cause = r.Err
	}
	return lineFailure{r.Line, p}
}

// importEnd is the last line: complete when every line was looked at.
type importEnd struct {
	End     bool     `json:"end"`
	Count   uint64   `json:"count"`
	Failed  uint64   `json:"failed"`
	Problem *problem `json:"problem,omitempty"`
}

func (t *importTally) end(err error) error {
	last := importEnd{End: true, Count: t.stored, Failed: t.failed}
	if err != nil && (t.last == nil || !errors.Is(err, t.last)) {
		p := t.c.problemFor(err)
		last.End, last.Problem = false, &p
	}
	if err := t.out.line(last); err != nil {
		return nil // nobody is left to tell
	}
	return t.out.flush()
}

// exportRecords writes a record a line and a last line that says that it was
// all of them.
func (s *Server) exportRecords(c *call) error {
	o, err := c.listOptions(true)
	if err != nil {
		return err
	}
	_, out := c.openStream()
	defer out.stop()
	count, err := s.Store.ExportRecords(c.ctx(), c.who, c.collection(), o, func(r *store.Record) error {
		return out.append(func(b []byte) []byte { return append(appendRecord(b, r), '\n') })
	})
	if err != nil {
		return out.cut(err)
	}
	if err := out.line(exportEnd{End: true, Count: count}); err != nil {
		return nil
	}
	return out.flush()
}

type exportEnd struct {
	End     bool     `json:"end"`
	Count   uint64   `json:"count"`
	Problem *problem `json:"problem,omitempty"`
}

// cut ends an export that failed: with a status while that is possible, else
// with a last line and a broken connection, so that nobody takes it for whole.
func (o *streamWriter) cut(err error) error {
	if !o.begun() {
		return err
	}
	p := o.c.problemFor(err)
	_ = o.line(exportEnd{Problem: &p})
	_ = o.flush()
	return err
}

// line writes a value as a line of its own.
func (o *streamWriter) line(value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return o.append(func(b []byte) []byte { return append(append(b, text...), '\n') })
}
