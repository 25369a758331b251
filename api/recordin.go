package api

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"strongroom/store"
)

// recordBody is a record as a caller writes it, with what an upsert adds.
type recordBody struct {
	store.RecordInput
	key        string
	onConflict string
}

// recordShape says which members a route's record body may have.
type recordShape struct {
	id     bool // "id"
	patch  bool // labels may be null, fields may be left out
	upsert bool // "key" and "on_conflict"
}

var (
	shapePost   = recordShape{id: true}
	shapePut    = recordShape{}
	shapePatch  = recordShape{patch: true}
	shapeUpsert = recordShape{upsert: true}
)

// recordReader reads record bodies. It is written by hand, over raw values: an
// import reads a million of them. The fields stay as they came, checked only
// for being well-formed, and are parsed once, by their schema.
type recordReader struct {
	text   bytes.Buffer
	dec    *jsontext.Decoder
	raw    []byte
	shape  recordShape
	body   recordBody
	fields bool
}

var recordReaders = sync.Pool{New: func() any { return &recordReader{dec: new(jsontext.Decoder)} }}

// decodeRecord reads a record body. The result's Fields alias raw.
func decodeRecord(raw []byte, shape recordShape) (recordBody, error) {
	if err := checkText(raw); err != nil {
		return recordBody{}, err
	}
	r := recordReaders.Get().(*recordReader)
	defer r.release()
	r.text = *bytes.NewBuffer(raw)
	r.dec.Reset(&r.text)
	r.raw, r.shape = raw, shape
	if err := r.read(); err != nil {
		return recordBody{}, err
	}
	return r.body, nil
}

func (r *recordReader) release() {
	*r = recordReader{dec: r.dec}
	recordReaders.Put(r)
}

func (r *recordReader) read() error {
	token, err := r.dec.ReadToken()
	if err != nil {
		return bodyFault(r.raw, err)
	}
	if token.Kind() != '{' {
		return refuseMember("", "must be an object")
	}
	for r.dec.PeekKind() != '}' {
		name, err := r.value()
		if err != nil {
			return err
		}
		if err := r.member(name); err != nil {
			return err
		}
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return bodyFault(r.raw, err)
	}
	if _, err := r.dec.ReadToken(); err != io.EOF {
		return refuseMember("", "something stands behind the object")
	}
	if !r.fields && !r.shape.patch {
		return refuseMember("/fields", "is missing")
	}
	return nil
}

// value reads the next value and returns its bytes within raw.
func (r *recordReader) value() ([]byte, error) {
	v, err := r.dec.ReadValue()
	if err != nil {
		return nil, bodyFault(r.raw, err)
	}
	end := int(r.dec.InputOffset())
	return r.raw[end-len(v) : end : end], nil
}

// member reads the value of a named member. Names are compared as they stand
// between their quotes: one of ours in escapes is as unknown as any other.
func (r *recordReader) member(name []byte) error {
	switch in := &r.body; string(name[1 : len(name)-1]) {
	case "fields":
		return r.readFields()
	case "labels":
		return r.readLabels()
	case "valid_until":
		return r.readTime(&in.ValidUntil)
	case "erase_at":
		return r.readTime(&in.EraseAt)
	case "id":
		if r.shape.id {
			return r.readString(&in.ID)
		}
	case "key":
		if r.shape.upsert {
			return r.readString(&in.key)
		}
	case "on_conflict":
		if r.shape.upsert {
			return r.readString(&in.onConflict)
		}
	}
	return r.fault("is not a member that this route takes")
}

func (r *recordReader) fault(detail string) error {
	return refuseMember(string(r.dec.StackPointer()), detail)
}

func (r *recordReader) readFields() (err error) {
	if r.body.Fields, err = r.value(); err != nil {
		return err
	}
	if r.body.Fields[0] != '{' {
		return r.fault("must be an object")
	}
	r.fields = true
	return nil
}

func (r *recordReader) readString(to *string) error {
	v, err := r.value()
	if err != nil {
		return err
	}
	if v[0] != '"' || len(v) == 2 {
		return r.fault("must be a string that is not empty")
	}
	*to = unquote(v)
	return nil
}

// unquote returns the text of a valid JSON string.
func unquote(v []byte) string {
	if bytes.IndexByte(v, '\\') < 0 {
		return string(v[1 : len(v)-1])
	}
	text, _ := jsontext.AppendUnquote(nil, v)
	return string(text)
}

func (r *recordReader) readTime(to *store.TimeChange) error {
	v, err := r.value()
	if err != nil {
		return err
	}
	to.Given = true
	if v[0] == 'n' {
		return nil
	}
	if v[0] == '"' {
		to.Time, err = time.Parse(time.RFC3339, unquote(v))
	}
	if v[0] != '"' || err != nil || !storable(to.Time) {
		return r.fault("must be null or a time such as 2026-01-31T12:00:00Z")
	}
	return nil
}

// storable refuses the instants that a time of the wire cannot be: RFC 3339 has
// years of four digits, and the zero time means none.
func storable(t time.Time) bool {
	year := t.UTC().Year()
	return year >= 1 && year <= 9999 && !t.IsZero()
}

func (r *recordReader) readLabels() error {
	token, err := r.dec.ReadToken()
	if err != nil {
		return bodyFault(r.raw, err)
	}
	if token.Kind() != '{' {
		return r.fault("must be an object of strings")
	}
	if r.shape.patch {
		r.body.PatchLabels = map[string]*string{}
	} else {
		r.body.Labels, r.body.SetLabels = map[string]string{}, true
	}
	for r.dec.PeekKind() != '}' {
		name, err := r.value()
		if err != nil {
			return err
		}
		if err := r.readLabel(unquote(name)); err != nil {
			return err
		}
	}
	if _, err = r.dec.ReadToken(); err != nil {
		return bodyFault(r.raw, err)
	}
	return nil
}

func (r *recordReader) readLabel(name string) error {
	v, err := r.value()
	switch {
	case err != nil:
		return err
	case v[0] == 'n' && r.shape.patch:
		r.body.PatchLabels[name] = nil
	case v[0] != '"':
		return r.fault("must be a string")
	case r.shape.patch:
		text := unquote(v)
		r.body.PatchLabels[name] = &text
	default:
		r.body.Labels[name] = unquote(v)
	}
	return nil
}

// decodeLine reads a line of an import.
func decodeLine(raw []byte) (store.RecordInput, error) {
	body, err := decodeRecord(raw, shapePost)
	if err != nil {
		return store.RecordInput{}, err
	}
	return body.RecordInput, nil
}

// conflictWay reads on_conflict; replace is the default.
func conflictWay(text string) (store.OnConflict, bool) {
	switch way := store.OnConflict(text); way {
	case "":
		return store.Replace, true
	case store.Replace, store.Merge, store.Ignore, store.Fail:
		return way, true
	}
	return "", false
}

var conflictWays = strings.Join([]string{string(store.Replace), string(store.Merge), string(store.Ignore), string(store.Fail)}, ", ")
