package access

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Bounds of a role: far above what people write, low enough that compiling one
// costs little.
const (
	maxRole  = 256 << 10 // bytes of JSON
	maxRules = 256
	maxGlob  = 128 // bytes
	maxName  = 512 // bytes of a path or a label name
)

const wildcard = "*"

// Role is a stored role: a list of rules, each of which grants by itself.
type Role struct {
	Rules []Rule `json:"rules"`
}

// Rule grants actions on the records of the collections that it matches. See
// the package comment for what it means.
type Rule struct {
	Integrations []string          `json:"integrations"` // globs
	Collections  []string          `json:"collections"`  // globs
	Actions      []Action          `json:"actions"`
	Read         map[string]string `json:"read,omitempty"` // path or `*` to none, clear or mask:NAME
	Write        []string          `json:"write,omitempty"`
	WriteLabels  []string          `json:"write_labels,omitempty"` // names, or `*`
	Search       []string          `json:"search,omitempty"`
	When         jsontext.Value    `json:"when,omitempty"` // a condition in CEL, as a string

	condition *condition // When, compiled by ParseRole
}

func (r *Rule) conditional() bool { return len(r.When) > 0 }

// Issue is one thing that is wrong with, or worth knowing about, a role.
type Issue struct {
	Pointer string // JSON Pointer (RFC 6901) into the role
	Detail  string // a sentence that repeats nothing of the role
}

// Invalid is the error of ParseRole: everything that is wrong with the text.
type Invalid struct{ Issues []Issue }

// Error names the first issue and how many there are.
func (e *Invalid) Error() string {
	if len(e.Issues) == 0 {
		return "access: invalid role"
	}
	first := e.Issues[0]
	return fmt.Sprintf("access: invalid role (%d): %q: %s", len(e.Issues), first.Pointer, first.Detail)
}

func (e *Invalid) add(pointer, detail string) {
	e.Issues = append(e.Issues, Issue{Pointer: pointer, Detail: detail})
}

// ParseRole reads a role from JSON. It is strict: an unknown or repeated
// member, an unknown action or mask, and a condition that is not one are
// refused. Conditions are compiled here and nowhere else. Its error is an
// *Invalid.
func ParseRole(raw []byte) (*Role, error) {
	if len(raw) > maxRole {
		return nil, &Invalid{[]Issue{{"", fmt.Sprintf("A role has at most %d bytes.", maxRole)}}}
	}
	var role Role
	if err := json.Unmarshal(raw, &role, json.RejectUnknownMembers(true)); err != nil {
		return nil, &Invalid{[]Issue{decodeIssue(err)}}
	}
	var bad Invalid
	role.check(&bad)
	if len(bad.Issues) > 0 {
		return nil, &bad
	}
	return &role, nil
}

// decodeIssue says where decoding stopped, without the decoder's own words:
// those name Go types and can repeat values.
func decodeIssue(err error) Issue {
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		if errors.Is(e.Err, jsontext.ErrDuplicateName) {
			return Issue{string(e.JSONPointer), "This member stands there twice."}
		}
		return Issue{string(e.JSONPointer), "This is not well-formed JSON."}
	}
	if e, ok := errors.AsType[*json.SemanticError](err); ok {
		if errors.Is(e.Err, json.ErrUnknownName) {
			return Issue{string(e.JSONPointer), "A role has no such member."}
		}
		return Issue{string(e.JSONPointer), "This member has the wrong type."}
	}
	return Issue{"", "This is not a role in JSON."}
}

func (r *Role) check(bad *Invalid) {
	switch {
	case r.Rules == nil:
		bad.add("/rules", "A role needs a list of rules; an empty one grants nothing.")
	case len(r.Rules) > maxRules:
		bad.add("/rules", fmt.Sprintf("A role has at most %d rules.", maxRules))
	default:
		conditions := map[string]*condition{}
		for i := range r.Rules {
			at := fmt.Sprintf("/rules/%d", i)
			r.Rules[i].check(bad, at)
			r.Rules[i].compileWhen(bad, at+"/when", conditions)
		}
	}
}

// compileWhen compiles the condition of a rule; equal ones are compiled once.
func (r *Rule) compileWhen(bad *Invalid, at string, known map[string]*condition) {
	if !r.conditional() {
		return
	}
	source, ok := r.condText()
	switch {
	case !ok:
		bad.add(at, "A condition is a text in CEL. A rule without one has no member when.")
		return
	case known[source] == nil && len(known) == maxConditions:
		bad.add(at, fmt.Sprintf("A role has at most %d different conditions.", maxConditions))
		return
	case known[source] == nil:
		compiled, detail := compileCondition(source)
		if detail != "" {
			bad.add(at, detail)
			return
		}
		known[source] = compiled
	}
	r.condition = known[source]
}

// condText returns the text of the condition.
func (r *Rule) condText() (string, bool) {
	if r.When.Kind() != '"' {
		return "", false
	}
	text, err := jsontext.AppendUnquote(nil, r.When)
	return string(text), err == nil && strings.TrimSpace(string(text)) != ""
}

func (r *Rule) check(bad *Invalid, at string) {
	checkList(bad, at+"/integrations", r.Integrations, true, validGlob,
		"This is no pattern of names: lower-case letters, digits, hyphens and `*` for any run of them.")
	checkList(bad, at+"/collections", r.Collections, true, validGlob,
		"This is no pattern of names: lower-case letters, digits, hyphens and `*` for any run of them.")
	checkList(bad, at+"/actions", r.Actions, true, knownAction, "There is no such action. The actions are "+actionNames()+".")
	checkList(bad, at+"/write", r.Write, false, validPath, pathDetail)
	checkList(bad, at+"/search", r.Search, false, validPath, pathDetail)
	checkList(bad, at+"/write_labels", r.WriteLabels, false, validLabel, "A label is named in full, or by `*`.")
	r.checkRead(bad, at+"/read")
}

const pathDetail = "A field is named by its path (a JSON Pointer without its first slash) in full, or by `*`."

func (r *Rule) checkRead(bad *Invalid, at string) {
	for _, path := range sortedKeys(r.Read) {
		if !validPath(path) {
			bad.add(at+"/"+escape(path), pathDetail)
		}
		if _, ok := parseGrant(r.Read[path]); !ok {
			bad.add(at+"/"+escape(path), "This is no grant. The grants are clear, none, mask:"+strings.Join(Masks(), ", mask:")+".")
		}
	}
}

// checkList holds every element against ok and refuses repeats, and, when the
// list is required, an empty one.
func checkList[S ~string](bad *Invalid, at string, list []S, required bool, ok func(S) bool, detail string) {
	if required && len(list) == 0 {
		bad.add(at, "A rule needs at least one of these.")
	}
	seen := make(map[S]bool, len(list))
	for i, s := range list {
		switch {
		case !ok(s):
			bad.add(fmt.Sprintf("%s/%d", at, i), detail)
		case seen[s]:
			bad.add(fmt.Sprintf("%s/%d", at, i), "This stands in the list twice.")
		}
		seen[s] = true
	}
}

func knownAction(a Action) bool { return a.index() >= 0 }

func actionNames() string {
	names := make([]string, len(actions))
	for i, a := range actions {
		names[i] = string(a)
	}
	return strings.Join(names, ", ")
}

// validPath accepts `*` and every JSON Pointer without its first slash that
// has no `*` in it: `user*` looks like a pattern, and is none.
func validPath(path string) bool {
	if path == wildcard {
		return true
	}
	if path == "" || len(path) > maxName || strings.Contains(path, wildcard) || !utf8.ValidString(path) {
		return false
	}
	for rest := path; ; {
		i := strings.IndexByte(rest, '~')
		if i < 0 {
			return true
		}
		if i+1 == len(rest) || rest[i+1] != '0' && rest[i+1] != '1' {
			return false
		}
		rest = rest[i+2:]
	}
}

func validLabel(name string) bool {
	return name == wildcard || name != "" && len(name) <= maxName && !strings.Contains(name, wildcard)
}

// escape makes a path one token of a JSON Pointer.
func escape(token string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(token)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
