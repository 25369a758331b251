package access

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"strongroom/internal/strict"
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

// ParseRole reads a role from JSON. It is strict: an unknown or repeated
// member, an unknown action or mask, and a condition that is not one are
// refused. Conditions are compiled here and nowhere else. Its error is an
// *strict.Invalid.
func ParseRole(raw []byte) (*Role, error) {
	var role Role
	if err := strict.Decode(raw, "role", maxRole, &role); err != nil {
		return nil, err
	}
	bad := &strict.Invalid{What: "role"}
	role.check(bad)
	if err := bad.Err(); err != nil {
		return nil, err
	}
	return &role, nil
}

func (r *Role) check(bad *strict.Invalid) {
	switch {
	case r.Rules == nil:
		bad.Add("/rules", "A role needs a list of rules; an empty one grants nothing.")
	case len(r.Rules) > maxRules:
		bad.Add("/rules", fmt.Sprintf("A role has at most %d rules.", maxRules))
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
func (r *Rule) compileWhen(bad *strict.Invalid, at string, known map[string]*condition) {
	if !r.conditional() {
		return
	}
	source, ok := r.condText()
	switch {
	case !ok:
		bad.Add(at, "A condition is a text in CEL. A rule without one has no member when.")
		return
	case known[source] == nil && len(known) == maxConditions:
		bad.Add(at, fmt.Sprintf("A role has at most %d different conditions.", maxConditions))
		return
	case known[source] == nil:
		compiled, detail := compileCondition(source)
		if detail != "" {
			bad.Add(at, detail)
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

func (r *Rule) check(bad *strict.Invalid, at string) {
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

func (r *Rule) checkRead(bad *strict.Invalid, at string) {
	for _, path := range sortedKeys(r.Read) {
		if !validPath(path) {
			bad.Add(at+"/"+escape(path), pathDetail)
		}
		if _, ok := parseGrant(r.Read[path]); !ok {
			bad.Add(at+"/"+escape(path), "This is no grant. The grants are clear, none, mask:"+strings.Join(Masks(), ", mask:")+".")
		}
	}
}

// checkList holds every element against ok and refuses repeats, and, when the
// list is required, an empty one.
func checkList[S ~string](bad *strict.Invalid, at string, list []S, required bool, ok func(S) bool, detail string) {
	if required && len(list) == 0 {
		bad.Add(at, "A rule needs at least one of these.")
	}
	seen := make(map[S]bool, len(list))
	for i, s := range list {
		switch {
		case !ok(s):
			bad.Add(fmt.Sprintf("%s/%d", at, i), detail)
		case seen[s]:
			bad.Add(fmt.Sprintf("%s/%d", at, i), "This stands in the list twice.")
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
