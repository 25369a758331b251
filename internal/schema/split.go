package schema

import "github.com/go-json-experiment/json/jsontext"

// Value is one field of a document.
type Value struct {
	// Path names the field.
	Path string
	// JSON is the field's value as the document writes it: literals of
	// numbers and escapes of strings are kept.
	JSON []byte
}

// branch is a member name on the way to nested fields.
type branch struct {
	field    bool
	children map[string]*branch
}

// branches arranges the nested fields under their top-level names; nil when
// there are none.
func branches(fields []Field) map[string]*branch {
	var tops map[string]*branch
	for _, f := range fields {
		if !f.Nested {
			continue
		}
		if tops == nil {
			tops = map[string]*branch{}
		}
		level := tops
		var at *branch
		for _, name := range pathNames(f.Path) {
			if at = level[name]; at == nil {
				at = &branch{children: map[string]*branch{}}
				level[name] = at
			}
			level = at.children
		}
		at.field = true
	}
	return tops
}

// Split takes a document, which must be an object, apart into its fields in
// the document's order, a nested field right after the top-level one that it
// is taken out of. The parent stays, if only as {}. It checks no more than
// that the document is strict JSON within the bounds and that its fields can
// have their names. The values are parts of doc wherever nothing was taken
// out of them.
func (s *Schema) Split(doc []byte) ([]Value, error) {
	if _, err := parse(doc, MaxDepth); err != nil {
		return nil, invalidDocument(err.(*fault).Issue)
	}
	return s.divide(doc)
}

// divide splits a document that is known to be strict JSON.
func (s *Schema) divide(doc []byte) ([]Value, error) {
	list, issue, err := readMembers(doc)
	if err != nil {
		return nil, invalidDocument(issue)
	}
	if issues := namesOf(list); issues != nil {
		return nil, invalidDocument(issues...)
	}
	values := make([]Value, 0, len(list))
	for _, m := range list {
		values = take(values, escapeToken(m.name), m.value, s.nested[m.name])
	}
	if len(values) > MaxFields {
		return nil, invalidDocument(tooManyFields)
	}
	return values, nil
}

var tooManyFields = Issue{"", "has more than 256 fields"}

func namesOf(list []member) []Issue {
	var issues []Issue
	for _, m := range list {
		if why := nameFault(m.name); why != "" {
			issues = append(issues, Issue{"/" + escapeToken(m.name), why})
		}
	}
	return issues
}

// take appends a field and the nested ones taken out of it.
func take(values []Value, path string, value []byte, b *branch) []Value {
	if b == nil || len(b.children) == 0 {
		return append(values, Value{path, value})
	}
	at := len(values)
	rest, values := cut(append(values, Value{path, value}), path, value, b)
	values[at].JSON = rest
	return values
}

// cut returns what remains of an object once the fields below b are taken
// out, and the list with these appended. Whatever has none of them remains
// as it is, byte for byte.
func cut(values []Value, path string, object []byte, b *branch) ([]byte, []Value) {
	list, ok := members(object)
	if !ok {
		return object, values
	}
	rest, changed := list[:0:0], false
	for _, m := range list {
		child := b.children[m.name]
		switch {
		case child == nil:
		case child.field:
			values, changed = take(values, pathJoin(path, m.name), m.value, child), true
			continue
		default:
			var inner []byte
			inner, values = cut(values, pathJoin(path, m.name), m.value, child)
			changed = changed || len(inner) != len(m.value)
			m.value = inner
		}
		rest = append(rest, m)
	}
	if !changed {
		return object, values
	}
	return writeObject(rest), values
}

// writeObject writes members without white space between them.
func writeObject(list []member) []byte {
	size := 2
	for _, m := range list {
		size += len(m.quoted) + len(m.value) + 2
	}
	b := append(make([]byte, 0, size), '{')
	for i, m := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, m.quoted...)
		b = append(b, ':')
		b = append(b, m.value...)
	}
	return append(b, '}')
}

func quote(name string) []byte {
	quoted, _ := jsontext.AppendQuote(nil, name) // fails on invalid UTF-8 alone, and writes all the same
	return quoted
}
