package schema

import (
	"encoding/json"
	"regexp"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// plan is the direct way to check a document, for schemas whose top level
// uses only the keywords that topKeys lists. Properties that use more than
// simpleKeys go through the engine one by one.
type plan struct {
	props    map[string]*prop
	required uint64 // a bit for each required property
	closed   bool   // additionalProperties: false
	min, max int    // members
}

// prop is the direct check of one property.
type prop struct {
	path   string
	bit    uint64 // in plan.required, 0 when optional
	branch *branch
	// engine checks the property when the rest is nil or unsure.
	engine  *jsonschema.Schema
	simple  bool
	never   bool // the schema is `false`
	types   kinds
	minLen  int
	maxLen  int
	pattern *regexp.Regexp
	format  func(any) error
	enum    map[string]bool // nil: anything
	base64  bool
	ranged  bool
	low     int64
	high    int64
}

// kinds is a set of JSON types.
type kinds uint8

const (
	kindNull kinds = 1 << iota
	kindBoolean
	kindInteger
	kindNumber
	kindString
	kindArray
	kindObject
	kindAny kinds = 1<<iota - 1
)

var kindNames = map[string]kinds{
	"null": kindNull, "boolean": kindBoolean, "integer": kindInteger, "number": kindNumber | kindInteger,
	"string": kindString, "array": kindArray, "object": kindObject,
}

// topKeys and simpleKeys are, beside annotations, what the direct way
// understands.
var (
	topKeys = map[string]bool{
		"type": true, "properties": true, "required": true, "additionalProperties": true,
		"minProperties": true, "maxProperties": true, "$defs": true, "definitions": true,
	}
	simpleKeys = map[string]bool{
		"type": true, "minLength": true, "maxLength": true, "pattern": true, "format": true, "enum": true, "const": true,
		"minimum": true, "maximum": true, "contentEncoding": true, "contentSchema": true,
	}
)

func only(n *node, allowed map[string]bool) bool {
	for key := range n.object {
		if !allowed[key] && keywords[key].shape != annotation {
			return false
		}
	}
	return true
}

// newPlan returns nil when the top level needs the engine.
func newPlan(root *node, engine *jsonschema.Schema, nested map[string]*branch) *plan {
	additional, isBool := root.object["additionalProperties"].(bool)
	if !only(root, topKeys) || hasKey(root, "additionalProperties") && !isBool || len(engine.Required) > 64 {
		return nil
	}
	p := &plan{props: map[string]*prop{}, closed: isBool && !additional, max: 1<<31 - 1}
	if engine.MinProperties != nil {
		p.min = *engine.MinProperties
	}
	if engine.MaxProperties != nil {
		p.max = *engine.MaxProperties
	}
	for _, e := range root.edges {
		if e.keyword == "properties" {
			p.props[e.name] = newProp(e, engine.Properties[e.name], nested[e.name])
		}
	}
	for i, name := range engine.Required {
		at := p.props[name]
		if at == nil {
			return nil // a required member that no property describes
		}
		at.bit = 1 << i
		p.required |= at.bit
	}
	return p
}

func newProp(e edge, engine *jsonschema.Schema, b *branch) *prop {
	p := &prop{path: escapeToken(e.name), branch: b, engine: engine, types: kindAny, maxLen: 1<<31 - 1}
	if e.to.object == nil {
		p.simple, p.never = true, engine.Bool != nil && !*engine.Bool
		return p
	}
	if types := typesOf([]*node{e.to}); types != nil {
		p.types = 0
		for _, name := range types {
			p.types |= kindNames[name]
		}
	}
	p.simple = only(e.to, simpleKeys) && p.strings(e.to, engine) && p.numbers(e.to, engine)
	return p
}

// strings prepares the checks of strings, and reports whether it could.
func (p *prop) strings(n *node, engine *jsonschema.Schema) bool {
	if engine.MinLength != nil {
		p.minLen = *engine.MinLength
	}
	if engine.MaxLength != nil {
		p.maxLen = *engine.MaxLength
	}
	p.base64 = engine.ContentEncoding != nil
	if engine.Format != nil {
		p.format = engine.Format.Validate
	}
	if engine.Pattern != nil {
		var ok bool
		if p.pattern, ok = engine.Pattern.(*regexp.Regexp); !ok {
			return false
		}
	}
	return p.choices(n)
}

// choices prepares enum and const, of strings alone.
func (p *prop) choices(n *node) bool {
	allowed, isEnum := n.object["enum"].([]any)
	constant, isConst := n.object["const"]
	if isEnum && isConst {
		return false
	}
	if isConst {
		allowed = []any{constant}
	}
	if isEnum || isConst {
		p.enum = map[string]bool{}
	}
	for _, v := range allowed {
		text, ok := v.(string)
		if !ok {
			return false
		}
		p.enum[text] = true
	}
	return true
}

// numbers prepares minimum and maximum, of whole numbers alone.
func (p *prop) numbers(n *node, engine *jsonschema.Schema) bool {
	p.low, p.high = -1<<63, 1<<63-1
	p.ranged = engine.Minimum != nil || engine.Maximum != nil
	return whole(n.object["minimum"], &p.low) && whole(n.object["maximum"], &p.high)
}

func whole(limit any, into *int64) bool {
	number, ok := limit.(json.Number)
	if !ok {
		return limit == nil
	}
	n, err := strconv.ParseInt(number.String(), 10, 64)
	if err == nil {
		*into = n
	}
	return err == nil
}
