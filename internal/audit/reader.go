package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"strongroom/internal/uid"
)

// DamagedError comes from Reader.Next for a line that is no entry. The reader
// goes on behind it.
type DamagedError struct {
	File string // name of the file
	Line int    // counted from 1
}

// Error names the place.
func (e *DamagedError) Error() string {
	return fmt.Sprintf("audit: %s: line %d is damaged", e.File, e.Line)
}

// Filter selects entries. Empty members select everything.
type Filter struct {
	Since, Until time.Time // from Since on, before Until
	Phase        Phase
	Outcome      Result
	Client       string
	Action       string
	Integration  string
	Collection   string
	Record       string // also among the records that an entry stands for
	Operation    string
	RequestID    string
	Event        string
}

// Matches reports whether the filter selects the entry.
func (f *Filter) Matches(e *Entry) bool {
	return (f.Since.IsZero() || !e.Time.Before(f.Since)) &&
		(f.Until.IsZero() || e.Time.Before(f.Until)) &&
		is(f.Phase, e.Phase) && is(f.Outcome, e.Outcome) && is(f.Client, e.Client) &&
		is(f.Action, e.Action) && is(f.Integration, e.Integration) && is(f.Collection, e.Collection) &&
		(is(f.Record, e.Record) || slices.Contains(e.Records, f.Record)) && is(f.Operation, e.Operation) && is(f.RequestID, e.RequestID) &&
		is(f.Event, e.Event)
}

func is[S ~string](want, have S) bool { return want == "" || want == have }

// Reader streams the entries of a directory in the order they were written,
// also while a Log writes there. It is not safe for concurrent use.
type Reader struct {
	dir    string
	filter Filter
	number int // of the open file, or of the last one
	f      *os.File
	buf    *bufio.Reader
	line   int
	part   []byte // of a line whose end is not written yet
}

// NewReader reads from the oldest file on.
func NewReader(dir string, filter Filter) *Reader { return &Reader{dir: dir, filter: filter} }

// Close closes the open file.
func (r *Reader) Close() error {
	if r.f == nil {
		return nil
	}
	err := r.f.Close()
	r.f = nil
	return err
}

// Next returns the next entry that the filter selects. It returns io.EOF when
// there is none yet: a later call finds what was written since. A damaged line
// gives a *DamagedError, once.
func (r *Reader) Next() (Entry, error) {
	for {
		line, err := r.nextLine()
		if err != nil {
			return Entry{}, err
		}
		e, err := parseLine(line)
		if err != nil {
			return Entry{}, &DamagedError{fileName(r.number), r.line}
		}
		if r.filter.Matches(&e) {
			return e, nil
		}
	}
}

// nextLine returns a whole line, going from file to file.
func (r *Reader) nextLine() ([]byte, error) {
	if r.f == nil {
		if err := r.openNext(); err != nil {
			return nil, err
		}
	}
	for {
		line, err := r.readLine()
		if !errors.Is(err, io.EOF) {
			return line, err
		}
		if err := r.advance(); err != nil {
			return nil, err
		}
	}
}

func (r *Reader) readLine() ([]byte, error) {
	piece, err := r.buf.ReadBytes('\n')
	r.part = append(r.part, piece...)
	if err != nil {
		return nil, err
	}
	line := r.part
	r.part = nil
	r.line++
	return line, nil
}

// advance goes to the next file when there is one. A file that has a successor
// is complete, but it can have grown between its end being seen and the
// successor: so its end is looked for once more. What is left then is a line
// that a failing disk tore.
func (r *Reader) advance() error {
	next, err := r.successor()
	if err != nil {
		return err
	}
	rest, err := io.ReadAll(r.buf)
	if err != nil {
		return fmt.Errorf("audit: read: %w", err)
	}
	rest = append(r.part, rest...)
	r.part = nil
	if len(rest) > 0 {
		if rest[len(rest)-1] != '\n' {
			rest = append(rest, '\n') // a torn line counts as one that is damaged
		}
		r.buf = bufio.NewReader(io.MultiReader(bytes.NewReader(rest), r.f))
		return nil
	}
	r.Close()
	return r.openNumber(next)
}

func (r *Reader) openNext() error {
	next, err := r.successor()
	if err != nil {
		return err
	}
	return r.openNumber(next)
}

// successor returns the number of the file after the present one, or io.EOF.
func (r *Reader) successor() (int, error) {
	list, err := numbers(r.dir)
	if err != nil {
		return 0, fmt.Errorf("audit: read: %w", err)
	}
	i, _ := slices.BinarySearch(list, r.number+1)
	if i == len(list) {
		return 0, io.EOF
	}
	return list[i], nil
}

func (r *Reader) openNumber(number int) error {
	f, err := os.Open(filepath.Join(r.dir, fileName(number)))
	if err != nil {
		return fmt.Errorf("audit: read: %w", err)
	}
	r.f, r.number, r.line, r.part = f, number, 0, nil
	r.buf = bufio.NewReaderSize(f, 64<<10)
	return nil
}

// wire is Entry with the names and units of a line.
type wire struct {
	Time        time.Time `json:"time"`
	Phase       Phase     `json:"phase"`
	Operation   string    `json:"operation"`
	Client      string    `json:"client"`
	ClientUID   uid.UID   `json:"client_uid"`
	TokenID     string    `json:"token_id"`
	SecretID    string    `json:"secret_id"`
	Binding     string    `json:"binding"`
	Thumbprint  string    `json:"thumbprint"`
	Address     string    `json:"address"`
	RequestID   string    `json:"request_id"`
	TraceParent string    `json:"traceparent"`
	Action      string    `json:"action"`
	Integration string    `json:"integration"`
	Collection  string    `json:"collection"`
	Record      string    `json:"record"`
	Revision    uint64    `json:"revision"`
	Target      string    `json:"target"`
	Fields      []string  `json:"fields"`
	Masked      []string  `json:"masked"`
	Withheld    []string  `json:"withheld"`
	Searched    []string  `json:"searched"`
	Records     []string  `json:"records"`
	Count       uint64    `json:"count"`
	Purpose     string    `json:"purpose"`
	Approval    string    `json:"approval"`
	Change      string    `json:"change"`
	Requester   string    `json:"requester"`
	Outcome     Result    `json:"outcome"`
	Code        string    `json:"code"`
	DurationUS  int64     `json:"duration_us"`
	Event       string    `json:"event"`
	Detail      string    `json:"detail"`
	Lost        uint64    `json:"lost"`
}

// parseLine reads a line. Members that it doesn't know are left out, so that a
// log which a later version wrote can be read.
func parseLine(line []byte) (Entry, error) {
	var w wire
	if err := json.Unmarshal(line, &w); err != nil {
		return Entry{}, err
	}
	if w.Time.IsZero() || w.Phase == "" {
		return Entry{}, errors.New("audit: no entry")
	}
	return Entry{
		Time: w.Time, Phase: w.Phase, Operation: w.Operation,
		Client: w.Client, ClientUID: w.ClientUID, TokenID: w.TokenID, SecretID: w.SecretID,
		Binding: w.Binding, Thumbprint: w.Thumbprint,
		Address: w.Address, RequestID: w.RequestID, TraceParent: w.TraceParent,
		Action: w.Action, Integration: w.Integration, Collection: w.Collection, Record: w.Record,
		Revision: w.Revision, Target: w.Target, Fields: w.Fields, Masked: w.Masked,
		Withheld: w.Withheld, Searched: w.Searched, Records: w.Records, Count: w.Count, Purpose: w.Purpose, Approval: w.Approval,
		Change: w.Change, Requester: w.Requester, Outcome: w.Outcome, Code: w.Code,
		Duration: time.Duration(w.DurationUS) * time.Microsecond,
		Event:    w.Event, Detail: w.Detail, Lost: w.Lost,
	}, nil
}
