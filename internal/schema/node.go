package schema

import (
	"encoding/json"
	"errors"
	"math/big"
	"net/url"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// draft is the only dialect, by the URL that `$schema` may name.
const draft = "https://json-schema.org/draft/2020-12/schema"

// node is a subschema: an object, or a boolean when object is nil.
type node struct {
	pointer string
	object  map[string]any
	edges   []edge
	ref     *node
	program int // instructions of its patterns
}

// edge leads to a subschema of a node.
type edge struct {
	keyword string
	name    string // the member's, for keywords that name subschemas
	to      *node
}

// outline is the schema's text seen as a graph of subschemas.
type outline struct {
	root      *node
	byPointer map[string]*node
	anchors   map[string]*node
	issues    []Issue
}

// newOutline walks a parsed schema and checks what the meta-schema leaves
// open: which keywords there are, where references lead, what patterns say.
func newOutline(schema any) (*outline, []Issue) {
	o := &outline{byPointer: map[string]*node{}, anchors: map[string]*node{}}
	o.root = o.walk("", schema)
	if len(o.byPointer) > MaxSubschemas {
		o.fail("", "has more than 2000 subschemas")
	}
	for _, n := range o.byPointer {
		o.resolve(n)
	}
	return o, o.issues
}

func (o *outline) fail(pointer, detail string) {
	o.issues = append(o.issues, Issue{pointer, detail})
}

func (o *outline) walk(pointer string, v any) *node {
	n := &node{pointer: pointer}
	o.byPointer[pointer] = n
	object, ok := v.(map[string]any)
	if !ok {
		return n
	}
	n.object = object
	for key, value := range object {
		at := pointer + "/" + escapeToken(key)
		word, known := keywords[key]
		if !known {
			o.fail(at, unknownKeyword(key))
			continue
		}
		o.keyword(n, at, key, value)
		o.descend(n, word.shape, at, key, value)
	}
	return n
}

func unknownKeyword(key string) string {
	if why, ok := refusedKeywords[key]; ok {
		return why
	}
	if strings.HasPrefix(key, "x-") {
		return "is not one of x-field, x-index, x-normalise, x-mask, x-sensitivity, x-approval, x-purpose"
	}
	return "is not a keyword of JSON Schema 2020-12"
}

func (o *outline) descend(n *node, s shape, at, key string, value any) {
	add := func(pointer, name string, v any) {
		n.edges = append(n.edges, edge{key, name, o.walk(pointer, v)})
	}
	switch v := value.(type) {
	case []any:
		for i, item := range v {
			if s == list {
				add(at+"/"+strconv.Itoa(i), "", item)
			}
		}
	case map[string]any:
		if s == one {
			add(at, "", v)
		}
		for name, item := range v {
			if s == named {
				add(at+"/"+escapeToken(name), name, item)
			}
		}
	case bool:
		if s == one {
			add(at, "", v)
		}
	}
}

// keyword checks the value of one keyword.
func (o *outline) keyword(n *node, at, key string, value any) {
	text, isText := value.(string)
	switch key {
	case "$schema":
		if strings.TrimSuffix(text, "#") != draft || n.pointer != "" {
			o.fail(at, "can only be "+draft+", at the top")
		}
	case "$id":
		if n.pointer != "" {
			o.fail(at, "stands only at the top")
		}
	case "$anchor":
		if o.anchors[text] != nil {
			o.fail(at, "names an anchor that another subschema has")
		}
		o.anchors[text] = n
	case "type":
		o.types(at, n)
	case "format":
		if text == "regex" {
			o.fail(at, "can't be regex: expressions in documents are not compiled")
		}
	case "pattern":
		o.pattern(n, at, text)
	case "patternProperties":
		if object, ok := value.(map[string]any); ok {
			for expression := range object {
				o.pattern(n, at+"/"+escapeToken(expression), expression)
			}
		}
	case "contentEncoding":
		if isText && text != "base64" {
			o.fail(at, "can only be base64")
		}
	case "x-field":
		if value != true {
			o.fail(at, "can only be true")
		}
	default:
		o.enumerated(at, key, text)
		o.count(at, key, value)
	}
}

// pattern checks an expression and weighs it by its compiled size: that many
// instructions are run for each character of a text, at worst.
func (o *outline) pattern(n *node, at, expression string) {
	tree, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		o.fail(at, "is no pattern that Go's RE2 takes"+whyNot(err))
		return
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		o.fail(at, "is no pattern that Go's RE2 takes"+whyNot(err))
		return
	}
	n.program += len(program.Inst)
}

// whyNot tells what is wrong with an expression without repeating it.
func whyNot(err error) string {
	var bad *syntax.Error
	if errors.As(err, &bad) {
		return ": " + string(bad.Code)
	}
	return ""
}

func (o *outline) types(at string, n *node) {
	for _, name := range typesOf([]*node{n}) {
		if kindNames[name] == 0 {
			o.fail(at, "can only be array, boolean, integer, null, number, object, string or an array of these")
		}
	}
}

func (o *outline) enumerated(at, key, text string) {
	allowed, ok := extensions[key]
	if !ok || slices.Contains(allowed, text) || key == "x-mask" && maskWithArgument(text) {
		return
	}
	detail := "can only be " + strings.Join(allowed, ", ")
	if key == "x-mask" {
		detail += ", first:N with N from 1 to 16, or fixed:TEXT with at most 64 bytes of text"
	}
	o.fail(at, detail)
}

// maskWithArgument accepts the masks first:N and fixed:TEXT as package access
// does.
func maskWithArgument(mask string) bool {
	if text, ok := strings.CutPrefix(mask, "fixed:"); ok {
		return text != "" && len(text) <= 64 && utf8.ValidString(text) &&
			strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
	}
	digits, ok := strings.CutPrefix(mask, "first:")
	n, err := strconv.Atoi(digits)
	return ok && err == nil && n >= 1 && n <= 16 && strconv.Itoa(n) == digits
}

func (o *outline) count(at, key string, value any) {
	if number, ok := value.(json.Number); ok && slices.Contains(counts, key) {
		r, ok := new(big.Rat).SetString(number.String())
		if ok && r.Cmp(big.NewRat(1<<31-1, 1)) > 0 {
			o.fail(at, "is larger than 2147483647")
		}
	}
}

// resolve finds the subschema that a node's `$ref` names.
func (o *outline) resolve(n *node) {
	ref, ok := n.object["$ref"].(string)
	if !ok {
		return
	}
	at := n.pointer + "/$ref"
	fragment, local := strings.CutPrefix(ref, "#")
	if !local {
		o.fail(at, "leads out of this schema: only #, #/... and #anchor are followed")
		return
	}
	fragment, err := url.PathUnescape(fragment)
	if err == nil && (fragment == "" || fragment[0] == '/') {
		n.ref = o.byPointer[fragment]
	} else if err == nil {
		n.ref = o.anchors[fragment]
	}
	if n.ref == nil {
		o.fail(at, "names no subschema of this schema")
	}
}

// self lists the subschemas that apply to the same value as n, n first.
func (n *node) self() []*node {
	seen := map[*node]bool{n: true}
	order := []*node{n}
	for i := 0; i < len(order); i++ {
		for _, next := range order[i].same() {
			if !seen[next] {
				seen[next] = true
				order = append(order, next)
			}
		}
	}
	return order
}

// same lists the direct subschemas, and the referenced one, that apply to
// the value that n applies to.
func (n *node) same() []*node {
	var list []*node
	if n.ref != nil {
		list = append(list, n.ref)
	}
	for _, e := range n.edges {
		if keywords[e.keyword].applies == toItself {
			list = append(list, e.to)
		}
	}
	return list
}
