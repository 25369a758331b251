package schema

import (
	"bytes"
	"errors"
	"maps"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Schema is a compiled schema. It never changes and any number of goroutines
// may use it.
type Schema struct {
	raw    []byte
	root   map[string]any
	engine *jsonschema.Schema
	fields []Field
	byPath map[string]int
	nested map[string]*branch // top-level names that nested fields are taken out of
	plan   *plan              // nil when only the engine can tell
}

// Compile reads a schema. What is wrong with it is an *Invalid whose
// pointers lead into the schema.
func Compile(raw []byte) (*Schema, error) {
	if len(raw) > MaxSchemaBytes {
		return nil, invalidSchema(Issue{"", "is longer than 256 KiB"})
	}
	v, err := parse(raw, MaxSchemaDepth)
	if err != nil {
		return nil, invalidSchema(err.(*fault).Issue)
	}
	root, issues := topLevel(v)
	if issues != nil {
		return nil, invalidSchema(issues...)
	}
	o, issues := newOutline(root)
	if issues == nil {
		issues = tooCostly(o.root)
	}
	if issues != nil {
		return nil, invalidSchema(issues...)
	}
	return assemble(bytes.Clone(raw), root, o)
}

func assemble(raw []byte, root map[string]any, o *outline) (*Schema, error) {
	engine, err := newEngine(withoutIdentity(root))
	if err != nil {
		return nil, invalidSchema(explainCompile(err)...)
	}
	fields, issues := findFields(o)
	if issues != nil {
		return nil, invalidSchema(issues...)
	}
	s := &Schema{raw: raw, root: root, engine: engine, fields: fields, byPath: map[string]int{}}
	for i, f := range fields {
		s.byPath[f.Path] = i
	}
	s.nested = branches(fields)
	s.plan = newPlan(o.root, engine, s.nested)
	return s, nil
}

// topLevel checks what makes a schema one of a collection's records.
func topLevel(v any) (map[string]any, []Issue) {
	root, ok := v.(map[string]any)
	if !ok {
		return nil, []Issue{{"", "is not an object"}}
	}
	if root["type"] != "object" {
		return nil, []Issue{{"/type", "must be \"object\": a record is an object of fields"}}
	}
	if properties, ok := root["properties"].(map[string]any); !ok || len(properties) == 0 {
		return nil, []Issue{{"/properties", "must name at least one property: these are the fields"}}
	}
	return root, nil
}

// withoutIdentity drops the names by which the engine would look a schema up.
func withoutIdentity(root map[string]any) map[string]any {
	root = maps.Clone(root)
	delete(root, "$id")
	delete(root, "$schema")
	return root
}

// explainCompile words what the engine has against a schema. Its own
// sentences may quote the schema, which is no secret.
func explainCompile(err error) []Issue {
	var against *jsonschema.SchemaValidationError
	var details *jsonschema.ValidationError
	if errors.As(err, &against) && errors.As(against.Err, &details) {
		return explain(details, nil)
	}
	return []Issue{{"", "can't be compiled: " + err.Error()}}
}

// Raw returns the schema's text as it was compiled. It is not to be changed.
func (s *Schema) Raw() []byte { return s.raw }

// Fields lists the declared fields sorted by path. It is not to be changed.
func (s *Schema) Fields() []Field { return s.fields }

// Field returns what is declared of one path. Documents may have fields that
// are not declared, unless the schema says `additionalProperties: false`.
func (s *Schema) Field(path string) (Field, bool) {
	i, ok := s.byPath[path]
	if !ok {
		return Field{}, false
	}
	return s.fields[i], true
}

// Flat reports whether no field is nested, so that the fields are exactly
// the top-level members.
func (s *Schema) Flat() bool { return len(s.nested) == 0 }
