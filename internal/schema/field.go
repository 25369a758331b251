package schema

import (
	"slices"
	"strings"
)

// Index is what a field's blind index is for.
type Index uint8

const (
	IndexNone   Index = iota
	IndexExact        // equal values are found
	IndexUnique       // and no two records of the collection have one
)

// String returns the value of `x-index`, or "none".
func (i Index) String() string { return [...]string{"none", "exact", "unique"}[i] }

// Field is what the schema declares of one field.
type Field struct {
	// Path names the field: a JSON Pointer without its first slash.
	Path string
	// Top is the top-level field that the value is taken out of; Path itself
	// for a field that is not nested.
	Top string
	// Nested says that `x-field` took the field out of another.
	Nested bool
	Index  Index
	// Normalise is what the index compares: none, lowercase, nfkc or digits.
	// It is empty when there is no index.
	Normalise string
	// Mask is a mask of package access, or empty.
	Mask string
	// High says `x-sensitivity: high`.
	High bool
	// Approval says `x-approval: required`: nobody reads the value in clear
	// without a second person's approval.
	Approval bool
	// Purpose says `x-purpose: required`: nobody reads the value in clear
	// without saying what for.
	Purpose bool
	// Base64 says that the value is a text of base64 that stands for bytes.
	Base64 bool
}

// annotations are the keywords that make a property a field or say something
// about one.
var annotations = []string{"x-field", "x-index", "x-normalise", "x-mask", "x-sensitivity", "x-approval", "x-purpose"}

// fieldFinder collects the fields of a schema: it follows `properties` and
// `$ref` from the top, since only those lead to one known path.
type fieldFinder struct {
	fields []Field
	issues []Issue
	placed map[*node]bool // annotated subschemas that are fields
	path   []*node        // the objects on the way, to notice recursion
}

// findFields returns the fields sorted by path.
func findFields(o *outline) ([]Field, []Issue) {
	f := &fieldFinder{placed: map[*node]bool{}}
	f.properties(o.root, "", "")
	for _, n := range o.byPointer {
		f.misplaced(n)
	}
	f.elsewhere(o.root, map[*node]bool{})
	if len(f.fields) > MaxFields {
		f.issues = append(f.issues, Issue{"/properties", "makes more than 256 fields"})
	}
	slices.SortFunc(f.fields, func(a, b Field) int { return strings.Compare(a.Path, b.Path) })
	return f.fields, f.issues
}

func (f *fieldFinder) fail(pointer, detail string) {
	f.issues = append(f.issues, Issue{pointer, detail})
}

// chain lists a subschema and those that its `$ref` leads to, one after the
// other: the annotations of all of them count, the first one's before.
func chain(n *node) []*node {
	var list []*node
	for n != nil && !slices.Contains(list, n) {
		list = append(list, n)
		n = n.ref
	}
	return list
}

// properties visits the properties of the object that owner describes.
func (f *fieldFinder) properties(owner *node, path, top string) {
	for _, n := range chain(owner) {
		if slices.Contains(f.path, n) || len(f.fields) > MaxFields {
			return
		}
		f.path = append(f.path, n)
		for _, e := range n.edges {
			if e.keyword == "properties" {
				f.property(e, pathJoin(path, e.name), top)
			}
		}
		f.path = f.path[:len(f.path)-1]
	}
}

func (f *fieldFinder) property(e edge, path, top string) {
	links := chain(e.to)
	isField := top == "" || find(links, "x-field") != nil
	if isField {
		f.field(e, links, path, top)
	} else {
		f.notAField(links)
	}
	if top == "" {
		top = path
	}
	mine := len(f.fields)
	f.properties(e.to, path, top)
	if len(f.fields) > mine {
		f.parent(e.to, links)
	}
}

// notAField refuses annotations on a nested property that no x-field makes
// a field, also those that a reference brings.
func (f *fieldFinder) notAField(links []*node) {
	for _, n := range links {
		placed := f.placed[n]
		f.placed[n] = false
		f.misplaced(n)
		f.placed[n] = placed
	}
}

// parent checks a property that nested fields were taken out of. It can have
// no index, since its type is an object's.
func (f *fieldFinder) parent(n *node, links []*node) {
	if types := typesOf(links); types != nil && !slices.Contains(types, "object") {
		f.fail(n.pointer, "has nested fields, so its type must include object")
	}
}

// field adds one field, checking its name and annotations.
func (f *fieldFinder) field(e edge, links []*node, path, top string) {
	at := e.to.pointer
	field := Field{Path: path, Top: top, Nested: top != ""}
	if top == "" {
		field.Top = path
		if n := find(links, "x-field"); n != nil {
			f.fail(n.pointer+"/x-field", "is for nested properties: a top-level property is a field as it is")
		}
	}
	for _, name := range pathNames(path) {
		if why := nameFault(name); why != "" {
			f.fail(at, why)
			break
		}
	}
	if len(path) > MaxPathBytes {
		f.fail(at, "has a path longer than 512 bytes")
	}
	for _, n := range links {
		f.placed[n] = true
	}
	field.Mask, _ = textOf(links, "x-mask")
	field.High = find(links, "x-sensitivity") != nil
	field.Approval = find(links, "x-approval") != nil
	field.Purpose = find(links, "x-purpose") != nil || field.Approval
	field.Base64 = find(links, "contentEncoding") != nil
	f.index(&field, at, links)
	f.mask(field, at, links)
	f.fields = append(f.fields, field)
}

// index reads x-index and x-normalise.
func (f *fieldFinder) index(field *Field, at string, links []*node) {
	kind, indexed := textOf(links, "x-index")
	how, normalised := textOf(links, "x-normalise")
	if !indexed {
		if normalised {
			f.fail(at+"/x-normalise", "says what an index compares, but there is no x-index")
		}
		return
	}
	if find(links, "x-approval") != nil {
		f.fail(at+"/x-index", "can't stand beside x-approval: whoever searches for a value learns it without an approval")
	}
	field.Index = map[string]Index{"exact": IndexExact, "unique": IndexUnique}[kind]
	field.Normalise = "none"
	if normalised {
		field.Normalise = how
	}
	types := without(typesOf(links), "null")
	if why := unindexable(links[0], types); why != "" {
		f.fail(at+"/x-index", why)
	}
	if field.Normalise != "none" && (field.Base64 || !slices.Equal(types, []string{"string"})) {
		f.fail(at+"/x-normalise", "is for texts: the type must be string, without contentEncoding")
	}
}

// unindexable says why a property can't have an index, or nothing.
func unindexable(n *node, types []string) string {
	for _, s := range n.self() {
		if s.object["enum"] != nil || hasKey(s, "const") {
			return "can't stand on an enum or a constant: so few values could be told apart by counting tokens"
		}
	}
	switch {
	case slices.Contains(types, "boolean"):
		return "can't stand on a boolean: two values could be told apart by counting tokens"
	case slices.Contains(types, "object"), slices.Contains(types, "array"):
		return "can't stand on an object or an array: take the member to search for out as a field"
	case slices.Equal(types, []string{"string"}), slices.Equal(types, []string{"number"}), slices.Equal(types, []string{"integer"}):
		return ""
	}
	return "needs a type of string, number or integer, beside it at most null"
}

// mask checks that a mask suits the field's type.
func (f *fieldFinder) mask(field Field, at string, links []*node) {
	types := without(typesOf(links), "null")
	fits := true
	name, _, _ := strings.Cut(field.Mask, ":")
	switch name {
	case "email", "domain", "year", "first":
		fits = slices.Equal(types, []string{"string"})
	case "last4":
		fits = len(types) == 1 && slices.Contains([]string{"string", "integer", "number"}, types[0])
	}
	if !fits {
		f.fail(at+"/x-mask", "doesn't suit the type: email, domain, year and first:N are for strings, last4 for strings and numbers, hash, fixed:TEXT and redact for all")
	}
}

// misplaced refuses annotations on subschemas that are no field.
func (f *fieldFinder) misplaced(n *node) {
	if f.placed[n] {
		return
	}
	for _, key := range annotations {
		if hasKey(n, key) {
			f.fail(n.pointer+"/"+key, "stands only on a field: a property reached from the top through properties alone, "+
				"not through arrays or conditions nor in a schema that refers to itself, and when nested with x-field: true")
		}
	}
}

// elsewhere refuses a field's subschema that is also applied in another way:
// through an array, say, where its annotations would silently mean nothing.
func (f *fieldFinder) elsewhere(n *node, seen map[*node]bool) {
	if seen[n] {
		return
	}
	seen[n] = true
	for _, e := range n.edges {
		rule := keywords[e.keyword].applies
		if rule != toMember && rule != toNothing {
			f.beyond(e.to, map[*node]bool{})
		}
		if rule == toMember {
			f.elsewhere(e.to, seen)
		}
	}
	if n.ref != nil {
		f.elsewhere(n.ref, seen)
	}
}

// beyond visits what is reached once the way has left properties.
func (f *fieldFinder) beyond(n *node, seen map[*node]bool) {
	if seen[n] {
		return
	}
	seen[n] = true
	f.notAField([]*node{n})
	for _, e := range n.edges {
		if keywords[e.keyword].applies != toNothing {
			f.beyond(e.to, seen)
		}
	}
	if n.ref != nil {
		f.beyond(n.ref, seen)
	}
}

// find returns the first subschema of the chain that has the keyword.
func find(links []*node, key string) *node {
	for _, n := range links {
		if hasKey(n, key) {
			return n
		}
	}
	return nil
}

func hasKey(n *node, key string) bool {
	_, ok := n.object[key]
	return ok
}

// textOf returns the text of the first such keyword in the chain.
func textOf(links []*node, key string) (string, bool) {
	n := find(links, key)
	if n == nil {
		return "", false
	}
	text, _ := n.object[key].(string)
	return text, true
}

// typesOf returns the types that the chain's first `type` allows, nil when
// there is none.
func typesOf(links []*node) []string {
	n := find(links, "type")
	if n == nil {
		return nil
	}
	switch t := n.object["type"].(type) {
	case string:
		return []string{t}
	case []any:
		var types []string
		for _, item := range t {
			name, _ := item.(string)
			types = append(types, name)
		}
		return types
	}
	return nil
}

func without(list []string, drop string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == drop })
}
