package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// reader is a strict JSON reader over one document: duplicate member names
// and invalid UTF-8 are refused. Readers are pooled and keep no reference to
// a document once closed.
type reader struct {
	dec     jsontext.Decoder
	buf     bytes.Buffer
	doc     []byte
	scratch []byte
}

var readers = sync.Pool{New: func() any { return new(reader) }}

func openReader(doc []byte) *reader {
	r := readers.Get().(*reader)
	r.doc = doc
	r.buf = *bytes.NewBuffer(doc)
	r.dec.Reset(&r.buf)
	return r
}

func (r *reader) close() {
	r.doc = nil
	r.buf = bytes.Buffer{}
	r.dec.Reset(&r.buf)
	clear(r.scratch[:cap(r.scratch)])
	if cap(r.scratch) > 4<<10 {
		r.scratch = nil
	}
	readers.Put(r)
}

// value reads one value (or member name) and returns it as a part of the
// document.
func (r *reader) value() ([]byte, error) {
	v, err := r.dec.ReadValue()
	if err != nil {
		return nil, err
	}
	end := r.dec.InputOffset()
	start := end - int64(len(v))
	return r.doc[start:end:end], nil
}

// end reports whether nothing but white space is left.
func (r *reader) end() error {
	_, err := r.dec.ReadToken()
	switch {
	case err == io.EOF:
		return nil
	case err == nil:
		return &fault{Issue{"", "has text after its end"}}
	}
	return err
}

// fault is an issue on its way up as an error.
type fault struct{ Issue }

func (f *fault) Error() string { return f.Detail }

// issue words an error of reading without the snippets of the document that
// the reader's own errors quote.
func (r *reader) issue(err error) Issue {
	var f *fault
	if errors.As(err, &f) {
		return f.Issue
	}
	var syntax *jsontext.SyntacticError
	pointer := ""
	if errors.As(err, &syntax) {
		pointer = string(syntax.JSONPointer)
	}
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return Issue{pointer, "stands twice in its object"}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return Issue{pointer, "ends too early: the text is not complete JSON"}
	case !utf8.Valid(r.doc):
		return Issue{pointer, "is not valid UTF-8"}
	}
	return Issue{pointer, "is not well-formed JSON"}
}

// parse reads a document into the values that jsonschema works on: numbers
// are json.Number, so that they keep their literal.
func parse(doc []byte, maxDepth int) (any, error) {
	r := openReader(doc)
	defer r.close()
	v, err := r.tree(maxDepth)
	if err == nil {
		err = r.end()
	}
	if err != nil {
		return nil, &fault{r.issue(err)}
	}
	return v, nil
}

// tree reads one value, at most depth levels deep.
func (r *reader) tree(depth int) (any, error) {
	switch r.dec.PeekKind() {
	case '{', '[':
		return r.composite(depth)
	case '0':
		return r.number()
	}
	tok, err := r.dec.ReadToken()
	if err != nil {
		return nil, err
	}
	switch tok.Kind() {
	case '"':
		return tok.String(), nil
	case 't', 'f':
		return tok.Bool(), nil
	}
	return nil, nil
}

// here is the pointer of what was read last.
func (r *reader) here() string { return string(r.dec.StackPointer()) }

func (r *reader) number() (any, error) {
	literal, err := r.value()
	if err != nil {
		return nil, err
	}
	if !numberFits(literal) {
		return nil, &fault{Issue{r.here(), "is a number too long or too large to be handled exactly"}}
	}
	return json.Number(literal), nil
}

func (r *reader) composite(depth int) (any, error) {
	open, err := r.dec.ReadToken()
	if err != nil {
		return nil, err
	}
	if depth == 0 {
		return nil, &fault{Issue{r.here(), "is nested too deeply"}}
	}
	if open.Kind() == '[' {
		return r.array(depth)
	}
	object := map[string]any{}
	for r.dec.PeekKind() != '}' {
		name, err := r.dec.ReadToken()
		if err != nil {
			return nil, err
		}
		key := name.String()
		if object[key], err = r.tree(depth - 1); err != nil {
			return nil, err
		}
	}
	_, err = r.dec.ReadToken()
	return object, err
}

func (r *reader) array(depth int) (any, error) {
	array := []any{}
	for r.dec.PeekKind() != ']' {
		item, err := r.tree(depth - 1)
		if err != nil {
			return nil, err
		}
		array = append(array, item)
	}
	_, err := r.dec.ReadToken()
	return array, err
}

// numberFits reports whether a JSON number is within MaxNumberBytes and
// MaxExponent.
func numberFits(literal []byte) bool {
	if len(literal) > MaxNumberBytes {
		return false
	}
	e := bytes.IndexAny(literal, "eE")
	if e < 0 {
		return true
	}
	digits := bytes.TrimLeft(literal[e+1:], "+-0")
	if len(digits) > 4 {
		return false
	}
	n := 0
	for _, c := range digits {
		n = 10*n + int(c-'0')
	}
	return n <= MaxExponent
}

// fits reports whether a well-formed value stays within depth levels and its
// numbers within their bounds.
func fits(value []byte, depth int) bool {
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '"':
			i += stringEnd(value[i:]) - 1
		case c == '{' || c == '[':
			if depth--; depth < 0 {
				return false
			}
		case c == '}' || c == ']':
			depth++
		case c == '-' || c >= '0' && c <= '9':
			n := numberEnd(value[i:])
			if !numberFits(value[i : i+n]) {
				return false
			}
			i += n - 1
		}
	}
	return true
}

// stringEnd returns the length of the JSON string that b begins with.
func stringEnd(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}

// numberEnd returns the length of the JSON number that b begins with.
func numberEnd(b []byte) int {
	for i, c := range b {
		switch {
		case c >= '0' && c <= '9', c == '-', c == '+', c == '.', c == 'e', c == 'E':
		default:
			return i
		}
	}
	return len(b)
}
