package schema

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"reflect"
	"slices"
	"strings"
)

// Compatible lists, in sentences and sorted, what of the change from old to
// new could make records that match old fail new. It errs on the side of
// warning: an empty list promises that every document valid under old is
// valid under new, a sentence doesn't promise the opposite.
func Compatible(old, new *Schema) []string {
	c := &comparison{}
	c.schemas("", old.root, new.root)
	if !reflect.DeepEqual(old.root["$defs"], new.root["$defs"]) || !reflect.DeepEqual(old.root["definitions"], new.root["definitions"]) {
		c.warn("/$defs", "changed, and what refers to it with it")
	} else if usesWholeReference(new.root) && !reflect.DeepEqual(old.root, new.root) {
		c.warn("", "changed, and its references lead to places outside $defs that may have changed with it")
	}
	slices.Sort(c.warnings)
	return slices.Compact(c.warnings)
}

type comparison struct{ warnings []string }

func (c *comparison) warn(pointer, what string) {
	if pointer == "" {
		pointer = "the schema"
	}
	c.warnings = append(c.warnings, pointer+" "+what)
}

// schemas compares two subschemas keyword by keyword.
func (c *comparison) schemas(at string, old, new any) {
	if reflect.DeepEqual(old, new) || new == true {
		return
	}
	before, ok := old.(map[string]any)
	if old == true {
		before, ok = map[string]any{}, true
	}
	after, alsoObject := new.(map[string]any)
	if old == false {
		return
	}
	if !ok || !alsoObject {
		c.warn(at, "changed and may refuse what it allowed")
		return
	}
	if hasUnevaluated(before) || hasUnevaluated(after) {
		c.warn(at, "changed beside unevaluatedProperties or unevaluatedItems, which depend on all of it")
	}
	keys := maps.Clone(before)
	maps.Copy(keys, after)
	for key := range keys {
		c.keyword(at+"/"+escapeToken(key), key, before, after)
	}
}

func hasUnevaluated(s map[string]any) bool {
	return s["unevaluatedProperties"] != nil || s["unevaluatedItems"] != nil
}

// keyword compares one keyword of two subschemas.
func (c *comparison) keyword(at, key string, before, after map[string]any) {
	old, had := before[key]
	new, has := after[key]
	if keywords[key].shape == annotation || key == "$defs" || key == "definitions" || key == "contentSchema" ||
		reflect.DeepEqual(old, new) && had == has {
		return
	}
	switch key {
	case "properties":
		c.properties(at, before, after)
	case "items", "additionalProperties":
		c.inner(at, key, before, after)
	case "type":
		c.types(at, old, new, has)
	case "required":
		c.required(at, old, new)
	case "enum":
		c.enum(at, old, new, had, has)
	case "minLength", "minItems", "minProperties", "minimum", "exclusiveMinimum":
		c.bound(at, old, new, had, has, +1)
	case "maxLength", "maxItems", "maxProperties", "maximum", "exclusiveMaximum":
		c.bound(at, old, new, had, has, -1)
	case "if", "then", "else", "minContains", "maxContains", "contains", "patternProperties", "prefixItems":
		c.warn(at, "changed and may refuse what it allowed")
	default:
		if has {
			c.warn(at, "is new or changed and may refuse what was allowed")
		}
	}
}

// properties compares the declared properties. One that is new constrains
// what could stand there undeclared; one that is gone falls to what is said
// of undeclared ones.
func (c *comparison) properties(at string, before, after map[string]any) {
	old, _ := before["properties"].(map[string]any)
	new, _ := after["properties"].(map[string]any)
	for name, s := range new {
		was, had := old[name]
		pointer := at + "/" + escapeToken(name)
		switch {
		case had:
			c.schemas(pointer, was, s)
		case before["additionalProperties"] != false && s != true:
			c.warn(pointer, "is new, and records could have any such member before")
		}
	}
	for name := range old {
		if _, has := new[name]; has {
			continue
		}
		if rest, limited := after["additionalProperties"]; limited && rest != true || after["patternProperties"] != nil {
			c.warn(at+"/"+escapeToken(name), "is gone, and records that have it may be refused")
		}
	}
}

// inner compares subschemas that stand for "anything" when absent. What they
// apply to must not have changed beside them.
func (c *comparison) inner(at, key string, before, after map[string]any) {
	old, had := before[key]
	new, has := after[key]
	if !has {
		return
	}
	if !had {
		old = true
	}
	if old == true && new == false {
		c.warn(at, "now refuses members that are not declared")
		return
	}
	c.schemas(at, old, new)
}

func (c *comparison) types(at string, old, new any, has bool) {
	if !has {
		return
	}
	allowed := typesOf([]*node{{object: map[string]any{"type": new}}})
	for _, t := range oldTypes(old) {
		if !slices.Contains(allowed, t) && (t != "integer" || !slices.Contains(allowed, "number")) {
			c.warn(at, fmt.Sprintf("no longer allows %s", t))
		}
	}
}

func oldTypes(old any) []string {
	if old == nil {
		return []string{"array", "boolean", "null", "number", "object", "string"}
	}
	return typesOf([]*node{{object: map[string]any{"type": old}}})
}

func (c *comparison) required(at string, old, new any) {
	before, _ := old.([]any)
	after, _ := new.([]any)
	for _, name := range after {
		if !slices.Contains(before, name) {
			c.warn(at, fmt.Sprintf("now asks for %q", name))
		}
	}
}

func (c *comparison) enum(at string, old, new any, had, has bool) {
	if !has {
		return
	}
	before, _ := old.([]any)
	after, _ := new.([]any)
	contains := func(v any) bool {
		return slices.ContainsFunc(after, func(w any) bool { return reflect.DeepEqual(v, w) })
	}
	if !had || !allOf(before, contains) {
		c.warn(at, "allows fewer values")
	}
}

func allOf(list []any, holds func(any) bool) bool {
	return !slices.ContainsFunc(list, func(v any) bool { return !holds(v) })
}

// bound compares limits; tighter is the sign of a change that allows less.
func (c *comparison) bound(at string, old, new any, had, has bool, tighter int) {
	if !has {
		return
	}
	if !had || ratOf(new).Cmp(ratOf(old)) == tighter {
		c.warn(at, "is tighter than before")
	}
}

func ratOf(v any) *big.Rat {
	number, _ := v.(json.Number)
	r, ok := new(big.Rat).SetString(number.String())
	if !ok {
		return new(big.Rat)
	}
	return r
}

// usesWholeReference reports whether some `$ref` leads elsewhere than into
// $defs, whose change is noticed.
func usesWholeReference(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok && !strings.HasPrefix(ref, "#/$defs/") && !strings.HasPrefix(ref, "#/definitions/") {
			return true
		}
		for _, inner := range v {
			if usesWholeReference(inner) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, usesWholeReference)
	}
	return false
}
