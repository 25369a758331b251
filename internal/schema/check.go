package schema

import (
	"bytes"
	"encoding/base64"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Validate reports what is wrong with a document as an *Invalid, or nil.
func (s *Schema) Validate(doc []byte) error {
	_, err := s.Check(doc)
	return err
}

// Check validates a document and splits it as Split does, in one pass where
// the schema allows. The values are parts of doc.
func (s *Schema) Check(doc []byte) ([]Value, error) {
	if s.plan != nil {
		if values, ok := s.direct(doc); ok {
			return values, nil
		}
	}
	return s.thorough(doc)
}

// thorough is the way through the engine. It alone words what is wrong.
func (s *Schema) thorough(doc []byte) ([]Value, error) {
	v, err := parse(doc, MaxDepth)
	if err != nil {
		return nil, invalidDocument(err.(*fault).Issue)
	}
	if err := s.engine.Validate(v); err != nil {
		return nil, invalidDocument(explain(err.(*jsonschema.ValidationError), v)...)
	}
	return s.divide(doc)
}

// direct validates and splits without building values. Its no means only
// that the engine is to be asked.
func (s *Schema) direct(doc []byte) ([]Value, bool) {
	r := openReader(doc)
	defer r.close()
	if r.dec.PeekKind() != '{' {
		return nil, false
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return nil, false
	}
	values := make([]Value, 0, min(len(s.plan.props), 16))
	missing, count := s.plan.required, 0
	for r.dec.PeekKind() == '"' {
		var bit uint64
		var ok bool
		if values, bit, ok = s.plan.member(r, values); !ok {
			return nil, false
		}
		missing &^= bit
		count++
	}
	if missing != 0 || count < s.plan.min || count > s.plan.max || len(values) > MaxFields {
		return nil, false
	}
	if _, err := r.dec.ReadToken(); err != nil || r.end() != nil {
		return nil, false
	}
	return values, true
}

// member reads a member, checks it and appends its fields.
func (p *plan) member(r *reader, values []Value) ([]Value, uint64, bool) {
	quoted, err := r.value()
	if err != nil {
		return values, 0, false
	}
	value, err := r.value()
	if err != nil {
		return values, 0, false
	}
	name := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		name = []byte(unquoteName(quoted))
	}
	at := p.props[string(name)]
	if at == nil {
		if p.closed || !plainName(name) || !fits(value, MaxDepth-1) {
			return values, 0, false
		}
		return append(values, Value{string(name), value}), 0, true
	}
	if !at.allows(r, value) {
		return values, 0, false
	}
	return take(values, at.path, value, at.branch), at.bit, true
}

// allows checks a property's value.
func (p *prop) allows(r *reader, value []byte) bool {
	if p.never {
		return false
	}
	if !p.simple {
		return p.ask(value)
	}
	switch value[0] {
	case '"':
		return p.types&kindString != 0 && p.allowsString(r, value)
	case '{':
		return p.types&kindObject != 0 && p.enum == nil && fits(value, MaxDepth-1)
	case '[':
		return p.types&kindArray != 0 && p.enum == nil && fits(value, MaxDepth-1)
	case 't', 'f':
		return p.types&kindBoolean != 0 && p.enum == nil
	case 'n':
		return p.types&kindNull != 0 && p.enum == nil
	}
	return p.enum == nil && p.allowsNumber(value)
}

// ask has the engine check one property.
func (p *prop) ask(value []byte) bool {
	v, err := parse(value, MaxDepth-1)
	return err == nil && p.engine.Validate(v) == nil
}

func (p *prop) allowsString(r *reader, quoted []byte) bool {
	text := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(text, '\\') >= 0 {
		var err error
		if r.scratch, err = jsontext.AppendUnquote(r.scratch[:0], quoted); err != nil {
			return false
		}
		text = r.scratch
	}
	return p.allowsLength(text) &&
		(p.enum == nil || p.enum[string(text)]) &&
		(p.pattern == nil || p.pattern.Match(text)) &&
		(p.format == nil || p.format(string(text)) == nil) &&
		(!p.base64 || isBase64(text))
}

// allowsLength compares code points, counting them only when the number of
// bytes doesn't settle it.
func (p *prop) allowsLength(text []byte) bool {
	if p.minLen == 0 && len(text) <= p.maxLen {
		return true
	}
	n := utf8.RuneCount(text)
	return n >= p.minLen && n <= p.maxLen
}

// allowsNumber decides about plain whole numbers and asks the engine about
// the others when it matters.
func (p *prop) allowsNumber(literal []byte) bool {
	if p.types&(kindInteger|kindNumber) == 0 || !numberFits(literal) {
		return false
	}
	if !p.ranged && p.types&kindNumber != 0 {
		return true
	}
	if len(literal) > 18 || bytes.ContainsAny(literal, ".eE") {
		return p.ask(literal)
	}
	n, err := strconv.ParseInt(string(literal), 10, 64)
	return err == nil && n >= p.low && n <= p.high
}

// isBase64 decides what decodeBase64 does, without keeping the bytes.
func isBase64(text []byte) bool {
	if len(text)%4 != 0 {
		return false
	}
	var out [3 * 256]byte
	for len(text) > 0 {
		chunk := text[:min(len(text), 1024)]
		text = text[len(chunk):]
		if bytes.IndexByte(chunk, '\n') >= 0 || bytes.IndexByte(chunk, '\r') >= 0 {
			return false
		}
		n, err := base64.StdEncoding.Strict().Decode(out[:], chunk)
		if err != nil || len(text) > 0 && n != len(out) {
			return false
		}
	}
	return true
}
